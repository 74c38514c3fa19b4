// SPDX-License-Identifier: Apache-2.0
// What people do on the bare page, whichever browser they have: the SDK, by the helpers of harness.js.

/** Somebody with a `page` that evaluates functions with one argument. */
export class OnBarePage {
  /**
   * @param {import('playwright-core').Browser | import('puppeteer-core').Browser} browser
   * @param {import('./server.js').Server} server
   * @param {string} name
   */
  constructor(browser, server, name) {
    Object.assign(this, { browser, server, name, errors: [] });
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
