// SPDX-License-Identifier: Apache-2.0
// Who watches gets the resolution of the tile, in every codec, sealed by an AEAD cipher.

import { assert, note, test, time, until } from '../lib/check.js';
import { world } from '../lib/world.js';

const SIMULCAST = [
  { codec: 'vp8' },
  { codec: 'h264', chromium: 'Firefox downloads its own' },
];

/**
 * The server pads packets so that they leave together. RTP headers are whole words, and browsers count padding with them
 * (webrtc-stats, headerBytesReceived): what is left over of four is padding.
 */
async function isPadded(viewer, codec) {
  const { headerBytesReceived, framesDecoded } = await until(async () => {
    const stats = await viewer.inbound();
    return stats?.headerBytesReceived % 4 !== 0 && stats;
  }, { what: `padded packets of ${codec}` });
  await until(async () => (await viewer.inbound()).framesDecoded > framesDecoded + 20, { what: `padded ${codec} is decoded` });
  note(`${codec}: headers and padding ${headerBytesReceived} bytes`);
}

for (const { codec, chromium } of SIMULCAST) {
  test(`${codec} simulcast: each viewer decodes the resolution of the tile`, () => simulcast(codec), { chromium });
}

test('vp8 simulcast over the portable driver (--io mmsg)', () => simulcast('vp8', ['--io', 'mmsg']));

/**
 * @param {string} codec
 * @param {string[]} [args]
 */
async function simulcast(codec, args) {
  await world({ args, name: `simulcast-${codec}${args?.[1] ?? ''}` }, async ({ person }) => {
    const a = await person('Ada').bare();
    const b = await person('Bob').bare();
    const c = await person('Cyd').bare();
    await Promise.all([a.enter(), b.enter(), c.enter()]);
    await a.publish({ source: 'camera', codec });

    const [large, small] = await Promise.all([b.watch(1280, 720), c.watch(320, 180)]);
    time('first frame in the large tile', large, 1000);
    time('first frame in the small tile', small, 1000);

    await b.page.evaluate(() => window.h.untilWidth(1280, 30_000));
    const atB = await until(async () => {
      const stats = await b.inbound();
      return stats?.frameWidth === 1280 && stats.framesDecoded > 30 && stats;
    });
    assert.equal(atB.frameHeight, 720);
    assert.equal(atB.codec.toLowerCase(), `video/${codec}`);
    await isPadded(b, codec);

    await until(async () => (await c.inbound())?.framesDecoded > 30);
    const atC = await c.inbound();
    assert.ok(atC.frameWidth <= 320 && atC.frameHeight <= 180, `C decodes ${atC.frameWidth}x${atC.frameHeight}`);
    const sent = await a.page.evaluate(() => window.h.publisher.stats());
    note(`A sends ${sent.filter((s) => s.kind === 'video').map((s) => `${s.rid} ${s.frameWidth}x${s.frameHeight}`).join(', ')}`);
    assert.equal(sent.filter((s) => s.kind === 'video').length, 3);

    // A busy machine can hold up a camera or a decoder by itself: a switch that freezes does so every time.
    let freezes = Infinity;
    for (let attempt = 0; attempt < 3 && freezes > 0; attempt += 1) {
      const before = (await c.inbound()).freezeCount;
      await c.resize(1280, 720);
      const switched = await c.page.evaluate(() => window.h.untilWidth(1280, 20_000));
      time('switch up to 720p', switched, 2000);
      await until(async () => (await c.inbound())?.frameHeight === 720);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const after = await c.inbound();
      freezes = after.freezeCount - before;
      note(`C's freezes: ${before} before, ${after.freezeCount} after; lost ${after.packetsLost}, nacks ${after.nackCount}, plis ${after.pliCount}`);
      const layer = await c.page.evaluate(() => window.h.view.layer);
      assert.deepEqual([layer.width, layer.height], [1280, 720], `the server says ${JSON.stringify(layer)}`);

      await c.resize(320, 180);
      const down = await c.page.evaluate(() => window.h.untilWidth(320, 20_000));
      time('switch down to 180p', down);
    }
    assert.equal(freezes, 0, 'C froze at each switch up');

    for (const one of [a, b]) {
      const cipher = await one.page.evaluate(() => window.h.cipher((window.h.publisher ?? window.h.client.viewer).pc));
      assert.match(cipher.srtp, /^SRTP_AEAD_AES_(128|256)_GCM$/, `${one.name}: ${cipher.srtp}`);
      note(`${one.name}: ${cipher.srtp}, ${cipher.tls}`);
    }
  });
}

const SINGLE = [
  { codec: 'vp9' },
  { codec: 'av1', chromium: "Firefox's plain picture is one packet, which nothing is padded for" },
];

for (const { codec, chromium } of SINGLE) {
  test(`${codec}: a single stream is decoded at 720p`, () => world({ name: codec }, async ({ person }) => {
    const a = await person('Ada').bare();
    const b = await person('Bob').bare();
    await Promise.all([a.enter(), b.enter()]);
    await a.publish({ source: 'camera', codec });
    time('first frame', await b.watch(1280, 720), 1000);
    const stats = await until(async () => {
      const inbound = await b.inbound();
      return inbound?.frameWidth === 1280 && inbound.framesDecoded > 20 && inbound;
    }, { ms: 40_000 });
    assert.equal(stats.frameHeight, 720);
    assert.equal(stats.codec.toLowerCase(), `video/${codec}`);
    await isPadded(b, codec);
  }), { chromium });
}

test('audio arrives and is heard', () => world({ name: 'audio' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(640, 360, { muted: false });
  const stats = await until(async () => {
    const inbound = await b.inbound('audio');
    return inbound?.totalAudioEnergy > 0.01 && inbound;
  }, { what: 'audio energy at B' });
  note(`energy ${stats.totalAudioEnergy.toFixed(3)} in ${stats.totalSamplesDuration.toFixed(1)} s`);
  assert.match(stats.codec.toLowerCase(), /audio\/(opus|red)/);
  await until(() => b.page.evaluate(() => [...window.h.room.streams.values()][0].talking), { what: 'Ada is seen to talk' });
}));

test('a hidden tile is paused and comes back', () => world({ name: 'hidden' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(640, 360);
  await b.page.evaluate(() => { window.h.box.style.display = 'none'; });
  await until(async () => {
    const before = (await b.inbound()).packetsReceived;
    await new Promise((resolve) => setTimeout(resolve, 700));
    return (await b.inbound()).packetsReceived === before;
  }, { what: 'no packets for a hidden tile' });
  const shown = Date.now();
  const decoded = (await b.inbound()).framesDecoded;
  await b.page.evaluate(() => { window.h.box.style.display = 'block'; });
  await until(async () => (await b.inbound()).framesDecoded > decoded);
  time('picture is back', Date.now() - shown);
}));
