// SPDX-License-Identifier: Apache-2.0
// Rights changed in a running call act on its media at once.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('who loses a right loses the media with it, and has it back with the right', () => world({ name: 'rights' }, async ({ person, server }) => {
  const token = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token, name: 'Rights', type: 0, guests: 1 });
  const olga = await person('Olga').bare();
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await olga.enter({ gid: group.gid, pin: '', token });
  const { uid: adas } = await ada.enter({ gid: group.gid, pin: group.pin });
  const { uid: bobs } = await bob.enter({ gid: group.gid, pin: group.pin });
  await ada.publish({ source: 'camera' });
  await bob.watch(640, 360);
  await ada.page.evaluate(() => {
    window.ended = undefined;
    window.h.publisher.on('ended', ({ reason }) => { window.ended = reason; });
  });
  const edit = (/** @type {number} */ uid, /** @type {object} */ rights) => (
    olga.page.evaluate(([who, r]) => window.h.room.edit([who], { rights: r }), [uid, rights]));
  const packets = () => bob.page.evaluate(async () => {
    const all = [...(await window.h.client.viewer.pc.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    return all.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
  });

  // Without the right to watch nothing more comes; what was on its way at the answer is here by the first count.
  await edit(bobs, { subscribe: false });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = await packets();
  assert.ok(before > 0, 'Bob had packets');
  const sent = () => ada.page.evaluate(async () => (await window.h.publisher.stats()).reduce((sum, { packetsSent }) => sum + packetsSent, 0));
  const start = await sent();
  await until(async () => (await sent()) > start + 200, { what: 'Ada goes on sending' });
  assert.equal(await packets(), before, 'packets after the right was taken');
  assert.equal(await bob.page.evaluate(() => window.h.room.rights.subscribe), false);

  // Without the right to the roster there is none; with it, it is back.
  await edit(bobs, { subscribe: true, list: false });
  await bob.page.evaluate(() => window.h.until(() => window.h.room.streams.size === 0));
  await edit(bobs, { list: true });
  await bob.page.evaluate(() => window.h.until(() => window.h.room.streams.size === 1));
  await bob.watch(640, 360);

  // Without the right to publish the stream ends for all.
  await edit(adas, { publish: false });
  await bob.page.evaluate(() => window.h.until(() => window.h.room.streams.size === 0));
  await until(() => ada.page.evaluate(() => window.ended === 'notallowed'), { what: 'Ada is told' });
  const refused = await ada.page.evaluate(() => window.h.client.publish({ source: 'camera' }).catch((error) => error.code));
  assert.equal(refused, 'NOTALLOWED');
}));
