// SPDX-License-Identifier: Apache-2.0
// The page at three sizes: screenshots for people to look at, and that nothing hangs out of the window.

import { join } from 'node:path';
import { askForCode, giveCode, makeRoom } from '../lib/account.js';
import { assert, test, until } from '../lib/check.js';
import { OUTPUT } from '../lib/server.js';
import { world } from '../lib/world.js';

const SIZES = [[1440, 900], [820, 1180], [360, 740]];

test('the page at three sizes', () => world({ name: 'looks' }, async ({ person }) => {
  const others = [];
  for (const name of ['Grace Hopper', 'Alan Turing']) others.push(await person(name).joinRoom());
  const ada = await person('Ada Lovelace').joinRoom({ colorScheme: 'dark' });
  await until(() => ada.page.evaluate(() => [...document.querySelectorAll('.tile:not(.local) video')].filter((v) => v.videoWidth).length === 2), { what: 'two pictures' });
  for (const [width, height] of SIZES) {
    await ada.page.setViewportSize({ width, height });
    await ada.page.waitForTimeout(1200);
    await ada.page.screenshot({ path: join(OUTPUT, `room-${width}.png`) });
    assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `too wide at ${width}`);
    const unnamed = await ada.page.evaluate(() => [...document.querySelectorAll('#call button')]
      .filter((b) => b.checkVisibility() && !(b.getAttribute('aria-label') || b.textContent.trim())).length);
    assert.equal(unnamed, 0, 'buttons without a name');
  }
  await ada.page.emulateMedia({ colorScheme: 'light' });
  await ada.page.setViewportSize({ width: 1440, height: 900 });
  await ada.page.click('#people-toggle');
  await ada.page.waitForTimeout(800);
  await ada.page.screenshot({ path: join(OUTPUT, 'room-light.png') });
  const eve = person('Eve');
  await eve.open();
  await eve.page.goto(eve.server.link.href);
  await eve.page.waitForTimeout(800);
  await eve.page.screenshot({ path: join(OUTPUT, 'join.png') });
}));

test('the views before the call at three sizes', () => world({ name: 'looks-outside' }, async ({ server, person }) => {
  const ada = person('Ada');
  const page = await ada.open({ colorScheme: 'light', reducedMotion: 'reduce' });
  const look = async (/** @type {string} */ view) => {
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await page.screenshot({ path: join(OUTPUT, `${view}-${width}.png`) });
      // What is too wide hangs out of a dialog, or out of what scrolls.
      const wide = await page.evaluate(() => [...document.querySelectorAll('#outside, dialog[open]')].filter((box) => box.scrollWidth > box.clientWidth).map(({ id }) => id));
      assert.deepEqual(wide, [], `${view} is too wide at ${width}`);
    }
  };
  await page.goto(new URL('/', server.link).href);
  await look('home');
  await askForCode(ada);
  await giveCode(ada);
  await page.waitForSelector('#rooms-empty:not([hidden])');
  await page.click('#room-first');
  await page.click('#create summary');
  await look('create');
  await page.click('#create-cancel');
  await makeRoom(page, 'Weekly meeting of the garden club and its friends from abroad');
  await look('room-page');
  await page.click('.back');
  await page.waitForSelector('.room');
  await look('rooms');
  await page.click('.room-open');
  // Where the browser was allowed before, it looks by itself.
  await page.dispatchEvent('#preview-start', 'click');
  await page.waitForSelector('#preview.live');
  await look('lobby');
}));
