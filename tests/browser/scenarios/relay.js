// SPDX-License-Identifier: Apache-2.0
// `millrace-load relay` between a page and the server.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.MILLRACE_LOAD
  ?? join(fileURLToPath(new URL('.', import.meta.url)), '..', '..', '..', 'target', 'release', 'millrace-load');

export class Relay {
  /**
   * @param {number} server the server's port
   * @param {string[]} args how it impairs
   */
  static async start(server, args) {
    const relay = new Relay();
    relay.child = spawn(BINARY, ['relay', '--listen', '127.0.0.1:0', '--to', `127.0.0.1:${server}`, ...args],
      { stdio: ['pipe', 'pipe', 'inherit'] });
    relay.lines = createInterface({ input: relay.child.stdout })[Symbol.asyncIterator]();
    relay.port = Number(/^relaying \S+:(\d+) /.exec(await relay.#line())?.[1]);
    return relay;
  }

  async #line() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('The relay ended.');
    return value;
  }

  /** Begins schedule and tally. */
  begin() {
    this.child.stdin.write('start\n');
  }

  /** What waited until now does not count. */
  settled() {
    this.child.stdin.write('settled\n');
  }

  /** @returns {Promise<{seconds: number, bytes: number, queue_p95_ms: number, samples: [number, number, number, number][]}>} */
  async report() {
    this.child.stdin.write('report\n');
    return JSON.parse(await this.#line());
  }

  stop() {
    this.child.kill();
  }
}

/**
 * Makes a page's connections pass the relay: what the server says of its port is the relay's, and there is no TCP around it.
 * Runs in the page before anything else.
 * @param {{from: number, to: number}} ports
 */
export function redirect({ from, to }) {
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function setRemoteDescription(description) {
    const lines = (description?.sdp ?? '').split('\r\n');
    const kept = lines.filter((line) => !/^a=candidate:\S+ \d+ tcp /i.test(line));
    const sdp = kept.map((line) => line.replace(new RegExp(`^(a=candidate:\\S+ \\d+ udp \\d+ \\S+) ${from} `, 'i'), `$1 ${to} `)).join('\r\n');
    return original.call(this, { type: description.type, sdp });
  };
}
