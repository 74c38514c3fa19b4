// SPDX-License-Identifier: Apache-2.0
// Firefox, driven by WebDriver BiDi (Playwright drives only builds of its own): a person has the few verbs that the tests use.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { OnBarePage } from './bare.js';

const PROGRAM = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
export const FIREFOX = existsSync(PROGRAM);
const IMPORT = /^import \{ Millrace \} from '(.*)';$/m;
const HARNESS = readFileSync(new URL('./harness.js', import.meta.url), 'utf8');

/** A browser with a home of its own; `close` removes both. */
export async function launchFirefox() {
  const home = mkdtempSync(join(tmpdir(), 'millrace-firefox-'));
  const remove = () => rmSync(home, { recursive: true, force: true });
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: PROGRAM,
    headless: true,
    env: { ...process.env, HOME: home },
    extraPrefsFirefox: {
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
    },
  }).catch((error) => {
    remove();
    throw error;
  });
  return { browser, close: () => browser.close().finally(remove) };
}

/** A person on the bare page in Firefox. */
export class Fox extends OnBarePage {
  async bare() {
    this.page = await this.browser.newPage();
    await this.page.setViewport({ width: 1440, height: 900 });
    this.page.on('pageerror', (error) => this.errors.push(error.stack ?? String(error)));
    await this.page.goto(new URL('/healthz', this.server.link).href);
    // As a script of the driver, not as a module of its own: requests of modules cannot be answered here.
    const body = HARNESS.replace(IMPORT, "const { Millrace } = await import('$1');");
    await this.page.evaluate(`(async () => {${body}})()`);
    return this;
  }
}
