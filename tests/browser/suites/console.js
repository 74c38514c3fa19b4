// SPDX-License-Identifier: Apache-2.0
// The admin console: what an operator sees of a call, and does to it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AXE, findings } from '../lib/axe.js';
import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** @param {import('../lib/server.js').Server} server */
const adminToken = (server) => readFileSync(join(server.data, 'admin.token'), 'utf8').trim();

/** Two who see and hear each other. */
async function call(person) {
  const people = [person('Ada'), person('Bob')];
  for (const one of people) {
    await one.bare();
    await one.enter();
    await one.publish({ source: 'camera' });
  }
  for (const one of people) await one.watch(480, 270);
  return people;
}

test('the console tells a wrong token in a sentence, and keeps a good one in this tab', () => world({ name: 'console-token' }, async ({ server, person }) => {
  const page = await person('Op').open();
  await page.goto(new URL('/admin', server.link).href);
  await page.fill('#token', 'not the token');
  await page.keyboard.press('Enter');
  await until(() => page.textContent('#sign-in-error'), { what: 'a sentence' });
  assert.match(await page.textContent('#sign-in-error'), /^This token is wrong: .*admin\.token.*\.$/);
  assert.equal(await page.isHidden('#console'), true);
  await page.fill('#token', adminToken(server));
  await page.keyboard.press('Enter');
  await page.waitForSelector('#load:not([hidden])');
  await page.reload();
  await page.waitForSelector('#load:not([hidden])');
  await page.click('#sign-out');
  await page.reload();
  await page.waitForSelector('#sign-in:not([hidden])');

  // A user's own token shows that user's rooms, and nothing of the server.
  const token = await server.token('Olga');
  await server.api({ op: 'setgroup', token, name: 'Olga’s room' });
  await page.fill('#token', token);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#console:not([hidden])');
  await page.click('#calls-all');
  await page.waitForSelector('#calls-table table:not([hidden]) tbody tr');
  assert.deepEqual(await page.locator('#calls-table table:not([hidden]) tbody th').allTextContents(), ['Olga’s room']);
  assert.equal(await page.isHidden('#load'), true);
}));

test('the console shows a call with rates, layers and why, and mutes, limits and removes', () => world({ name: 'console' }, async ({ server, person }) => {
  const [ada, bob] = await call(person);
  const page = await person('Op').open();
  await page.goto(new URL('/admin', server.link).href);
  await page.fill('#token', adminToken(server));
  await page.keyboard.press('Enter');

  // The server's load has points, one a second.
  const points = () => page.evaluate(() => [...document.querySelectorAll('#charts .chart')].map((chart) => (chart.querySelector('.line')?.getAttribute('d') ?? '').split(/[ML]/).length - 1));
  await until(async () => (await points()).every((count) => count >= 3), { what: 'plots with points' });

  // Keys alone lead to a person.
  await page.locator('#calls-table tbody button').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('#people-table tbody tr:nth-child(2)');
  const cells = (/** @type {string} */ name) => page.locator('#people-table tbody tr', { hasText: name }).locator('td').allTextContents();
  const bitRate = /^[1-9][\d.]* [kM]?bit\/s$/;
  await until(async () => {
    const [sends, views, incoming, outgoing] = await cells('Ada');
    return sends === '1' && views === '1' && bitRate.test(incoming) && bitRate.test(outgoing);
  }, { what: 'Ada with rates in and out' });
  await page.keyboard.press('/');
  await page.keyboard.type('ad');
  await until(async () => (await page.locator('#people-table tbody tr').count()) === 1, { what: 'Ada alone' });
  await page.click('#people-table tbody button');
  await page.waitForSelector('#person:not([hidden])');

  const rows = (/** @type {string} */ id) => page.locator(`#${id} tbody tr`).evaluateAll((lines) => lines.map((line) => [...line.children].map((cell) => cell.textContent)));
  const layer = await until(async () => (await rows('person-sends')).find(([, size, rate, fps]) => /×/.test(size) && bitRate.test(rate) && Number(fps) > 5), { what: 'a layer that arrives' });
  assert.equal(layer[4], 'wanted');
  await until(async () => (await rows('person-sends')).some(([, size, rate]) => size === 'sound' && bitRate.test(rate)), { what: 'sound that arrives' });
  const view = await until(async () => (await rows('person-gets')).find(([, , , , video, sound]) => bitRate.test(video) && bitRate.test(sound)), { what: 'a view with rates' });
  assert.match(view[1], /^\d+×\d+$/);
  assert.ok(['size wanted', 'estimate', 'publisher', 'limits', 'awaits keyframe'].includes(view[2]), view[2]);
  assert.equal(view[3], '480×270');

  // Muting mutes.
  await page.click('#mute-sound');
  await bob.page.evaluate(() => window.h.until(() => [...window.h.room.streams.values()].every(({ muted }) => muted.audio)));
  await until(async () => (await rows('person-sends')).some(([, size, , , state]) => size === 'sound' && state === 'muted'), { what: 'muted sound in the console' });
  assert.equal(await page.isDisabled('#mute-sound'), true);

  // A limit takes effect: the second layer is refused, and the publisher is told.
  await page.selectOption('#limits [name="simulcastLayers"]', '1');
  await page.fill('#limits [name="maxPublishKbps"]', '100');
  await page.click('#limits button[type="submit"]');
  await until(async () => /at most 100 kbit\/s/.test((await rows('person-sends'))[0]?.[4] ?? ''), { what: 'the limit at the stream' });
  await until(async () => (await rows('person-sends')).every(([, size, rate]) => !/×/.test(size) || !/M|[2-9]\d\d k/.test(rate)), { what: 'layers within the limit' });

  // Who is removed is out.
  await page.click('#person-remove');
  await page.click('#person-remove');
  await ada.page.evaluate(() => window.h.until(() => window.h.client.rooms.size === 0));
  await page.waitForSelector('#person', { state: 'hidden' });
  await page.fill('#people-search', '');
  await until(async () => (await page.locator('#people-table tbody tr').allTextContents()).every((line) => !line.startsWith('Ada')), { what: 'Ada is gone' });
}));

test('axe finds nothing serious in the console, which fits a phone', () => world({ name: 'console-looks' }, async ({ server, person }) => {
  await call(person);
  const page = await person('Op').open();
  await page.addInitScript(AXE);
  await page.goto(new URL('/admin', server.link).href);
  const all = await findings(page, 'sign in');
  await page.fill('#token', adminToken(server));
  await page.keyboard.press('Enter');
  await page.click('#calls-table tbody button');
  await page.waitForSelector('#people-table tbody tr');
  all.push(...await findings(page, 'room'));
  await page.click('#people-table tbody button');
  await page.waitForSelector('#person-gets tbody tr');
  all.push(...await findings(page, 'person'));
  assert.deepEqual(all, []);
  for (const width of [820, 360]) {
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.evaluate(() => document.querySelector('.console').scrollWidth <= innerWidth), true, `${width} px`);
  }
}));
