// SPDX-License-Identifier: Apache-2.0
// Firefox joins the room, views what Chromium sends and is viewed.

import { join } from 'node:path';
import { assert, note, test, time, until } from '../lib/check.js';
import { FIREFOX, launchFirefox } from '../lib/firefox.js';
import { OUTPUT } from '../lib/server.js';
import { world } from '../lib/world.js';

if (FIREFOX) test('Firefox joins, sees and is seen, by an AEAD cipher', () => world({ name: 'firefox' }, async ({ server, person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const { browser: firefox, close } = await launchFirefox();
  try {
    const page = await firefox.newPage();
    await page.evaluateOnNewDocument(() => {
      const Real = window.RTCPeerConnection;
      window.connections = [];
      window.RTCPeerConnection = class extends Real {
        constructor(...values) {
          super(...values);
          window.connections.push(this);
        }
      };
    });
    await page.goto(server.link.href);
    await page.type('#name', 'Fox');
    const started = Date.now();
    await page.click('#join-button');
    await until(() => page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth > 0), { ms: 60_000, what: 'Firefox sees Ada' });
    time('Firefox: click to first remote frame', Date.now() - started);
    await until(() => ada.page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth > 0), { ms: 60_000, what: 'Ada sees Firefox' });
    const ciphers = await page.evaluate(async () => {
      const found = [];
      for (const pc of window.connections) {
        for (const entry of (await pc.getStats()).values()) if (entry.type === 'transport') found.push(entry.srtpCipher ?? '');
      }
      return found;
    });
    note(`ciphers of Firefox: ${ciphers.join(', ') || 'not told'}`);
    for (const cipher of ciphers.filter(Boolean)) assert.match(cipher, /AEAD/);
    await page.screenshot({ path: join(OUTPUT, 'firefox.png') });
  } finally {
    await close();
  }
}));
