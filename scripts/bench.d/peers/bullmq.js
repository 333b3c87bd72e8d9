// BullMQ: so many small tasks a second for so long; prints how long each took from its enqueuing to its end.
//   node bullmq.js PORT RATE SECONDS

const { Queue, Worker } = require("bullmq");

const [port, rate, seconds] = process.argv.slice(2).map(Number);
const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
const count = Math.floor(rate * seconds);
const times = [];

async function main() {
    const queue = new Queue("small", { connection });
    const worker = new Worker("small", async () => null, { connection, concurrency: 16 });
    await worker.waitUntilReady();
    const all = new Promise((resolve, reject) => {
        worker.on("completed", (job) => {
            times.push(job.finishedOn - job.timestamp);
            if (times.length === count) resolve();
        });
        worker.on("failed", (job, error) => reject(error));
    });
    const begun = Date.now();
    const adds = [];
    for (let number = 0; number < count; number++) {
        await new Promise((go) => setTimeout(go, Math.max(0, begun + number * 1000 / rate - Date.now())));
        adds.push(queue.add("small", {}));
    }
    await Promise.all(adds);
    await all;
    console.log(JSON.stringify(times));
    await worker.close();
    await queue.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
