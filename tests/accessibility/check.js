// Every page through axe, light and dark, wide and narrow; an order, and an operator's pause, with the keyboard alone.
// usage: node check.js URL CHROMIUM PASSWORD
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { deflateSync, crc32 } from 'node:zlib';
import { chromium } from 'playwright-core';

const [shop, executablePath, password] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath, args: flags });
let failures = 0;

function fail(text) {
    failures += 1;
    console.error(text);
}

/** A small PNG of one colour. */
function picture() {
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type), data]);
        const frame = Buffer.alloc(8);
        frame.writeUInt32BE(data.length, 0);
        frame.writeUInt32BE(crc32(body), 4);
        return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
    };
    const header = Buffer.from([0, 0, 1, 0, 0, 0, 0, 200, 8, 2, 0, 0, 0]);
    const rows = Buffer.alloc(200 * (1 + 256 * 3), 0x7f);
    for (let row = 0; row < 200; row += 1) rows[row * (1 + 256 * 3)] = 0;
    const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

async function examine(page, name) {
    for (const colorScheme of ['light', 'dark']) {
        for (const width of [1280, 390]) {
            await page.emulateMedia({ colorScheme });
            await page.setViewportSize({ width, height: 800 });
            // A script tag would be refused by the pages' own policy.
            await page.evaluate(axe);
            const { violations } = await page.evaluate(() => globalThis.axe.run());
            for (const { id, help, nodes } of violations) {
                fail(`${name}, ${colorScheme}, ${width} px: ${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
            }
            const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wider > 0) fail(`${name}, ${width} px: ${wider} px too wide`);
        }
    }
}

const page = await browser.newPage();
page.on('pageerror', (error) => fail(`script error: ${error.message}`));

await page.goto(shop);
await examine(page, 'empty gallery');
await page.setInputFiles('input[type=file]', { name: 'sea.png', mimeType: 'image/png', buffer: picture() });
await page.waitForSelector('#gallery img[src*="/photos/"]');
await examine(page, 'gallery');

await page.goto(`${shop}/orders/new`);
await examine(page, 'order form');
// From here with the keyboard: tick the photo, write the address, send the form.
await page.focus('input[name="line-0-photo"]');
await page.keyboard.press('Space');
await page.focus('input[name=email]');
await page.keyboard.type('not an address');
await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await examine(page, 'order form with an error');
await page.focus('input[name=email]');
await page.keyboard.press('Control+A');
await page.keyboard.type('ada@example.org');
await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await page.waitForURL(/orders\/[0-9a-f-]{36}/);
await examine(page, 'order');
await page.waitForFunction(() => document.body.innerText.includes('Confirmed'));

for (const [name, path] of [['orders', '/orders'], ['mailbox', '/mailbox'], ['not found', '/nothing']]) {
    await page.goto(shop + path);
    await examine(page, name);
}
await page.goto(shop);
await Promise.all([page.waitForNavigation(), page.click('#gallery a[href^="/photos/"]')]);
await examine(page, 'photo');

// Operators: the login and a pause with the keyboard, then every page.
await page.goto(`${shop}/admin/queues`);
await examine(page, 'login');
await page.focus('#name');
await page.keyboard.type('admin');
await page.keyboard.press('Tab');
await page.keyboard.type('not the password');
await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await page.waitForSelector('#refused');
await examine(page, 'login refused');
await page.focus('#password');
await page.keyboard.type(password);
await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await page.waitForURL(/admin\/queues$/);
await examine(page, 'queues');
for (const [action, then] of [['pause', 'resume'], ['resume', 'pause']]) {
    await page.focus(`form[action="/admin/queues/images/${action}"] button`);
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    await page.waitForSelector(`form[action="/admin/queues/images/${then}"]`);
    await examine(page, `queues after ${action}`);
}
for (const path of ['', '/jobs', '/dead', '/schedule', '/audit', '/operators', '/nothing']) {
    await page.goto(`${shop}/admin${path}`);
    await examine(page, `admin${path}`);
}
await page.goto(`${shop}/admin/operators`);
await page.fill('#name', 'nightly-report');
await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await page.waitForSelector('#token');
await examine(page, 'a token that was made');
await page.goto(`${shop}/admin/jobs`);
await Promise.all([page.waitForNavigation(), page.click('main a[href^="/admin/jobs/"]')]);
await examine(page, 'one job');

await browser.close();
console.log(failures === 0 ? 'no accessibility violations' : `${failures} accessibility violations`);
process.exit(failures === 0 ? 0 : 1);
