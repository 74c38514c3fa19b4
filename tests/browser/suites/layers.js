// SPDX-License-Identifier: Apache-2.0
// Streams in layers of their codec's own: each viewer decodes those that its tile needs, up and down, without a freeze.

import { assert, note, test, time, until } from '../lib/check.js';
import { world } from '../lib/world.js';

const SVC = 'Firefox has no layers in one stream';
const STREAMS = [
  { name: 'vp9 L3T3_KEY', codec: 'vp9', options: {}, encodings: 1, chromium: SVC },
  { name: 'av1 L3T3_KEY', codec: 'av1', options: {}, encodings: 1, chromium: SVC },
  { name: 'vp9 simulcast', codec: 'vp9', options: { simulcast: true }, encodings: 3 },
  { name: 'av1 simulcast', codec: 'av1', options: { simulcast: true }, encodings: 3 },
];

for (const { name, codec, options, encodings, chromium } of STREAMS) {
  test(`${name}: a small tile decodes the small layer, grows, and gets the large one`, () => world({ name: name.replace(' ', '-') }, async ({ person }) => {
    const a = await person('Ada').bare();
    const b = await person('Bob').bare();
    await Promise.all([a.enter(), b.enter()]);
    await a.publish({ source: 'camera', codec, ...options });
    time('first frame in the small tile', await b.watch(320, 180));
    await b.page.evaluate(() => window.h.untilWidth(320, 40_000));
    const small = await until(async () => {
      const stats = await b.inbound();
      return stats?.frameWidth === 320 && stats.framesDecoded > 30 && stats;
    }, { ms: 40_000, what: 'B decodes the small layer' });
    assert.equal(small.codec.toLowerCase(), `video/${codec}`);
    const sent = (await a.page.evaluate(() => window.h.publisher.stats())).filter((s) => s.kind === 'video');
    note(`A sends ${sent.map((s) => `${s.rid ?? ''} ${s.frameWidth}x${s.frameHeight} ${s.scalabilityMode}`).join(', ')}`);
    assert.equal(sent.length, encodings);

    // A busy machine can hold up a camera or a decoder by itself: a switch that freezes does so every time.
    let freezes = Infinity;
    for (let attempt = 0; attempt < 3 && freezes > 0; attempt += 1) {
      const before = await b.inbound();
      await b.resize(1280, 720);
      time('switch up', await b.page.evaluate(() => window.h.untilWidth(1280, 30_000)), 2000);
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const large = await b.inbound();
      await b.resize(320, 180);
      time('switch down', await b.page.evaluate(() => window.h.untilWidth(320, 20_000)), 2000);
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const after = await b.inbound();
      assert.ok(after.framesDecoded > large.framesDecoded + 15, `${after.framesDecoded - large.framesDecoded} frames after going down`);
      freezes = after.freezeCount - before.freezeCount;
      note(`freezes ${freezes}; lost ${after.packetsLost}, nacks ${after.nackCount}, plis ${after.pliCount}, decoded ${after.framesDecoded}`);
    }
    assert.equal(freezes, 0, 'B froze at each switch');
  }), { chromium });
}

test('sound and picture stay in step through twenty switches', () => world({ name: 'lip-sync' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera', codec: 'vp8' });
  await b.watch(320, 180, { muted: false });
  const sizes = [[1280, 720], [320, 180], [640, 360], [1280, 720], [640, 360], [320, 180]];
  for (let round = 0; round < 20; round += 1) {
    const [width, height] = sizes[round % sizes.length];
    await b.resize(width, height);
    await b.page.evaluate((w) => window.h.untilWidth(w, 20_000), width);
  }
  // A receiver follows by and by, and the later the busier the machine is; what a router shifted stays so for ever.
  const apart = async () => {
    const samples = [];
    for (let sample = 0; sample < 15; sample += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const [sound, picture] = await b.page.evaluate(() => window.h.playout());
      assert.ok(sound > 0 && picture > 0, `played out: ${sound}, ${picture}`);
      samples.push(Math.abs(sound - picture));
    }
    return samples.sort((x, y) => x - y)[7];
  };
  const median = await until(async () => {
    const now = await apart();
    return now <= 40 && now.toFixed(1);
  }, { ms: 45_000, what: 'sound and picture at most 40 ms apart' });
  note(`sound and picture apart: median ${median} ms`);
  const offered = await b.page.evaluate(() => window.h.client.viewer.pc.remoteDescription.sdp.includes('abs-capture-time'));
  assert.ok(offered);
}), { chromium: 'Firefox does not say when it plays what' });
