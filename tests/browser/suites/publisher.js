// SPDX-License-Identifier: Apache-2.0
// What a publisher sends follows what is watched: layers that nobody wants rest, and are back at once.

import { assert, note, test, time, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** What A sends, from the smallest layer. */
async function sent(a) {
  const all = await a.page.evaluate(() => window.h.publisher.stats());
  const video = all.filter(({ kind }) => kind === 'video');
  return ['q', 'h', 'f'].map((rid) => video.find((s) => s.rid === rid));
}

/** Which layers send frames within this time. */
async function sending(a, ms = 700) {
  const before = await sent(a);
  await new Promise((resolve) => setTimeout(resolve, ms));
  const after = await sent(a);
  return after.map((layer, at) => (layer?.framesSent ?? 0) > (before[at]?.framesSent ?? 0));
}

for (const codec of ['vp8', 'h264']) {
  test(`${codec}: layers that nobody watches rest at the publisher, and are back when a tile grows`, () => resting(codec), { chromium: 'Firefox takes up to 20 s until it sends a layer again' });
}

/** @param {string} codec */
async function resting(codec) {
  await world({ name: `resting-${codec}` }, async ({ person }) => {
    const a = await person('Ada').bare();
    const b = await person('Bob').bare();
    await Promise.all([a.enter(), b.enter()]);
    await a.publish({ source: 'camera', codec });
    await b.watch(320, 180);
    await until(async () => (await b.inbound())?.framesDecoded > 30);
    const began = Date.now();
    await until(async () => (await sending(a)).join() === 'true,false,false', { what: 'only the smallest layer is sent' });
    time('the larger layers rest', Date.now() - began);
    note(`active: ${(await sent(a)).map((layer) => layer?.active)}`);

    // A busy machine can hold up a camera or a decoder by itself: a layer that wakes with a freeze does so every time.
    let freezes = Infinity;
    for (let attempt = 0; attempt < 3 && freezes > 0; attempt += 1) {
      const before = await b.inbound();
      await b.resize(1280, 720);
      time('720p is back', await b.page.evaluate(() => window.h.untilWidth(1280, 20_000)), 1000);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const after = await b.inbound();
      freezes = after.freezeCount - before.freezeCount;
      note(`freezes ${freezes}, keyframes decoded ${after.keyFramesDecoded - before.keyFramesDecoded}, plis ${after.pliCount - before.pliCount}`);
      assert.equal((await sending(a))[2], true);
      await b.resize(320, 180);
      await until(async () => (await sending(a)).join() === 'true,false,false', { what: 'the larger layers rest again' });
    }
    assert.equal(freezes, 0, 'B froze each time that a layer woke');
  });
}

test('a second viewer wakes a layer for itself, and the first does not notice', () => world({ name: 'resting-two' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  const c = await person('Cyd').bare();
  await Promise.all([a.enter(), b.enter(), c.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(320, 180);
  await until(async () => (await sending(a)).join() === 'true,false,false', { what: 'only the smallest layer is sent' });
  const before = await b.inbound();
  time('first frame for a large tile', await c.watch(1280, 720), 1000);
  time('720p', await c.page.evaluate(() => window.h.untilWidth(1280, 20_000)), 1000);
  const after = await b.inbound();
  assert.ok(after.framesDecoded > before.framesDecoded);
  assert.ok(after.frameWidth <= 320);
}));

test('maxPublishKbps holds, and can be raised in a running call', () => world({ name: 'limited' }, async ({ server, person }) => {
  const owner = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token: owner, name: 'Limited', type: 0, resolution: 0, guests: 1, maxPublishKbps: 500 });
  assert.equal(group.result, 'OK', JSON.stringify(group));
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  const room = { gid: group.gid, pin: group.pin };
  await Promise.all([a.enter(room), b.enter(room)]);
  await a.publish({ source: 'camera' });
  await b.watch(1280, 720);
  /** In kbit/s, over two seconds. */
  const rate = async () => {
    const bytes = async () => (await sent(a)).reduce((sum, layer) => sum + (layer?.bytesSent ?? 0), 0);
    const [before, at] = [await bytes(), Date.now()];
    await new Promise((resolve) => setTimeout(resolve, 2000));
    return (await bytes() - before) * 8 / (Date.now() - at);
  };
  let limited = 0;
  await until(async () => (limited = await rate()) < 560, { what: 'A sends no more than 500 kbit/s' });
  note(`A sends ${Math.round(limited)} kbit/s of 500`);
  assert.ok((await b.inbound()).frameWidth < 1280);
  const raised = await server.api({ op: 'setgroup', token: owner, gid: group.gid, maxPublishKbps: 4000 });
  assert.equal(raised.result, 'OK', JSON.stringify(raised));
  const began = Date.now();
  await b.page.evaluate(() => window.h.untilWidth(1280, 40_000));
  time('720p after the limit was raised', Date.now() - began);
}));

test('maxSubscribeKbps of one member holds for that member, says so, and can be lifted in a running call', () => world({ name: 'limited-viewer' }, async ({ server, person }) => {
  const owner = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token: owner, name: 'Limited', type: 0, resolution: 0, guests: 1 });
  const pin = await server.api({ op: 'addpin', token: owner, gid: group.gid, cs: 1, cr: 1, canpub: 0, cansub: 1, canlist: 1, maxSubscribeKbps: 300 });
  assert.equal(pin.result, 'OK', JSON.stringify(pin));
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  const c = await person('Cyd').bare();
  await a.enter({ gid: group.gid, pin: group.pin });
  await b.enter({ gid: group.gid, pin: pin.pin });
  await c.enter({ gid: group.gid, pin: group.pin });
  await a.publish({ source: 'camera' });
  await Promise.all([b.watch(1280, 720), c.watch(1280, 720)]);
  await c.page.evaluate(() => window.h.untilWidth(1280, 40_000));
  const layer = await until(async () => {
    const told = await b.page.evaluate(() => window.h.view.layer);
    return told.why === 'cap' && told;
  }, { what: 'B learns that a limit is the reason' });
  assert.ok(layer.width < 1280, `${layer.width} wide`);
  const lifted = await server.api({ op: 'editpin', token: owner, gid: group.gid, pin: pin.pin, maxSubscribeKbps: 0 });
  assert.equal(lifted.result, 'OK', JSON.stringify(lifted));
  time('720p after the limit was lifted', await b.page.evaluate(() => window.h.untilWidth(1280, 40_000)));
}));
