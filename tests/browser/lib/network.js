// SPDX-License-Identifier: Apache-2.0
// Two hosts with a wire between them, made of network namespaces: one for the server, one for browsers. The wire can be told
// to lose what is sent by UDP, without a word, as firewalls do.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SERVER = '10.77.0.1';
const CLIENT = '10.77.0.2';

/** @param {string[]} words */
const ip = (...words) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] });

export class Network {
  /** Whether this user may make namespaces. */
  static get possible() {
    const name = `mr-try-${process.pid}`;
    try {
      ip('netns', 'add', name);
      ip('netns', 'del', name);
      return true;
    } catch {
      return false;
    }
  }

  constructor() {
    this.names = [`mr-s-${process.pid}`, `mr-c-${process.pid}`];
    const [server, client] = this.names;
    this.folder = mkdtempSync(join(tmpdir(), 'millrace-network-'));
    for (const name of this.names) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('link', 'add', 'wire', 'netns', server, 'type', 'veth', 'peer', 'name', 'wire', 'netns', client);
    for (const [name, address] of [[server, SERVER], [client, CLIENT]]) {
      ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'wire');
      ip('-n', name, 'link', 'set', 'wire', 'up');
      ip('-n', name, 'route', 'add', 'default', 'dev', 'wire');
    }
  }

  /** Where the server is. */
  get address() {
    return SERVER;
  }

  /** What runs a program on the server's host. */
  get onServer() {
    return ['ip', 'netns', 'exec', this.names[0]];
  }

  /** A program that runs another one on the browsers' host. @param {string} program */
  onClient(program) {
    const script = join(this.folder, 'run');
    writeFileSync(script, `#!/bin/sh\nexec ip netns exec ${this.names[1]} ${program} "$@"\n`);
    chmodSync(script, 0o755);
    return script;
  }

  /** From now on what comes to the server by UDP is lost. */
  loseUdp() {
    const [server] = this.names;
    // The kernel asks this table first what is for itself; something must come before it.
    ip('-n', server, 'rule', 'add', 'pref', '100', 'lookup', 'local');
    ip('-n', server, 'rule', 'add', 'pref', '10', 'iif', 'wire', 'ipproto', 'udp', 'blackhole');
    ip('-n', server, 'rule', 'del', 'pref', '0');
  }

  remove() {
    for (const name of this.names) ip('netns', 'del', name);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
