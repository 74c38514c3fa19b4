// SPDX-License-Identifier: Apache-2.0
// Networks that let no UDP through, and pages without WebTransport: signalling by WebSocket, media by ICE-TCP.

import { launchChromium } from '../lib/browsers.js';
import { assert, leftovers, note, test, time, until } from '../lib/check.js';
import { Network } from '../lib/network.js';
import { Person } from '../lib/people.js';
import { Server } from '../lib/server.js';
import { world } from '../lib/world.js';

/** How media goes. @param {Person} one @param {'publisher' | 'viewer'} which */
const way = (one, which) => one.page.evaluate(async (name) => {
  const pc = name === 'publisher' ? window.h.publisher.pc : window.h.client.viewer.pc;
  const all = await pc.getStats();
  const transport = [...all.values()].find(({ type }) => type === 'transport');
  const pair = all.get(transport?.selectedCandidatePairId);
  return [all.get(pair?.localCandidateId)?.protocol, all.get(pair?.remoteCandidateId)?.protocol].join();
}, which);

/** Addresses to which the pages open WebSockets. @param {Person} one */
function sockets(one) {
  /** @type {string[]} */
  const opened = [];
  one.page.on('websocket', (socket) => opened.push(socket.url()));
  return opened;
}

if (Network.possible) test('where UDP does not get through a call goes over TCP', async () => {
  const network = new Network();
  network.loseUdp();
  /** @type {{remove: () => Promise<unknown>}[]} */
  const made = [];
  const remove = async () => {
    leftovers.delete(remove);
    for (const one of made.reverse()) await one.remove();
    network.remove();
  };
  leftovers.add(remove);
  try {
    const server = await Server.start({ name: 'blocked', host: network.address, wrap: network.onServer });
    made.push({ remove: () => server.remove() });
    const browser = await launchChromium(
      [`--unsafely-treat-insecure-origin-as-secure=${server.link.origin}`],
      network.onClient(process.env.CHROMIUM ?? '/usr/bin/chromium'),
    );
    made.push({ remove: () => browser.close() });
    const [ada, bob] = [new Person(browser, server, 'Ada'), new Person(browser, server, 'Bob')];
    await ada.bare();
    await bob.bare();
    const opened = sockets(bob);
    const began = Date.now();
    await ada.enter();
    time('UDP blocked: joined', Date.now() - began);
    await ada.publish({ source: 'camera' });
    time('UDP blocked: publishes', Date.now() - began);
    const entered = Date.now();
    await bob.enter();
    await bob.watch(640, 360);
    time('UDP blocked: from nothing to the first frame', Date.now() - entered, 5000);
    assert.deepEqual([await way(ada, 'publisher'), await way(bob, 'viewer')], ['tcp,tcp', 'tcp,tcp']);
    assert.deepEqual(opened, [new URL('/signal', server.link).href.replace('http', 'ws')]);
    // It stays, with sound and at full rate.
    const [before, sound] = [await bob.inbound(), await bob.inbound('audio')];
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const [after, later] = [await bob.inbound(), await bob.inbound('audio')];
    note(`over TCP: ${((after.framesDecoded - before.framesDecoded) / 2).toFixed(1)} frames a second, ${after.frameWidth}x${after.frameHeight}, ${after.freezeCount} freezes, ${after.packetsLost} packets lost`);
    assert.ok(after.framesDecoded > before.framesDecoded + 10);
    assert.ok(later.packetsReceived > sound.packetsReceived + 30);
    assert.deepEqual([...ada.errors, ...bob.errors], []);
  } finally {
    if (leftovers.has(remove)) await remove();
  }
}, { chromium: 'in a network of its own' });

test('a page without WebTransport joins by WebSocket, and takes its session up again', () => world({ name: 'websocket' }, async ({ person }) => {
  const without = () => {
    delete window.WebTransport;
    const Real = window.WebSocket;
    window.sockets = [];
    window.WebSocket = class extends Real {
      constructor(...values) {
        super(...values);
        window.sockets.push(this);
      }
    };
  };
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare(without);
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.watch(640, 360);
  assert.equal(await way(bob, 'viewer'), 'udp,udp', 'UDP is better where it gets through');
  const decoded = (await bob.inbound()).framesDecoded;
  const states = await bob.page.evaluate(async () => {
    const seen = [];
    window.h.client.on('state', ({ state }) => seen.push(state));
    // Without a `bye`, and for no good reason: the server must take it for a loss.
    window.sockets.at(-1).close(4000, 'lost');
    await window.h.until(() => seen.includes('online'), 20_000);
    return seen;
  });
  assert.ok(states.includes('reconnecting') && states.includes('online'), states.join());
  await until(async () => (await bob.inbound()).framesDecoded > decoded + 30);
  assert.equal(await bob.page.evaluate(() => window.sockets.length), 2);
  // Who leaves is gone at once.
  await bob.page.evaluate(() => window.h.client.close());
  await until(() => ada.page.evaluate(() => window.h.room.count === 1), { what: 'Bob is gone', ms: 5000 });
}));
