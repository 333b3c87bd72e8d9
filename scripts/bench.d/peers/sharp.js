// sharp: the three sizes of a picture from one decode. Waits for lines with a path, and answers each when it is done.

const fs = require("fs/promises");
const readline = require("readline");
const sharp = require("sharp");

const SIZES = { large: 1200, medium: 480, thumb: 160 };

async function make(path) {
    const folder = `${path}.sizes`;
    await fs.mkdir(folder, { recursive: true });
    // Decoded once, and as small as the largest size allows; the others are made from that.
    const { data, info } = await sharp(await fs.readFile(path)).rotate()
        .resize(SIZES.large, SIZES.large, { fit: "inside", withoutEnlargement: true }).toColourspace("srgb")
        .raw().toBuffer({ resolveWithObject: true });
    const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
    for (const [name, side] of Object.entries(SIZES)) {
        const made = await sharp(data, raw).resize(side, side, { fit: "inside", withoutEnlargement: true })
            .jpeg({ quality: 80 }).toBuffer();
        const file = await fs.open(`${folder}/${name}.jpg`, "w");
        await file.writeFile(made);
        await file.datasync();
        await file.close();
    }
}

console.log("ready");
readline.createInterface({ input: process.stdin }).on("line", async (path) => {
    try {
        await make(path);
        console.log("done");
    } catch (error) {
        console.error(error);
        process.exit(1);
    }
});
