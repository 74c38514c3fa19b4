// SPDX-License-Identifier: Apache-2.0
// People in browsers: each in a context of their own, on the room page or on a bare page with the SDK.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { OnBarePage } from './bare.js';

const HARNESS = readFileSync(join(fileURLToPath(new URL('.', import.meta.url)), 'harness.js'), 'utf8');
const VIEWPORT = { width: 1440, height: 900 };

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

export class Person extends OnBarePage {
  async open(options = {}) {
    this.context = await this.browser.newContext({ viewport: VIEWPORT, ...options });
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => this.errors.push(error.stack ?? String(error)));
    this.page.on('console', (message) => {
      // A refused or lost connection is the browser's own line; what breaks the content policy is ours.
      if (message.type() === 'error' && /content security policy/i.test(message.text())) this.errors.push(message.text());
    });
    return this.page;
  }

  async close() {
    await this.context?.close();
  }

  /**
   * Opens the bare page: the SDK, and the helpers of harness.js. Its document is the server's own (a made-up one would
   * count as a public site, which may not connect to this machine).
   * @param {() => void} [before] runs in the page before anything else
   */
  async bare(before) {
    const page = await this.open();
    if (before) await page.addInitScript(before);
    return this.bareIn(page);
  }

  /** Opens a document of the server from which /harness.js can be imported. @param {import('playwright-core').Page} page */
  async serveHarness(page) {
    await page.route('**/harness.js', (route) => route.fulfill({ contentType: 'text/javascript', body: HARNESS }));
    await page.goto(new URL('/healthz', this.server.link).href);
  }

  /** The same in a page that is open. @param {import('playwright-core').Page} page */
  async bareIn(page) {
    await this.serveHarness(page);
    await page.evaluate(() => import('/harness.js'));
    return this;
  }

  /** Joins on the room page by the printed link. */
  async joinRoom({ link = this.server.link.href, ...options } = {}) {
    await this.open(options);
    await this.page.goto(link);
    await this.page.fill('#name', this.name);
    await this.page.click('#join-button');
    return this;
  }

  tile(name) {
    return this.page.locator(`.tile[aria-label^="${name}"]`);
  }
}
