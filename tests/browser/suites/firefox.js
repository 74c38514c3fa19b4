// SPDX-License-Identifier: Apache-2.0
// Firefox joins the room, views what Chromium sends and is viewed.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { assert, note, test, time, until } from '../lib/check.js';
import { OUTPUT } from '../lib/server.js';
import { world } from '../lib/world.js';

const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

if (existsSync(FIREFOX)) test('Firefox joins, sees and is seen, by an AEAD cipher', () => world({ name: 'firefox' }, async ({ server, person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const home = mkdtempSync(join(tmpdir(), 'millrace-firefox-'));
  const firefox = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    env: { ...process.env, HOME: home },
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'permissions.default.camera': 1,
      'permissions.default.microphone': 1,
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
      'media.gmp-manager.updateEnabled': false,
      'app.update.enabled': false,
      'toolkit.telemetry.enabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
    },
  });
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
    await firefox.close();
    rmSync(home, { recursive: true, force: true });
  }
}));
