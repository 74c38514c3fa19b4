// SPDX-License-Identifier: Apache-2.0
// Browsers play no sound on a page that nobody has touched: the page is told, plays silently, and is heard at the first click.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

const STRICT = ['--autoplay-policy=document-user-activation-required'];

/**
 * Runs something in a page without anybody having touched it: Playwright's own way counts as a gesture.
 * @param {import('../lib/people.js').Person} one
 */
async function untouched(one) {
  const page = await one.open();
  await one.serveHarness(page);
  const tools = await page.context().newCDPSession(page);
  return async (/** @type {string} */ expression) => {
    const { result, exceptionDetails } = await tools.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: false });
    assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
    return result.value;
  };
}

test('a stream of sound alone plays in a video element that waited for it', () => world({ name: 'sound-alone' }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera', video: false });
  const how = await bob.page.evaluate(async () => {
    window.box = document.createElement('video');
    document.body.append(window.box);
    return window.h.room.watch(await window.h.stream()).attach(window.box);
  });
  assert.equal(how, 'playing');
  await until(() => bob.page.evaluate(() => window.box.currentTime > 0.2), { what: 'its time goes on' });
}));

test('who gives a stream an element that has it already is told of its beginning as the first is', () => world({ name: 'attached-twice' }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  const how = await bob.page.evaluate(async () => {
    const box = document.createElement('video');
    box.muted = true;
    document.body.append(box);
    const view = window.h.room.watch(await window.h.stream());
    return Promise.race([
      Promise.all([view.attach(box), view.attach(box)]),
      new Promise((resolve) => setTimeout(() => resolve('one waits for ever'), 20_000)),
    ]);
  });
  assert.deepEqual(how, ['playing', 'playing']);
}));

test('sound that the browser refuses: the page is told, and it comes with the first click', () => world({ name: 'autoplay', chromium: STRICT }, async ({ server, person }) => {
  const ada = await person('Ada').bare();
  await ada.enter();
  await ada.publish({ source: 'camera' });
  const bob = person('Bob');
  const run = await untouched(bob);
  await run(`import('/harness.js').then(() => window.h.enter(${JSON.stringify({ gid: server.gid, pin: server.pin, name: 'Bob' })}))`);
  const how = await run(`(async () => {
    window.told = [];
    window.h.client.playback.on('blocked', (blocked) => window.told.push(blocked));
    window.box = document.createElement('video');
    document.body.append(window.box);
    return window.h.room.watch(await window.h.stream()).attach(window.box);
  })()`);
  assert.equal(how, 'muted');
  const now = () => run('({ muted: window.box.muted, paused: window.box.paused, told: window.told, blocked: window.h.client.playback.blocked })');
  assert.deepEqual(await now(), { muted: true, paused: false, told: [true], blocked: true });
  await until(() => run('window.box.videoWidth > 0'), { what: 'the picture plays' });
  // A page may try by itself; the browser still refuses.
  assert.equal(await run('window.h.client.playback.resume()'), false);
  await until(() => run('window.box.muted && !window.box.paused'), { what: 'it plays silently again' });
  await bob.page.mouse.click(5, 5);
  await until(() => run('!window.h.client.playback.blocked'), { what: 'the click brings the sound' });
  assert.deepEqual(await now(), { muted: false, paused: false, told: [true, false], blocked: false });
}), { chromium: 'which takes the policy as an argument' });

test('sound that the browser refuses: a page of the hosted platform plays silently, and is heard at the first click', () => world({ name: 'autoplay-mesibo', chromium: STRICT }, async ({ server, person }) => {
  const ada = await person('Ada').bare();
  await ada.enter();
  await ada.publish({ source: 'camera' });
  const bob = person('Bob');
  const run = await untouched(bob);
  const { token } = await server.api({ op: 'guest', gid: server.gid, pin: server.pin, name: 'Bob' });
  await run(`import('/sdk/millrace.js').then(({ Mesibo }) => {
    document.body.innerHTML = '<video id="box"></video>';
    window.box = document.getElementById('box');
    const api = new Mesibo();
    api.setCredentials(${JSON.stringify(token)});
    api.setListener({ Mesibo_OnParticipants: (all, latest) => latest.forEach((one) => one.call(null, 'box', () => one.attach('box'), () => {})) });
    api.start();
    api.initGroupCall().setRoom(${server.gid});
  })`);
  await until(() => run('window.box.videoWidth > 0 && window.box.muted && !window.box.paused'), { what: 'the picture plays, silently' });
  await bob.page.mouse.click(5, 5);
  await until(() => run('!window.box.muted && !window.box.paused'), { what: 'the click brings the sound' });
}), { chromium: 'which takes the policy as an argument' });
