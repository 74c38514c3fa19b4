// SPDX-License-Identifier: Apache-2.0
// Each view in dark and light: axe finds nothing serious; and the first load stays small.

import { askForCode, giveCode, makeRoom } from '../lib/account.js';
import { AXE, findings } from '../lib/axe.js';
import { assert, note, test } from '../lib/check.js';
import { world } from '../lib/world.js';

const FIRST_LOAD = 150 * 1024;

test('axe finds nothing serious in any view', () => world({ name: 'accessible' }, async ({ server, person }) => {
  for (const name of ['Bob', 'Cem']) await person(name).joinRoom();
  const ada = person('Ada');
  const page = await ada.open();
  await page.addInitScript(AXE);
  await page.goto(server.link.href);
  await page.click('#preview-cam');
  const all = await findings(page, 'join, camera off');
  await page.click('#preview-cam');
  await page.waitForSelector('#preview.live');
  all.push(...await findings(page, 'join'));
  await page.fill('#name', 'Ada');
  await page.click('#join-button');
  await ada.tile('Bob').waitFor();
  await page.click('#people-toggle');
  await page.waitForSelector('#people-list li:nth-child(2)');
  all.push(...await findings(page, 'people'));
  await page.click('#chat-toggle');
  await page.fill('#chat-text', 'Hello');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#chat-log .status');
  all.push(...await findings(page, 'chat'));
  await page.click('#chat-close');
  await page.click('#settings-open');
  all.push(...await findings(page, 'settings'));
  await page.click('#help-open');
  all.push(...await findings(page, 'shortcuts'));
  await page.keyboard.press('Escape');
  await page.click('#layout');
  await page.waitForSelector('#stage .tile');
  all.push(...await findings(page, 'who talks large'));
  await page.click('#leave');
  await page.waitForSelector('#ended:not([hidden])');
  all.push(...await findings(page, 'ended'));
  assert.deepEqual(all, []);
}));

test('axe finds nothing serious before the call', () => world({ name: 'accessible-outside' }, async ({ server, person }) => {
  const ada = person('Ada');
  const page = await ada.open();
  await page.addInitScript(AXE);
  await page.goto(new URL('/', server.link).href);
  const all = await findings(page, 'home');
  await askForCode(ada);
  all.push(...await findings(page, 'code'));
  await giveCode(ada);
  await page.waitForSelector('#rooms-empty:not([hidden])');
  all.push(...await findings(page, 'no rooms'));
  await page.click('#room-first');
  await page.click('#create summary');
  all.push(...await findings(page, 'create'));
  await page.click('#create-cancel');
  await makeRoom(page, 'Garden club');
  all.push(...await findings(page, 'room'));
  await page.click('.invite .more');
  await page.click('#menu >> text=New pin');
  all.push(...await findings(page, 'question'));
  await page.click('#ask-no');
  await page.click('.back');
  await page.click('.room .more');
  all.push(...await findings(page, 'rooms'));
  await page.keyboard.press('Escape');
  await page.click('.room-open');
  // Where the browser was allowed before, it looks by itself.
  await page.dispatchEvent('#preview-start', 'click');
  await page.waitForSelector('#preview.live');
  all.push(...await findings(page, 'lobby'));
  await page.click('#join-button');
  await page.waitForSelector('#call:not([hidden])');
  await page.click('#copy');
  await page.waitForSelector('#invite .invite .primary');
  all.push(...await findings(page, 'invite'));
  assert.deepEqual(all, []);
}));

test('a first load transfers less than 150 KB, by a link and without', () => world({ name: 'first-load' }, async ({ server, person }) => {
  for (const path of [server.link.href, new URL('/', server.link).href]) {
    const page = await person('Ada').open();
    /** @type {Promise<number>[]} */
    const sizes = [];
    page.on('requestfinished', (request) => {
      sizes.push(request.sizes().then(({ responseBodySize, responseHeadersSize }) => responseBodySize + responseHeadersSize));
    });
    await page.goto(path, { waitUntil: 'networkidle' });
    const sum = (await Promise.all(sizes)).reduce((total, size) => total + size, 0);
    note(`${new URL(path).search ? 'by a link' : 'without'}: ${sizes.length} files, ${(sum / 1024).toFixed(1)} KB`);
    assert.ok(sizes.length > 5 && sum > 10_000, `only ${sizes.length} files with ${sum} bytes were counted`);
    assert.ok(sum < FIRST_LOAD, `${sum} bytes`);
  }
}));
