// SPDX-License-Identifier: Apache-2.0
// The real binary, with a data folder and ports of its own.

import { execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
export const OUTPUT = join(here, '..', 'output');
export const BINARY = process.env.MILLRACE ?? join(here, '..', '..', '..', 'target', 'release', 'millrace');

async function freeTcp() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function freeUdp() {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

export class Server {
  /** @param {{args?: string[], name?: string, host?: string, wrap?: string[]}} [options] `wrap`: what runs the server */
  static async start({ args = [], name = 'server', host = '127.0.0.1', wrap = [] } = {}) {
    const server = new Server();
    mkdirSync(OUTPUT, { recursive: true });
    server.data = mkdtempSync(join(tmpdir(), 'millrace-test-'));
    server.args = ['--listen', `${host}:${await freeUdp()}`, '--http', `${host}:${await freeTcp()}`, '--data', server.data, ...args];
    server.name = name;
    server.wrap = wrap;
    await server.run();
    return server;
  }

  /**
   * Starts it on the ports and data it has; the link it prints is `link`.
   * @param {string[]} [command]
   */
  async run(command = []) {
    this.log = createWriteStream(join(OUTPUT, `${this.name}.log`), { flags: 'a' });
    const [program, ...args] = [...this.wrap, BINARY, ...command, ...this.args];
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
    this.ended = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve({ code, signal })));
    this.child.stderr.pipe(this.log);
    let printed = '';
    const link = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('The server printed no link within 20 s.')), 20_000);
      this.child.once('error', reject);
      this.ended.then(({ code }) => reject(new Error(`The server ended with ${code} at its start; see output/${this.name}.log`)));
      this.child.stdout.on('data', (chunk) => {
        printed += chunk;
        const found = /https?:\/\/\S+/.exec(printed);
        if (found) resolve(found[0]), clearTimeout(timer);
      });
    });
    this.link = new URL(link);
    this.gid = Number(this.link.searchParams.get('gid'));
    this.pin = this.link.searchParams.get('pin');
  }

  /** Starts its successor, which takes over from it; how it ended. */
  async succeed() {
    const { ended, log } = this;
    await this.run(['take-over']);
    const how = await ended;
    log.end();
    return how;
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** @param {NodeJS.Signals} [signal] */
  async stop(signal = 'SIGTERM') {
    if (this.alive) this.child.kill(signal);
    return this.ended;
  }

  async remove() {
    await this.stop('SIGKILL');
    this.log.end();
    rmSync(this.data, { recursive: true, force: true });
  }

  /** A user's token, by the command line. @param {string} name */
  async token(name) {
    const { stdout } = await promisify(execFile)(BINARY, ['token', '--data', this.data, '--name', name]);
    return stdout.trim();
  }

  /** @param {Record<string, string | number>} query */
  async api(query) {
    const url = new URL('/api', this.link);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
    return (await fetch(url)).json();
  }
}
