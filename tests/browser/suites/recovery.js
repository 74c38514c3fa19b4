// SPDX-License-Identifier: Apache-2.0
// Things break and heal by themselves.

import { assert, test, time, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** @param {import('../lib/people.js').Person} one */
const sees = (one) => one.page.evaluate(async () => {
  const video = document.querySelector('.tile:not(.local):not(.stale) video');
  const before = video?.currentTime ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 300));
  return Boolean(video?.videoWidth) && video.currentTime > before;
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`the server is restarted after ${signal} and the pages recover by themselves`, () => world({ name: `restart-${signal}` }, async ({ server, person }) => {
    const ada = await person('Ada').joinRoom();
    const bob = await person('Bob').joinRoom();
    await until(() => sees(ada), { what: 'Ada sees Bob' });
    await until(() => sees(bob), { what: 'Bob sees Ada' });
    await server.stop(signal);
    if (signal === 'SIGTERM') await ada.page.waitForSelector('#reconnecting:not([hidden])', { timeout: 20_000 });
    await server.run();
    const started = Date.now();
    await until(() => ada.page.evaluate(() => document.getElementById('reconnecting').hidden), { what: 'the banner goes', ms: 40_000 });
    // Each must hear of the other anew and see pictures that move.
    await until(async () => (await sees(ada)) && (await sees(bob)), { what: 'both see each other again', ms: 60_000 });
    time('from the start of the server until both see each other', Date.now() - started);
    assert.equal(await ada.page.locator('.tile:not(.local)').count(), 1);
  }));
}

test('a successor takes the server\'s place and both go on seeing each other, with nothing done by hand', () => world({ name: 'successor' }, async ({ server, person }) => {
  const ada = await person('Ada').joinRoom();
  const bob = await person('Bob').joinRoom();
  await until(() => sees(ada), { what: 'Ada sees Bob' });
  await until(() => sees(bob), { what: 'Bob sees Ada' });
  // How long the picture stood still at most, as the page has it.
  await bob.page.evaluate(() => {
    let last = performance.now();
    window.stood = 0;
    const watch = (now) => {
      const time = document.querySelector('.tile:not(.local) video')?.currentTime ?? 0;
      if (time !== window.shown) [window.shown, window.stood, last] = [time, Math.max(window.stood, now - last), now];
      requestAnimationFrame(watch);
    };
    requestAnimationFrame(watch);
  });
  const { code } = await server.succeed();
  assert.equal(code, 0);
  await until(async () => (await sees(ada)) && (await sees(bob)), { what: 'both see each other again', ms: 60_000 });
  time('the longest that a picture stood still over an upgrade', Math.round(await bob.page.evaluate(() => window.stood)));
  assert.equal(await ada.page.locator('.tile:not(.local)').count(), 1);
  assert.equal(await bob.page.locator('.tile:not(.local)').count(), 1);
}));

test('a lost signalling connection resumes and the picture never stops', () => world({ name: 'resume' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare(() => {
    const Real = window.WebTransport;
    window.transports = [];
    window.WebTransport = class extends Real {
      constructor(...values) {
        super(...values);
        window.transports.push(this);
      }
    };
    // Else it may be there first on a busy machine.
    delete window.WebSocket;
  });
  const { page } = b;
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(640, 360);
  const decoded = (await b.inbound()).framesDecoded;
  const states = await page.evaluate(async () => {
    const seen = [];
    window.h.client.on('state', ({ state }) => seen.push(state));
    // Closed without a `bye`: the server must take it for a loss, not for a leave.
    window.transports.at(-1).close({ closeCode: 1, reason: 'lost' });
    await window.h.until(() => seen.includes('online'), 20_000);
    return seen;
  }).catch((error) => [String(error)]);
  assert.ok(states.includes('reconnecting') && states.includes('online'), states.join());
  await until(async () => (await b.inbound()).framesDecoded > decoded + 30);
  assert.equal(await page.evaluate(() => window.h.room.streams.size), 1);
}));

test('a server that is away is asked again ever more slowly, and for as long as one likes', () => world({ name: 'backoff' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const { attempts, gaps, state } = await a.page.evaluate(async () => {
    const client = new window.h.Millrace({ token: 'any', server: new URL('/nowhere/', location.href) });
    const failed = [];
    client.on('failed', ({ attempt }) => failed.push({ attempt, at: performance.now() }));
    client.connect().catch(() => {});
    await window.h.until(() => failed.length === 5);
    const { state } = client;
    client.close();
    return { attempts: failed.map(({ attempt }) => attempt), gaps: failed.slice(1).map(({ at }, nth) => at - failed[nth].at), state };
  });
  assert.deepEqual(attempts, [0, 1, 2, 3, 4]);
  assert.equal(state, 'connecting');
  // At once, then after 250 ms and twice as long each time, a quarter more or less: a crowd does not come back as one.
  const least = [0, 187, 375, 750];
  assert.ok(gaps.every((gap, nth) => gap >= least[nth]), gaps.map(Math.round).join());
}));

test('an ICE restart of publisher and viewer keeps the picture', () => world({ name: 'icerestart' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(640, 360);
  await a.page.evaluate(async () => {
    const { pc, sid } = window.h.publisher;
    const offer = await pc.createOffer({ iceRestart: true });
    await pc.setLocalDescription(offer);
    const answer = await window.h.client.request('restart', { sid, sdp: offer.sdp });
    await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
  });
  await b.page.evaluate(() => window.h.client.request('restart', { watching: true }));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const decoded = (await b.inbound()).framesDecoded;
  await until(async () => (await b.inbound()).framesDecoded > decoded + 20);
  assert.equal(await a.page.evaluate(() => window.h.publisher.pc.connectionState), 'connected');
}));
