// SPDX-License-Identifier: Apache-2.0
// Firefox joins the room, views what Chromium sends and is viewed.

import { join } from 'node:path';
import { launchFirefox } from '../lib/browsers.js';
import { assert, note, test, time, until } from '../lib/check.js';
import { Person, runBefore } from '../lib/people.js';
import { OUTPUT } from '../lib/server.js';
import { world } from '../lib/world.js';

/** Keeps the page's connections, so that a test can ask them. */
function keepConnections() {
  const Real = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...values) {
      super(...values);
      window.connections.push(this);
    }
  };
}

const seesAnother = (page) => page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth > 0);

test('Firefox joins, sees and is seen, by an AEAD cipher', () => world({ name: 'firefox' }, async ({ server, person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const firefox = await launchFirefox();
  try {
    const fox = new Person(firefox, server, 'Fox');
    const page = await fox.open();
    await runBefore(page, keepConnections);
    await page.goto(server.link.href);
    await page.fill('#name', 'Fox');
    const started = Date.now();
    await page.click('#join-button');
    await until(() => seesAnother(page), { ms: 60_000, what: 'Firefox sees Ada' });
    time('Firefox: click to first remote frame', Date.now() - started);
    await until(() => seesAnother(ada.page), { ms: 60_000, what: 'Ada sees Firefox' });
    const ciphers = await page.evaluate(async () => {
      const found = [];
      for (const pc of window.connections) {
        for (const entry of (await pc.getStats()).values()) if (entry.type === 'transport') found.push(entry.srtpCipher ?? '');
      }
      return found;
    });
    note(`ciphers of Firefox: ${ciphers.join(', ') || 'not told'}`);
    for (const cipher of ciphers.filter(Boolean)) assert.match(cipher, /AEAD/);
    assert.deepEqual(fox.errors, [], "Fox's page threw");
    await page.screenshot({ path: join(OUTPUT, 'firefox.png') });
  } finally {
    await firefox.close();
  }
}), { chromium: 'and Firefox' });
