// SPDX-License-Identifier: Apache-2.0
// What is sent and what arrives, in numbers: of one stream and of all.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('statistics: a publisher has an entry for each layer, a view those of its own stream', () => world({ name: 'stats' }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  const cyd = await person('Cyd').bare();
  await Promise.all([ada.enter(), bob.enter(), cyd.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.publish({ source: 'camera', video: false });
  await cyd.page.evaluate(async () => {
    await window.h.until(() => window.h.room.streams.size === 2);
    window.views = {};
    for (const stream of window.h.room.streams.values()) {
      const box = document.createElement('video');
      box.muted = true;
      document.body.append(box);
      const view = window.h.room.watch(stream, { width: 320, height: 180 });
      view.attach(box);
      window.views[stream.name] = view;
    }
  });
  const sent = (/** @type {import('../lib/people.js').Person} */ one) => one.page.evaluate(async () => (
    (await window.h.publisher.stats()).map(({ kind, rid, bytesSent }) => ({ name: `${kind}${rid ? ` ${rid}` : ''}`, bytesSent }))));
  const names = (/** @type {{name: string}[]} */ entries) => entries.map(({ name }) => name).sort().join();
  await until(async () => names(await sent(ada)) === 'audio,video f,video h,video q' && (await sent(ada)).every(({ bytesSent }) => bytesSent > 0), { what: 'Ada sends sound and three layers' });
  assert.equal(names(await sent(bob)), 'audio');
  const got = (/** @type {string} */ name) => cyd.page.evaluate(async (who) => {
    const all = await (who ? window.views[who] : window.h.client.viewer).stats();
    return all.filter(({ packetsReceived }) => packetsReceived > 0).map(({ kind }) => kind).sort().join();
  }, name);
  await until(async () => (await got('Ada')) === 'audio,video', { what: 'Ada\'s sound and picture arrive' });
  await until(async () => (await got('Bob')) === 'audio', { what: 'Bob\'s sound arrives' });
  assert.equal(await got(''), 'audio,audio,video');
}));
