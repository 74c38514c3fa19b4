// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';
import { Chart } from './chart.js';
import { bits, bytes, count, duration, many, percent, rate } from './format.js';

const RATES = ['processorMs', 'bytesIn', 'bytesOut', 'packetsIn', 'packetsOut', 'dropped'];
const NOTHING = Object.fromEntries(RATES.map((name) => [name, 0]));

/** What the server has to do: plots over the last five minutes. */
export class Load {
  /** @type {any} */
  #before;
  /** What each shard does in a second. @type {Record<string, number>[]} */
  #rates = [];
  #cpu = new Chart('Processor, by shard', { format: percent, least: 10 });
  #bits = new Chart('Traffic', { names: ['in', 'out'], format: bits, least: 100_000 });
  #packets = new Chart('Packets', { names: ['in', 'out'], format: rate, least: 100 });
  #memory = new Chart('Memory', { format: bytes, least: 2 ** 20, unit: 2 ** 20 });
  #sessions = new Chart('Connections', { format: count, least: 10 });
  #drops = new Chart('Dropped', { format: rate, least: 10 });

  constructor() {
    const charts = [this.#cpu, this.#bits, this.#packets, this.#memory, this.#sessions, this.#drops];
    element('charts').append(...charts.map((chart) => chart.element));
  }

  /** @param {any} node what `/v1/node` says */
  show(node) {
    const before = this.#before;
    this.#before = node;
    const { calls, clients, streams } = node.counts;
    element('server-line').textContent = `${node.version} · up ${duration(node.uptime)} · ${many(calls, 'call')} · ${many(clients, 'client')} · ${many(streams, 'stream')}`;
    const state = element('server-state');
    state.textContent = node.healthy ? (node.draining ? 'draining' : 'healthy') : 'a shard stands still';
    state.dataset.state = node.healthy ? (node.draining ? 'warn' : 'good') : 'bad';
    const drain = element('drain');
    drain.textContent = node.draining ? 'Let people in' : 'Drain';
    drain.dataset.draining = String(node.draining);
    this.#memory.add(node.ts, [node.memory ?? 0]);
    this.#sessions.add(node.ts, [sum(node, 'sessions')]);
    // A server that was started anew counts from nothing.
    if (!before || node.uptime < before.uptime || node.ts <= before.ts) return;
    // Each shard counts in its own time; one that did not count anew goes on as it did.
    const shards = node.shards.map((/** @type {any} */ shard, /** @type {number} */ at) => {
      const old = before.shards[at] ?? shard;
      const ms = shard.countedAt - old.countedAt;
      if (ms > 0) {
        const grown = (/** @type {string} */ name) => ((shard[name] - old[name]) * 1000) / ms;
        this.#rates[at] = Object.fromEntries(RATES.map((name) => [name, grown(name)]));
      }
      return this.#rates[at] ?? NOTHING;
    });
    const all = (/** @type {string} */ name) => shards.reduce((/** @type {number} */ sum, /** @type {any} */ shard) => sum + shard[name], 0);
    this.#cpu.add(node.ts, shards.map((/** @type {any} */ shard) => shard.processorMs / 10));
    this.#bits.add(node.ts, [all('bytesIn') * 8, all('bytesOut') * 8]);
    this.#packets.add(node.ts, [all('packetsIn'), all('packetsOut')]);
    this.#drops.add(node.ts, [all('dropped')]);
    paintDrops(node.drops, before.drops);
  }
}

/** What was dropped, by reason, the most first. @param {Record<string, number>} now @param {Record<string, number>} before */
function paintDrops(now, before) {
  const some = Object.entries(now).filter(([, total]) => total).sort(([, a], [, b]) => b - a);
  const text = some.map(([name, total]) => {
    const grown = total - (before[name] ?? 0);
    return `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${total}${grown > 0 ? ` (+${grown})` : ''}`;
  });
  element('drops').textContent = `Dropped since the start: ${text.join(' · ') || 'nothing'}`;
}

/** @param {any} node @param {string} name */
const sum = (node, name) => node.shards.reduce((/** @type {number} */ all, /** @type {any} */ shard) => all + shard[name], 0);
