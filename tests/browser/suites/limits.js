// SPDX-License-Identifier: Apache-2.0
// Limits changed in a running call: the publisher's encoders follow, as the browser's own statistics show.

import { assert, note, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** What the publisher sends: pictures by layer, and sound. @param {import('../lib/people.js').Person} person */
const sent = (person) => person.page.evaluate(async () => {
  const { pc } = window.h.publisher;
  const all = [...(await pc.getStats()).values()];
  const of = (/** @type {string} */ kind) => all.filter((s) => s.type === 'outbound-rtp' && s.kind === kind);
  const codec = (/** @type {any} */ s) => all.find(({ id }) => id === s.codecId)?.mimeType?.toLowerCase();
  const layers = of('video').map((s) => ({
    rid: s.rid, active: s.active, fps: s.framesPerSecond ?? 0, width: s.frameWidth ?? 0, frames: s.framesEncoded, codec: codec(s),
  }));
  const [sound] = of('audio');
  return { layers, audio: { bytes: sound?.bytesSent, at: sound?.timestamp, target: sound?.targetBitrate } };
});

test('limits steer what a browser sends within a second, and are lifted again', () => world({ name: 'limits' }, async ({ person, server }) => {
  const token = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token, name: 'Limits', type: 0, guests: 1 });
  const olga = await person('Olga').bare();
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await olga.enter({ gid: group.gid, pin: '', token });
  const { uid } = await ada.enter({ gid: group.gid, pin: group.pin });
  await ada.publish({ source: 'camera', codec: 'vp8' });
  await bob.enter({ gid: group.gid, pin: group.pin });
  await bob.watch(1280, 720);
  const running = (/** @type {any} */ { layers }) => layers.filter((/** @type {any} */ l) => l.active);
  await until(async () => running(await sent(ada)).length === 3 && (await sent(ada)).layers.every(({ fps }) => fps > 20), {
    ms: 40_000, what: 'Ada sends three layers at full rate',
  });
  const edit = (/** @type {object} */ limits) => olga.page.evaluate(([who, l]) => window.h.room.edit([who], { limits: l }), [uid, limits]);

  await edit({ maxFps: 10, simulcastLayers: 2, audioKbps: 16 });
  const parameters = () => ada.page.evaluate(() => window.h.publisher.pc.getSenders().map((s) => s.getParameters().encodings.map(
    ({ active, maxFramerate, maxBitrate }) => ({ active, maxFramerate, maxBitrate }))));
  const set = await until(async () => {
    const [audio, video] = await parameters();
    return video.every(({ maxFramerate }) => maxFramerate === 10) && !video[2].active && audio[0].maxBitrate === 16_000;
  }, { ms: 1000, what: 'the encoders are told within a second' });
  assert.ok(set);
  const slow = await until(async () => {
    const now = running(await sent(ada));
    return now.length === 2 && now.every(({ fps }) => fps > 0 && fps <= 11) && now;
  }, { ms: 15_000, what: 'two layers of ten pictures a second' });
  note(`Ada sends ${slow.map(({ rid, width, fps }) => `${rid} ${width} ${fps}`).join(', ')}`);
  const before = (await sent(ada)).audio;
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const after = (await sent(ada)).audio;
  const kbps = ((after.bytes - before.bytes) * 8) / (after.at - before.at);
  note(`sound of ${kbps.toFixed(1)} kbit/s`);
  assert.ok(kbps < 20, `${kbps} kbit/s`);
  const seen = await bob.inbound();
  assert.ok(seen.framesPerSecond <= 11, `${seen.framesPerSecond} pictures a second`);

  // Another codec: the stream goes on in it.
  await edit({ codecs: ['vp9'], maxFps: 0, simulcastLayers: 0, audioKbps: 0 });
  await until(async () => {
    const stats = await bob.inbound();
    return stats?.codec?.toLowerCase() === 'video/vp9' && stats.framesPerSecond > 20;
  }, { ms: 40_000, what: 'Bob sees VP9' });

  await edit({ codecs: [] });
  await until(async () => running(await sent(ada)).length === 3 && (await sent(ada)).layers[0].codec === 'video/vp8', {
    ms: 40_000, what: 'Ada sends VP8 in three layers again',
  });
  await edit({ maxStreams: 1, maxSubscriptions: 1 });
  const refused = await ada.page.evaluate(() => window.h.client.publish({ source: 'camera', sid: 3 }).catch((error) => error.code));
  assert.equal(refused, 'TOOMANY');
}), { chromium: 'whose statistics tell active layers' });
