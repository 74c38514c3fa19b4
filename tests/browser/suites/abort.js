// SPDX-License-Identifier: Apache-2.0
// What waits can be given up by an AbortSignal, and leaves nothing behind: neither at the server nor of a device.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

test('connecting and joining can be given up', () => world({ name: 'abort-join' }, async ({ server, person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await ada.enter();
  const { token } = await server.api({ op: 'guest', gid: server.gid, pin: server.pin, name: 'Bob' });
  const told = await bob.page.evaluate(async ({ token, gid, pin }) => {
    const { Millrace } = window.h;
    const nobody = new Millrace({ token, server: new URL('/nowhere/', location.href) });
    const patience = new AbortController();
    nobody.on('failed', () => patience.abort(new Error('too long')));
    const connecting = await nobody.connect({ signal: patience.signal }).catch(({ message }) => message);

    const client = (window.client = new Millrace({ token }));
    await client.connect();
    const change = new AbortController();
    const joining = client.join(gid, { pin, signal: change.signal });
    change.abort();
    const joined = await joining.catch(({ name }) => name);
    return { connecting, state: nobody.state, joined, rooms: client.rooms.size };
  }, { token, gid: server.gid, pin: server.pin });
  assert.deepEqual(told, { connecting: 'too long', state: 'closed', joined: 'AbortError', rooms: 0 });
  // The server let Bob in before it heard that he changed his mind; it answers in order, so he is out by now.
  const present = () => ada.page.evaluate(() => [...window.h.room.people.values()].map(({ name }) => name).sort());
  await bob.page.evaluate(() => window.client.request('history', { gid: 1 }).catch(() => {}));
  await until(async () => (await present()).join() === 'Ada', { what: 'only Ada is in the room' });
  await bob.page.evaluate(({ gid, pin }) => window.client.join(gid, { pin }), { gid: server.gid, pin: server.pin });
  await until(async () => (await present()).join() === 'Ada,Bob', { what: 'Bob is in the room' });
}));

test('publishing can be given up, while a device opens and while the server is asked', () => world({ name: 'abort-publish' }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  const told = await ada.page.evaluate(async () => {
    const { client } = window.h;
    const opened = [];
    for (const name of ['getUserMedia', 'getDisplayMedia']) {
      const open = navigator.mediaDevices[name].bind(navigator.mediaDevices);
      navigator.mediaDevices[name] = async (constraints) => {
        const stream = await open(constraints);
        opened.push(...stream.getTracks());
        return stream;
      };
    }
    const outcomes = [];
    // A person who thinks about the browser's question is no different from a slow device.
    for (const [sid, source] of [[0, 'camera'], [1, 'screen']]) {
      const wait = new AbortController();
      const publishing = client.publish({ source, sid, signal: wait.signal });
      await Promise.resolve();
      wait.abort();
      outcomes.push(await publishing.catch(({ name }) => name));
    }
    const wait = new AbortController();
    const publisher = client.publisher({ source: 'camera', sid: 2, signal: wait.signal });
    publisher.on('media', () => setTimeout(() => wait.abort(), 0));
    const request = client.request('history', { gid: 1 }).catch(() => {});
    outcomes.push(await publisher.start().catch(({ name }) => name));
    await request;
    await window.h.until(() => opened.length >= 5 && opened.every(({ readyState }) => readyState === 'ended'));
    return { outcomes, publishers: client.publishers.size, state: publisher.state };
  });
  assert.deepEqual(told, { outcomes: ['AbortError', 'AbortError', 'AbortError'], publishers: 0, state: 'ended' });
  await ada.publish({ source: 'camera', sid: 7 });
  await bob.page.evaluate(() => window.h.until(() => [...window.h.room.streams.values()].map(({ sid }) => sid).join() === '7'));
}), { chromium: 'without a display Firefox has no screen to share' });

test('a file, a device and a view can be given up', () => world({ name: 'abort-rest' }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.page.evaluate(async () => {
    window.messages = [];
    window.h.room.chat.on('message', ({ text, file }) => window.messages.push(file?.name ?? text));
    const stream = await window.h.stream();
    window.stop = new AbortController();
    window.out = new AbortController();
    window.view = window.h.room.watch(stream, { signal: window.stop.signal });
    window.box = document.createElement('video');
    window.box.muted = true;
    await window.view.attach(window.box, { signal: window.out.signal });
  });
  await ada.page.evaluate(() => {
    window.viewers = [];
    window.h.publisher.on('viewer', ({ watching }) => window.viewers.push(watching));
  });
  const told = await ada.page.evaluate(async () => {
    const { publisher, room } = window.h;
    const upload = new AbortController();
    const sent = await room.chat.sendFile(new File([new Uint8Array(4_000_000)], 'large.txt', { type: 'text/plain' }), {
      signal: upload.signal, onProgress: () => upload.abort(),
    }).catch(({ name }) => name);
    const device = new AbortController();
    const [before] = publisher.media.getVideoTracks();
    const setting = publisher.setDevice('video', before.getSettings().deviceId, { signal: device.signal });
    await Promise.resolve();
    device.abort();
    const set = await setting.catch(({ name }) => name);
    await room.chat.send('done');
    return { sent, set, same: publisher.media.getVideoTracks()[0] === before, live: before.readyState };
  });
  assert.deepEqual(told, { sent: 'AbortError', set: 'AbortError', same: true, live: 'live' });
  await bob.page.evaluate(() => window.h.until(() => window.messages.includes('done')));
  assert.deepEqual(await bob.page.evaluate(() => window.messages), ['done']);
  const views = await bob.page.evaluate(async () => {
    window.out.abort();
    const out = { shown: window.box.srcObject, closed: window.view.closed };
    window.stop.abort();
    return { ...out, then: window.view.closed, views: window.h.client.viewer.views.size };
  });
  assert.deepEqual(views, { shown: null, closed: false, then: true, views: 0 });
  await ada.page.evaluate(() => window.h.until(() => window.viewers.at(-1) === false));
}));
