// SPDX-License-Identifier: Apache-2.0
// An owner moderates a call.

import { come, copied, linkIn, makeRoom, signIn } from '../lib/account.js';
import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('an owner mutes, asks, and brings a viewer to the stage and back', () => world({ name: 'moderation' }, async ({ person, server }) => {
  const token = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token, name: 'Lecture', resolution: 0, type: 1, guests: 1 });
  const olga = await person('Olga').bare();
  await olga.enter({ gid: group.gid, pin: '', token });
  await olga.publish({ source: 'camera' });
  const vera = person('Vera');
  await vera.open();
  await vera.page.goto(new URL(`/?gid=${group.gid}&pin=${group.spin}`, server.link).href);
  await vera.page.fill('#name', 'Vera');
  await vera.page.click('#join-button');
  await vera.tile('Olga').waitFor();
  const watched = () => vera.page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth > 0);
  await until(watched, { what: 'Vera sees Olga' });
  await vera.page.waitForSelector('#role:not([hidden])');

  // A webinar names nobody who only watches; a raised hand does.
  await vera.page.click('#hand');
  const uid = await olga.page.evaluate(async () => {
    await window.h.until(() => window.h.room.chat.hands.size === 1);
    return [...window.h.room.chat.hands.keys()][0];
  });
  await olga.page.evaluate(async (who) => {
    await window.h.room.edit([who], { rights: { publish: true } });
    await window.h.room.moderate('publish', { people: [who] });
  }, uid);
  await vera.page.waitForSelector('#asked:not([hidden])');
  assert.match(await vera.page.textContent('#asked-text'), /Olga asks you to come on the stage/);
  await vera.page.click('#asked-yes');
  await vera.tile('Vera').waitFor();
  await olga.page.evaluate(() => window.h.until(() => [...window.h.room.streams.values()].some(({ muted }) => !muted.audio)));

  await olga.page.evaluate((who) => window.h.room.moderate('mute', { people: [who], audio: true }), uid);
  await vera.page.waitForSelector('.tile.local.muted-audio');
  await olga.page.evaluate(() => window.h.until(() => [...window.h.room.streams.values()].every(({ muted }) => muted.audio)));
  await olga.page.evaluate((who) => window.h.room.moderate('unmute', { people: [who], audio: true }), uid);
  await vera.page.click('#asked-yes');
  await vera.page.waitForSelector('.tile.local:not(.muted-audio)');

  await olga.page.evaluate((who) => window.h.room.edit([who], { rights: { publish: false } }), uid);
  await vera.page.waitForSelector('#role:not([hidden])');
  await until(async () => (await vera.page.locator('.tile.local').count()) === 0, { what: 'Vera is off the stage' });
  assert.equal(await watched(), true);
  await olga.page.evaluate((who) => window.h.room.moderate('remove', { people: [who] }), uid);
  await vera.page.waitForSelector('#ended:not([hidden])');
}));

test('an owner mutes and removes somebody from the list of people, by the keyboard alone', () => world({ name: 'people-menu' }, async ({ person }) => {
  const page = await signIn(person('Ada'));
  await makeRoom(page, 'Seminar');
  const link = linkIn(await copied(page, 'participants'));
  const bob = await come(person('Bob'), link);
  await bob.tile('Bob').waitFor();
  await page.click('#room-join');
  await page.waitForSelector('#join:not([hidden])');
  await page.click('#join-button');
  await page.click('#people-toggle');
  // The keyboard is that of the page in front.
  await page.bringToFront();
  await page.focus('#people-list .more');
  const focused = () => page.evaluate(() => document.activeElement?.ariaLabel ?? document.activeElement?.textContent);
  const choose = async (/** @type {string} */ first, /** @type {string} */ key) => {
    await page.keyboard.press('Enter');
    await page.waitForSelector('#menu [role=menuitem]:focus');
    assert.equal(await focused(), first);
    await page.keyboard.press(key);
  };

  // The list is painted again meanwhile, and the focus goes back to where it came from all the same.
  await choose('Mute', 'End');
  assert.equal(await focused(), 'Remove Bob');
  await come(person('Cem'), link);
  await page.waitForSelector('#people-list li:nth-child(3)');
  await page.bringToFront();
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'What you may do for Bob');

  await choose('Mute', 'Enter');
  await bob.page.waitForSelector('.tile.local.muted-audio');
  assert.equal(await focused(), 'What you may do for Bob');
  await choose('Mute', 'End');
  await page.keyboard.press('Enter');
  await bob.page.waitForSelector('#ended:not([hidden])');
}));
