// The console in Debian's Chromium: loads, moves, finds, opens and edits; takes nothing for HTML, asks nobody else, says
// no error. Arguments: the address of the AdminServer, and a directory for pictures. The server holds what
// tests/console.rs puts there and is under load meanwhile.
'use strict';
const assert = require('node:assert');
const path = require('node:path');
const puppeteer = require('puppeteer-core');

const [base, pictures] = process.argv.slice(2);
const wrong = [];
const asked = new Set();

(async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  try {
    const page = await browser.newPage();
    page.on('console', said => ['error', 'warn'].includes(said.type()) && wrong.push(said.text()));
    page.on('pageerror', error => wrong.push(String(error)));
    page.on('request', request => asked.add(new URL(request.url()).origin));
    page.on('dialog', dialog => dialog.accept());
    const text = selector => page.$eval(selector, found => found.textContent);
    const until = (what, ...given) => page.waitForFunction(what, { timeout: 20000, polling: 100 }, ...given);
    const has = (selector, wanted) =>
      until((selector, wanted) => document.querySelector(selector).textContent.includes(wanted), selector, wanted);
    const picture = name => page.screenshot({ path: path.join(pictures, name + '.png') });
    const link = async name => {
      const found = await page.evaluateHandle(
        name => [...document.querySelectorAll('#children button')].find(button => button.textContent === name), name);
      assert(found.asElement(), name + ' is not among the children');
      return found.asElement();
    };

    await page.setViewport({ width: 1280, height: 900 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await page.goto(base + '/');
    await has('#mode', 'standalone');
    // Plots move under load.
    await until(() => /now [1-9]\d* reads, [1-9]\d* writes/.test(document.querySelector('#rates-text').textContent));
    const line = () => page.$eval('#rates polyline', found => found.getAttribute('points'));
    const before = await line();
    await until(before => document.querySelector('#rates polyline').getAttribute('points') !== before, before);
    await picture('overview-light');
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await back();
    await page.click('#theme');
    assert.notStrictEqual(await back(), light, 'dark looks like light');
    await picture('overview-dark');

    // By keyboard alone.
    await page.keyboard.press('2');
    await has('#connections', '127.0.0.1:');
    await until(() => Number(document.querySelector('#connections tr:nth-child(2) td:nth-child(2)').textContent) > 0);
    await picture('clients-dark');
    await page.keyboard.press('3');
    await has('#watched', '/load');
    await page.keyboard.press('4');
    await has('#busiest', '/load');
    // The load's own node is the busiest, by its whole path.
    await until(() => {
      const cells = [...document.querySelectorAll('#busy-paths tr:nth-child(2) td')].map(cell => cell.textContent);
      return cells[0] === '/load/x' && Number(cells[1]) > 0 && Number(cells[2]) > 0;
    });
    await has('#by-data', '/big');
    await picture('nodes-dark');
    await page.keyboard.press('/');
    assert.strictEqual(await page.evaluate(() => document.activeElement.id), 'path');
    await page.keyboard.type('/');
    await page.keyboard.press('Enter');
    await has('#children', '<script>');

    // A node's name and data are only text.
    const scripts = await page.$$eval('script', found => found.length);
    for (const name of ['<script>window.hacked = 1', '<img src=x onerror="window.hacked = 1">']) {
      await (await link(name)).click();
      await until(name => document.querySelector('#path').value === '/' + name, name);
      assert.strictEqual(await page.$eval('#data', found => found.value), '<b onclick="hacked = 1">&amp;</b>');
      await picture('script-' + name.length);
      await page.click('#up');
      await until(() => document.querySelector('#path').value === '/');
    }
    assert.strictEqual(await page.$$eval('script', found => found.length), scripts);
    assert.strictEqual(await page.$$eval('main img', found => found.length), 0);
    assert.strictEqual(await page.evaluate(() => window.hacked), undefined);

    // What the ACL does not grant is not shown; a login opens it.
    await (await link('users')).click();
    await has('#data-title', 'not readable for you');
    assert(!(await page.content()).includes('of the user'));
    await page.type('#user', 'user');
    await page.type('#password', 'password');
    await page.click('#log');
    await until(() => document.querySelector('#data').value === 'of the user');

    // Edited, made and removed.
    await page.$eval('#data', found => { found.value = 'changed'; });
    await page.click('#save');
    await has('#note', 'Done.');
    await page.type('#child', 'made <here>');
    await page.click('#create');
    await until(() => document.querySelector('#path').value === '/users/made <here>');
    await page.click('#delete');
    await until(() => document.querySelector('#path').value === '/users');
    await has('#children-title', '0 of 0');
    await picture('tree-dark');
    await page.$eval('#path', found => { found.value = '/nothing'; });
    // The browser itself reports an answer of 404; that is no error of the page.
    const earlier = wrong.length;
    await page.focus('#path');
    await page.keyboard.press('Enter');
    await has('#note', 'There is no such znode.');
    assert(wrong.splice(earlier).every(said => said.includes('404')), 'an error beside the 404');

    // On a phone nothing sticks out.
    await page.setViewport({ width: 375, height: 740, isMobile: true, hasTouch: true });
    for (const part of ['overview', 'clients', 'watches', 'nodes', 'tree']) {
      await page.click('#tab-' + part);
      const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      assert(wide <= screen, `${part} is ${wide} wide on a screen of ${screen}`);
      await picture('phone-' + part);
    }
    // The browser's own control says that every button and field has a name.
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, textarea')]
      .filter(found => !found.textContent.trim() && !found.getAttribute('aria-label')).length);
    assert.strictEqual(nameless, 0);
    assert.deepStrictEqual(wrong, []);
    assert.deepStrictEqual([...asked], [new URL(base).origin]);
    console.log('the console works');
  } finally {
    await browser.close();
  }
})().catch(error => {
  console.error(error, wrong);
  process.exit(1);
});
