// SPDX-License-Identifier: Apache-2.0
// People in browsers: each in a context of their own, on the room page or on a bare page with the SDK, by the helpers of harness.js.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HARNESS = readFileSync(join(fileURLToPath(new URL('.', import.meta.url)), 'harness.js'), 'utf8');
const VIEWPORT = { width: 1440, height: 900 };

/**
 * Runs a script before those of each document of a page.
 * @template T
 * @param {import('playwright-core').Page} page
 * @param {(value: T) => void} script
 * @param {T} [value]
 */
export async function runBefore(page, script, value) {
  // Firefox begins each page with an empty document, which has no storage, no devices and no transports.
  await page.addInitScript(`if (isSecureContext && origin !== 'null') (${script})(${JSON.stringify(value)});`);
}

/**
 * Counts the frames that a video element shows from now on.
 * @param {import('playwright-core').Page} page
 * @param {string} selector
 */
export async function countFrames(page, selector) {
  await page.evaluate((which) => {
    const video = document.querySelector(which);
    window.shown = 0;
    const count = () => {
      window.shown += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
  }, selector);
  return () => page.evaluate(() => window.shown);
}

export class Person {
  /**
   * @param {import('./browsers.js').Browser} browser
   * @param {import('./server.js').Server} server
   * @param {string} name
   */
  constructor(browser, server, name) {
    Object.assign(this, { browser, server, name, errors: [] });
  }

  async open(options = {}) {
    this.context = await this.browser.newContext({ viewport: VIEWPORT, ...options });
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => {
      // Firefox calls it an error of the page when its driver takes a screenshot, for which it writes a style into the page.
      if (!/blocked an inline style \(style-src-elem\)/.test(error.message)) this.errors.push(error.stack ?? String(error));
    });
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
    if (before) await runBefore(page, before);
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
  /** Joins on the bare page as a guest, or with a token. */
  async enter({ gid = this.server.gid, pin = this.server.pin, token } = {}) {
    return this.page.evaluate((who) => window.h.enter(who), { gid, pin, token, name: this.name });
  }

  /** @param {object} options */
  async publish(options = {}) {
    return this.page.evaluate((o) => window.h.publish(o), options);
  }

  /** Watches the first stream that is there in a tile of this size; answers the ms until its first frame. */
  async watch(width, height, options = {}) {
    return this.page.evaluate((o) => window.h.watch(o), { width, height, ...options });
  }

  async resize(width, height) {
    return this.page.evaluate((size) => window.h.resize(size), { width, height });
  }

  /** What arrives for the watched stream, video or audio. */
  async inbound(kind = 'video') {
    return this.page.evaluate((k) => window.h.inbound(k), kind);
  }
}
