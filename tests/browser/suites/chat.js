// SPDX-License-Identifier: Apache-2.0
// Two people talk to each other in writing.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** @param {import('../lib/people.js').Person} one */
const texts = (one) => one.page.locator('#chat-log li p').allTextContents();

test('two pages chat: unread, read, history, hands and reactions', () => world({ name: 'chat' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  const bob = await person('Bob').joinRoom();
  await ada.tile('Bob').waitFor();
  await ada.page.click('#chat-toggle');
  await ada.page.fill('#chat-text', 'Hello <b>Bob</b>');
  await ada.page.keyboard.press('Enter');
  await until(async () => (await bob.page.textContent('#chat-badge')) === '1', { what: 'Bob has one unread message' });
  await until(async () => (await ada.page.textContent('#chat-log .status')) === 'Delivered', { what: 'Ada sees that it arrived' });
  await bob.page.click('#chat-toggle');
  await until(async () => (await texts(bob)).includes('Hello <b>Bob</b>'), { what: 'Bob reads it, as text' });
  await until(async () => (await ada.page.textContent('#chat-log .status')) === 'Read', { what: 'Ada sees that it was read' });
  assert.equal(await bob.page.textContent('#chat-badge'), '');

  await until(async () => (await bob.page.locator('#chat-to option').count()) === 2, { what: 'Bob may choose Ada' });
  await bob.page.selectOption('#chat-to', { label: 'Ada' });
  await bob.page.fill('#chat-text', 'For you alone');
  await bob.page.click('#chat-form button[type=submit]');
  await until(async () => (await texts(ada)).includes('For you alone'), { what: 'Ada gets what is for her' });

  const eve = await person('Eve').joinRoom();
  await eve.page.click('#chat-toggle');
  await until(async () => (await texts(eve)).length === 1, { what: 'who comes later reads what was said to all' });
  assert.deepEqual(await texts(eve), ['Hello <b>Bob</b>']);

  await bob.page.click('#hand');
  await until(async () => (await eve.page.textContent('#hands'))?.includes('Bob'), { what: 'the raised hand is seen' });
  await bob.page.click('#hand');
  await eve.page.waitForSelector('#hands', { state: 'hidden' });
  await eve.page.click('#reactions button');
  await ada.page.waitForSelector('.reaction');
}));
