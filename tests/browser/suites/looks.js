// SPDX-License-Identifier: Apache-2.0
// The page at three sizes: screenshots for people to look at, and that nothing hangs out of the window.

import { join } from 'node:path';
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
