// SPDX-License-Identifier: Apache-2.0
// Somebody is sent to another group: the SDK goes there with all that is published, and no page need do anything.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('who is moved to another group goes on there, with what is published', () => world({ name: 'moved' }, async ({ person, server }) => {
  const token = await server.token('Olga');
  const groups = [];
  for (const name of ['One', 'Two']) {
    const group = await server.api({ op: 'setgroup', token, name, type: 0 });
    assert.equal(group.result, 'OK', JSON.stringify(group));
    groups.push({ gid: group.gid, pin: group.pin });
  }
  const [one, two] = groups;
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  const cyd = await person('Cyd').bare();
  const { uid } = await ada.enter({ ...one, token: await server.token('Ada') });
  await bob.enter({ ...one, token: await server.token('Bob') });
  await cyd.enter({ ...two, token: await server.token('Cyd') });
  await ada.publish({ source: 'camera' });
  await bob.publish({ source: 'camera' });
  await cyd.publish({ source: 'camera' });
  const names = (/** @type {import('../lib/people.js').Person} */ who) => who.page.evaluate(() => [...window.h.room.streams.values()].map(({ name }) => name).join());
  await until(async () => (await names(ada)) === 'Bob' && (await names(bob)) === 'Ada', { what: 'Ada and Bob see each other' });
  await ada.watch(320, 180);
  await ada.page.evaluate(async () => {
    window.told = [];
    const { room, publisher } = window.h;
    room.on('moved', (moved) => window.told.push(moved));
    room.on('removed', ({ reason }) => window.told.push(reason));
    publisher.on('ended', ({ reason }) => window.told.push(reason));
    await room.chat.send('in the first');
  });

  const answer = await fetch(new URL(`/v1/groups/${one.gid}/participants/${uid}/move`, server.link), {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ to: two.gid }),
  });
  assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
  await until(async () => (await names(ada)) === 'Cyd' && (await names(bob)) === '' && (await names(cyd)) === 'Ada', { what: 'Ada is with Cyd, and not with Bob' });
  await cyd.watch(320, 180);
  await ada.watch(320, 180);
  await until(() => ada.page.evaluate(() => window.told.length > 0), { what: 'her page is told' });
  assert.deepEqual(await ada.page.evaluate(() => window.told), [{ from: one.gid, to: two.gid }]);
  assert.equal(await ada.page.evaluate(() => window.h.client.rooms.get(window.h.room.gid) === window.h.room && window.h.client.rooms.size), 1);
  assert.deepEqual(await ada.page.evaluate(() => window.h.room.chat.messages), []);
  await ada.page.evaluate(() => window.h.room.chat.send('in the second'));
  await until(() => cyd.page.evaluate(() => window.h.room.chat.messages.some(({ text }) => text === 'in the second')), { what: 'Cyd reads it' });
}));
