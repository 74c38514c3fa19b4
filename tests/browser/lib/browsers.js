// SPDX-License-Identifier: Apache-2.0
// The two browsers: Chromium by its own protocol, Firefox by WebDriver BiDi.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, firefox } from 'playwright-core';

/** @typedef {import('playwright-core').Browser} Browser */

const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  // Without the permission only the default addresses are candidates, and those do not pair with 127.0.0.1.
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
};

/** @param {string[]} [more] arguments @param {string} [program] */
export async function launchChromium(more = [], program = process.env.CHROMIUM ?? '/usr/bin/chromium') {
  return chromium.launch({
    executablePath: program,
    headless: true,
    args: [
      '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-device-for-media-stream=fps=30', '--use-fake-ui-for-media-stream',
      '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required', ...more,
    ],
  });
}

/** Firefox, with a home of its own that goes with it. */
export async function launchFirefox() {
  if (!existsSync(FIREFOX)) throw new Error(`There is no Firefox at ${FIREFOX}: install firefox-esr, or say with FIREFOX where it is.`);
  const home = mkdtempSync(join(tmpdir(), 'millrace-firefox-'));
  const remove = () => rmSync(home, { recursive: true, force: true });
  const env = { ...process.env, HOME: home };
  const browser = await firefox.launch({ channel: 'moz-firefox', executablePath: FIREFOX, headless: true, env, firefoxUserPrefs: PREFERENCES })
    .catch((error) => {
      remove();
      throw error;
    });
  browser.on('disconnected', remove);
  return browser;
}
