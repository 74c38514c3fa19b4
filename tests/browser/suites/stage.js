// SPDX-License-Identifier: Apache-2.0
// Who is shown large, and how one gets there: by talking, by hand, by keys.

import { Speaker } from '../../../src/web/app/speaker.js';
import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('who talks for a second is shown large, and a cough is not', async () => {
  /** @type {Speaker<string>} */
  const speaker = new Speaker();
  const all = ['ann', 'bob', 'cem'];
  assert.equal(speaker.shown(0, all), 'ann', 'the first one, while nobody talks');
  speaker.hear(1000, ['bob']);
  assert.equal(speaker.shown(1900, all), 'ann');
  speaker.hear(1950, []);
  assert.equal(speaker.shown(3000, all), 'ann', 'a cough');
  speaker.hear(4000, ['bob']);
  assert.equal(speaker.shown(5000, all), 'bob');
  speaker.hear(5500, ['cem', 'bob']);
  assert.equal(speaker.shown(9000, all), 'bob', 'who interrupts waits');
  speaker.hear(9500, ['cem']);
  assert.equal(speaker.shown(9500, all), 'cem');
  speaker.hear(9900, []);
  assert.equal(speaker.shown(20_000, all), 'cem', 'who talked last');
  assert.equal(speaker.shown(20_100, ['ann', 'bob']), 'ann', 'who left is not shown');
  assert.equal(speaker.shown(20_200, []), undefined);
});

test('the stage follows who talks, and a pin holds it', () => world({ name: 'stage' }, async ({ person }) => {
  const [bob, cem] = [person('Bob'), person('Cem')];
  for (const one of [bob, cem]) await one.joinRoom();
  const ada = await person('Ada').joinRoom();
  const { page } = ada;
  for (const name of ['Bob', 'Cem']) await ada.tile(name).waitFor();
  const large = () => page.evaluate(() => document.querySelector('#stage .tile .name')?.textContent);
  const muted = async (/** @type {import('../lib/people.js').Person} */ one, /** @type {boolean} */ on) => {
    if ((await one.page.getAttribute('#mic', 'aria-pressed')) === String(on)) await one.page.click('#mic');
    await one.page.waitForSelector(`#mic[aria-pressed="${!on}"]`);
  };
  assert.equal(await large(), undefined);
  await muted(bob, true);
  await muted(cem, true);
  await page.keyboard.press('l');
  await page.waitForSelector('#stage .tile');
  for (const [one, other] of [[cem, bob], [bob, cem]]) {
    await muted(other, true);
    await muted(one, false);
    await until(async () => (await large()) === one.name, { what: `${one.name} talks and is large` });
  }
  // What is large gets more pixels than what is beside it.
  const width = (/** @type {string} */ name) => ada.tile(name).locator('video').evaluate((video) => video.videoWidth);
  await until(async () => (await width('Bob')) > (await width('Cem')), { what: 'a larger picture for the stage' });
  await ada.tile('Cem').hover();
  await ada.tile('Cem').locator('.pin-button').click();
  await until(async () => (await large()) === 'Cem', { what: 'what was pinned is large' });
  await page.waitForTimeout(2000);
  assert.equal(await large(), 'Cem', 'Bob talks, and the pin holds');
  await page.keyboard.press('Escape');
  await until(async () => (await large()) === 'Bob', { what: 'who talks, again' });
  await page.keyboard.press('l');
  await until(async () => (await large()) === undefined, { what: 'all alike' });
}));

test('keys do what the sheet says, and nothing while one writes', () => world({ name: 'keys' }, async ({ person }) => {
  await person('Bob').joinRoom();
  const ada = await person('Ada').joinRoom();
  const { page } = ada;
  await ada.tile('Bob').waitFor();
  await page.keyboard.press('?');
  await page.waitForSelector('#help[open]');
  const keys = await page.locator('#help kbd').allTextContents();
  assert.deepEqual(keys, ['M', 'V', 'S', 'H', 'P', 'C', 'L', 'F', 'I', 'Esc', '?']);
  await page.keyboard.press('p');
  assert.ok(await page.isHidden('#people'), 'keys are asleep under the sheet');
  await page.keyboard.press('Escape');
  // The browser closes a sheet when it has time.
  await page.waitForSelector('#help:not([open])', { state: 'attached' });
  await page.keyboard.press('p');
  await page.waitForSelector('#people:not([hidden])');
  await page.keyboard.press('h');
  await page.waitForSelector('#hand[aria-pressed="true"]');
  await page.keyboard.press('m');
  await page.waitForSelector('#mic[aria-pressed="false"]');
  await page.keyboard.press('c');
  await page.fill('#chat-text', '');
  await page.type('#chat-text', 'mvp?');
  assert.equal(await page.inputValue('#chat-text'), 'mvp?');
  assert.ok(await page.isHidden('#help') && (await page.getAttribute('#mic', 'aria-pressed')) === 'false');
  await page.click('#chat-close');
  await page.click('#full');
  await page.waitForSelector('#full[aria-pressed="true"]');
  await page.keyboard.press('f');
  await page.waitForSelector('#full[aria-pressed="false"]');
  await ada.tile('Bob').hover();
  await ada.tile('Bob').locator('.full-button').click();
  await until(() => page.evaluate(() => document.fullscreenElement?.classList.contains('tile')), { what: 'one tile in full screen' });
}));

test('the call goes on in a small window: who talks, and the buttons for a hurry', () => world({ name: 'float' }, async ({ person }) => {
  const bob = await person('Bob').joinRoom();
  const ada = await person('Ada').joinRoom();
  const { page } = ada;
  await until(() => ada.tile('Bob').locator('video').evaluate((video) => video.videoWidth >= 640), { what: 'Bob is seen, in the page' });
  await page.keyboard.press('i');
  const small = (/** @type {string} */ what) => page.evaluate(`(() => {
    const { document: page } = window.documentPictureInPicture.window ?? {};
    return page && (${what});
  })()`);
  await until(() => small("page.querySelector('video').videoWidth > 0 && page.querySelector('video').videoWidth <= 640"), { what: 'Bob is seen, as small as the window' });
  assert.equal(await small("page.querySelector('.name').textContent"), 'Bob');
  assert.equal(await small("page.querySelector('video').muted"), true, 'he is heard once');
  await small("page.getElementById('mic').click()");
  await page.waitForSelector('#mic[aria-pressed="false"]');
  await until(() => small("page.getElementById('mic').getAttribute('aria-pressed') === 'false'"), { what: 'the small button follows' });
  await bob.page.click('#cam');
  await until(() => small("page.querySelector('.tile').classList.contains('dark') && page.querySelector('.avatar').textContent === 'B'"), { what: 'Bob without his camera' });
  await bob.page.click('#cam');
  await page.keyboard.press('i');
  await until(() => page.evaluate(() => !window.documentPictureInPicture.window), { what: 'it is closed' });
  await until(() => ada.tile('Bob').locator('video').evaluate((video) => video.videoWidth >= 640), { what: 'Bob is as large as his tile' });
}));

test('who shares a screen is told so, and may stop there', () => world({ name: 'presenting' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  const { page } = ada;
  await page.evaluate(() => {
    // A headless browser has no screen to choose.
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = document.createElement('canvas');
      canvas.getContext('2d').fillRect(0, 0, 10, 10);
      return canvas.captureStream(5);
    };
  });
  await page.click('#screen');
  await page.waitForSelector('#presenting:not([hidden])');
  await page.click('#present-stop');
  await page.waitForSelector('#presenting', { state: 'hidden' });
  await page.waitForSelector('#screen[aria-pressed="false"]');
}));
