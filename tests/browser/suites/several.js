// SPDX-License-Identifier: Apache-2.0
// One stream in several groups at once: captured, encoded and sent once.

import { assert, note, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('a stream in five groups costs the uplink of one, is in the roster of each, and ends in one or in all', () => world({ name: 'several' }, async ({ person, server }) => {
  const token = await server.token('Ada');
  const groups = [];
  for (let nth = 0; nth < 5; nth += 1) {
    const group = await server.api({ op: 'setgroup', token, name: `Group ${nth}`, type: 0 });
    assert.equal(group.result, 'OK', JSON.stringify(group));
    groups.push({ gid: group.gid, pin: group.pin });
  }
  const [first, ...others] = groups;
  const gids = others.map(({ gid }) => gid);
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await ada.enter({ ...first, token });
  await bob.enter({ ...first, token: await server.token('Bob') });
  for (const one of [ada, bob]) {
    await one.page.evaluate(async (rest) => {
      for (const { gid, pin } of rest) await window.h.client.join(gid, { pin });
    }, others);
  }
  await ada.publish({ source: 'camera', gids: [first.gid] });
  await bob.watch(640, 360);

  const sent = () => ada.page.evaluate(async () => {
    const all = [...(await window.h.publisher.pc.getStats()).values()];
    const streams = all.filter(({ type }) => type === 'outbound-rtp');
    const video = streams.filter(({ kind }) => kind === 'video');
    return {
      bytes: streams.reduce((sum, { bytesSent, headerBytesSent = 0 }) => sum + bytesSent + headerBytesSent, 0),
      frames: Object.fromEntries(video.map(({ rid, framesSent }) => [rid, framesSent])),
      ssrcs: video.map(({ ssrc }) => ssrc).sort().join(),
    };
  });
  /** In kbit/s, over three seconds. */
  const rate = async () => {
    const [before, at] = [await sent(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return (await sent()).bytes * 8 / (performance.now() - at) - before.bytes * 8 / (performance.now() - at);
  };
  await until(async () => {
    const before = await sent();
    await new Promise((resolve) => setTimeout(resolve, 700));
    return (await sent()).frames.f === before.frames.f;
  }, { what: 'the largest layer, which nobody watches, rests' });
  const alone = await rate();
  const { ssrcs } = await sent();

  await ada.page.evaluate((rest) => window.h.publisher.share(rest), gids);
  const inEach = () => bob.page.evaluate(() => [...window.h.client.rooms.values()].map(({ streams }) => streams.size).join());
  await until(async () => (await inEach()) === '1,1,1,1,1', { what: 'the stream is in the roster of each group' });
  await bob.page.evaluate(async (rest) => {
    window.boxes = [];
    for (const gid of rest) {
      const room = window.h.client.rooms.get(gid);
      const box = document.createElement('video');
      box.muted = true;
      box.style.cssText = 'width:640px;height:360px';
      document.body.append(box);
      window.boxes.push(box);
      await room.watch([...room.streams.values()][0], { width: 640, height: 360 }).attach(box);
    }
  }, gids);
  await until(() => bob.page.evaluate(() => window.boxes.every(({ videoWidth }) => videoWidth > 0)), { what: 'it plays from each group' });
  const fivefold = await rate();
  note(`uplink ${Math.round(alone)} kbit/s with one group, ${Math.round(fivefold)} kbit/s with five`);
  assert.ok(fivefold < alone * 1.5, `${fivefold} kbit/s with five groups, ${alone} with one`);
  assert.equal((await sent()).ssrcs, ssrcs);
  assert.equal(await ada.page.evaluate(() => window.h.client.publishers.size), 1);

  // Out of one group it goes on in the others; without any it ends.
  await ada.page.evaluate((gid) => window.h.publisher.unshare(gid), gids[3]);
  await until(async () => (await inEach()) === '1,1,1,1,0', { what: 'it is gone from one group' });
  const decoded = (await bob.inbound()).framesDecoded;
  await until(async () => (await bob.inbound()).framesDecoded > decoded + 10, { what: 'it goes on in the first' });
  await ada.page.evaluate(() => window.h.publisher.close());
  await until(async () => (await inEach()) === '0,0,0,0,0', { what: 'it is gone from all' });
}));
