// SPDX-License-Identifier: Apache-2.0
// What the page says of what is done to one's call: that one was sent elsewhere, and that the call is about to end.

import { assert, test, until } from '../lib/check.js';
import { runBefore } from '../lib/people.js';
import { world } from '../lib/world.js';

test('the page says that one was moved, and in time that the call ends', () => world({ name: 'notices' }, async ({ person, server }) => {
  const token = await server.token('Olga');
  const make = async (/** @type {object} */ settings) => {
    const group = await server.api({ op: 'setgroup', token, type: 0, guests: 1, ...settings });
    assert.equal(group.result, 'OK', JSON.stringify(group));
    return group;
  };
  const one = await make({ name: 'One' });
  const two = await make({ name: 'Two', callDuration: 12 });
  const olga = await person('Olga').bare();
  await olga.enter({ gid: one.gid, pin: '', token });
  const link = new URL(`/?gid=${one.gid}&pin=${one.pin}`, server.link).href;
  const page = await person('Ada').open();
  // Who is signed in may be moved; a guest came for one group alone.
  const account = { token: await server.token('Ada'), uid: 0, name: 'Ada' };
  await runBefore(page, (one) => localStorage.setItem('millrace:account', JSON.stringify(one)), account);
  await page.goto(link);
  await page.click('#join-button');
  const uid = await until(() => olga.page.evaluate(() => [...window.h.room.people.values()].find(({ name }) => name === 'Ada')?.uid), { what: 'Ada is in the first' });
  await page.evaluate(() => {
    window.said = [];
    const toast = document.getElementById('toast');
    new MutationObserver(() => window.said.push(toast.textContent)).observe(toast, { childList: true });
  });
  assert.ok(await page.isHidden('#ending'));

  const answer = await fetch(new URL(`/v1/groups/${one.gid}/participants/${uid}/move`, server.link), {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ to: two.gid }),
  });
  assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
  await page.waitForSelector('#ending:not([hidden])');
  assert.match(await page.textContent('#ending') ?? '', /^This call ends in \d+ s$/);
  await page.waitForSelector('#ended:not([hidden])');
  assert.equal(await page.textContent('#ended-text'), 'Your time in it is over.');
  const said = await page.evaluate(() => window.said);
  assert.ok(said.includes('You are in Two now.'), said.join());
  assert.equal(said.filter((text) => /^This call ends in 1?\d seconds\.$/.test(text)).length, 1, said.join());
  assert.ok(await page.isHidden('#ending'));
}));

test('where sound comes out is chosen in the settings, and is kept', () => world({ name: 'output' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  const { page } = ada;
  await page.click('#settings-open');
  await until(() => page.evaluate(() => document.querySelectorAll('#set-output option').length > 1), { what: 'loudspeakers to choose from' });
  const chosen = await page.evaluate(() => [...document.getElementById('set-output').options].at(-1).value);
  await page.selectOption('#set-output', chosen);
  await until(() => page.evaluate((id) => localStorage.getItem('millrace:output-device') === JSON.stringify(id), chosen), { what: 'it is kept' });
  await page.click('#try-output');
  assert.ok(await page.isHidden('#toast') || !/cannot be used/.test(await page.textContent('#toast') ?? ''));
}), { chromium: 'which has fake loudspeakers' });
