// Opens pages in headless Chromium and checks that they work: `node check.cjs PAGE…`.
// See README.md beside this file.

const { chromium } = require('playwright-core');
const path = require('node:path');

const FRAME_MS_MAX = 34; // two frames at 60 Hz, on a machine without a graphics card

async function main(pages) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  let failures = 0;
  for (const page of pages) failures += await check(browser, path.resolve(page));
  await browser.close();
  process.exitCode = failures ? 1 : 0;
}

async function check(browser, file) {
  const problems = [];
  const expect = (isSo, what) => { if (!isSo) problems.push(what); };
  const context = await browser.newContext({ viewport: { width: 1600, height: 960 }, colorScheme: 'light' });
  const page = await context.newPage();
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`error: ${error.stack}`));
  page.on('request', (request) => { if (!request.url().startsWith('file:') || request.url() !== 'file://' + file) problems.push(`asks for ${request.url()}`); });

  await page.goto('file://' + file);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const paint = await page.evaluate(() => Math.round(performance.now()));
  const about = await page.evaluate(() => ({ steps: run.count, isBroken: Boolean(run.head.broken), messages: run.messages.size }));
  const shot = async (name) => {
    await page.waitForTimeout(120);
    await page.screenshot({ path: file.replace(/\.html$/, `-${name}.png`) });
  };
  await shot('open');

  // What was drawn is not one colour, and the failure is in view.
  const hasInk = await page.evaluate(() => {
    const canvas = document.getElementById('diagram');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    for (let k = 0; k < data.length; k += 64) colours.add((data[k] << 16) | (data[k + 1] << 8) | data[k + 2]);
    return colours.size;
  });
  expect(hasInk > 4, `the diagram has ${hasInk} colours`);
  if (about.isBroken) {
    const x = await page.evaluate(() => [scale.x(run.at[run.count - 1]), scale.left, scale.width, view.selected, run.count]);
    expect(x[0] > x[1] && x[0] < x[2], `the failure is at ${x[0]}, out of ${x[1]}..${x[2]}`);
    expect(x[3] === x[4] - 1, 'the last event is not selected');
    expect((await page.textContent('#words')).length > 20, 'no words for the rule');
  }

  const inView = () => page.evaluate(() => [scale.u0, scale.u1]);
  const box = await page.locator('#diagram').boundingBox();
  const [cx, cy] = [box.x + box.width * 0.6, box.y + box.height * 0.6];
  await page.mouse.move(cx, cy);
  let before = await inView();
  await page.mouse.wheel(0, -400);
  let after = await inView();
  expect(after[1] - after[0] < before[1] - before[0], 'the wheel does not zoom in');
  before = after;
  await page.mouse.down();
  await page.mouse.move(cx + 120, cy, { steps: 4 });
  await page.mouse.up();
  after = await inView();
  expect(after[0] < before[0], 'dragging does not pan');
  await page.focus('#diagram');
  before = await inView();
  await page.keyboard.press('ArrowRight');
  after = await inView();
  expect(after[0] > before[0], 'the arrow key does not pan');
  await page.keyboard.press('0');
  await page.keyboard.press('+');
  expect((await inView())[1] - (await inView())[0] > 0, 'the plus key breaks the view');

  // Frames while panning over the whole run, at three depths.
  const frames = await page.evaluate(async () => {
    const times = {};
    for (const [name, size] of [['all', 1], ['tenth', 0.1], ['hundredth', 0.01]]) {
      const whole = scale.unit(run.end);
      const all = [];
      for (let k = 0; k < 40; k++) {
        const u = (k / 40) * whole * (1 - size);
        scale.show(u, u + whole * size);
        const begin = performance.now();
        drawOverview($('overview')); drawDiagram($('diagram')); drawGrid($('grid'));
        all.push(performance.now() - begin);
        await new Promise(requestAnimationFrame);
      }
      all.sort((a, b) => a - b);
      times[name] = [all[20], all[37]].map((ms) => Math.round(ms * 10) / 10);
    }
    return times;
  });
  for (const [name, [median]] of Object.entries(frames)) expect(median < FRAME_MS_MAX, `a frame (${name}) takes ${median} ms`);

  // Filters, search, selection.
  await page.keyboard.press('0');
  await shot('all');
  const shown = () => page.evaluate(() => view.shown.reduce((a, b) => a + b, 0));
  const every = await shown();
  expect(every === about.messages || (await page.evaluate(() => view.group >= 0)), 'messages are hidden at opening');
  await page.locator('#legend button', { hasText: /^accept$/ }).first().click();
  expect(await shown() < every, 'hiding a kind of message hides nothing');
  await page.locator('#legend button', { hasText: /^accept$/ }).first().click();
  if (await page.locator('#nodes button').count()) {
    await page.locator('#nodes button').first().click();
    expect(await shown() < every, 'hiding a node hides nothing');
    await page.locator('#nodes button').first().click();
  }
  expect(await shown() === every, 'showing again does not bring everything back');
  await page.keyboard.press('i');
  await page.keyboard.type('1');
  await page.keyboard.press('Enter');
  expect(await shown() < every, 'one instance has all messages');
  await shot('instance');
  await page.keyboard.press('Escape');
  await page.focus('#diagram');
  await page.keyboard.press('Escape');
  expect(await shown() === every, 'Escape does not let go');
  await page.keyboard.press('/');
  await page.keyboard.type('leads');
  await page.keyboard.press('Enter');
  const found = await page.evaluate(() => [list.matches.length, view.selected, view.selected >= 0 ? lineOf(view.selected) : '']);
  expect(found[0] > 0 && /leads/.test(found[2]), `the search found ${found}`);
  await page.focus('#diagram');
  await page.keyboard.press('j');
  expect((await page.evaluate(() => view.selected)) !== found[1], 'j does not step');
  expect((await page.textContent('#details')).length > 20, 'no details');
  const arrow = await page.evaluate(() => {
    const s = arrows.find((s) => { const [x0, , x1] = wayOf(s); return Math.min(x0, x1) > LABELS + 20 && Math.max(x0, x1) < scale.width - 20; });
    if (s === undefined) return null;
    const [x0, y0, x1, y1] = wayOf(s);
    return [x0 * 0.4 + x1 * 0.6, y0 * 0.4 + y1 * 0.6];
  });
  if (arrow) {
    await page.mouse.click(box.x + arrow[0], box.y + arrow[1]);
    expect((await page.evaluate(() => view.selected)) >= 0, 'a click on an arrow selects nothing');
    await page.keyboard.press('c');
    expect(await page.evaluate(() => Boolean(view.past)), 'c shows no causes');
    await shot('causes');
    await page.keyboard.press('c');
  }

  // Themes: the system's, then the switch.
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForTimeout(100);
  const dark = await ground();
  expect(light !== dark, 'the system’s dark theme changes nothing');
  await page.keyboard.press('t');
  expect(await ground() === light, 't does not switch the theme');
  await page.keyboard.press('t');
  await page.keyboard.press('f');
  await shot('dark');

  console.log(`${path.basename(file)}: ${about.steps} steps, first paint after ${paint} ms, frames (median, 95 %) ${JSON.stringify(frames)}`);
  for (const problem of problems) console.log(`  WRONG: ${problem}`);
  if (!problems.length) console.log('  all is well');
  await context.close();
  return problems.length;
}

main(process.argv.slice(2));
