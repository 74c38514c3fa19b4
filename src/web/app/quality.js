// SPDX-License-Identifier: Apache-2.0

import { element } from './dom.js';

/** @import { Millrace, Stream } from '../sdk/millrace.js' */
/** @import { TileView } from './tile-view.js' */

const EVERY_MS = 2000;
const WORDS = ['bad', 'poor', 'fair', 'good', 'excellent'];

/** Connection quality: ours as the server sees it, each picture's as it arrives. */
export class Quality {
  #client;
  #tileOf;
  /** What was counted before, by slot. @type {Map<string, {received: number, lost: number, frozen: number}>} */
  #before = new Map();

  /**
   * @param {Millrace} client
   * @param {(stream: Stream) => TileView | undefined} tileOf
   * @param {AbortSignal} signal
   */
  constructor(client, tileOf, signal) {
    this.#client = client;
    this.#tileOf = tileOf;
    client.on('quality', () => this.#paintOwn(), { signal });
    const timer = setInterval(() => this.#measure(), EVERY_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    this.#paintOwn();
  }

  #paintOwn() {
    const bars = element('connection');
    const { level } = this.#client;
    bars.dataset.level = String(level);
    const label = `Your connection is ${WORDS[level] ?? 'unknown'}`;
    bars.setAttribute('aria-label', label);
    bars.title = label;
  }

  async #measure() {
    const { viewer } = this.#client;
    const views = [...viewer.views.values()];
    if (!views.length || document.visibilityState === 'hidden') return;
    for (const entry of await viewer.stats()) {
      if (entry.kind !== 'video') continue;
      const now = { received: entry.packetsReceived ?? 0, lost: entry.packetsLost ?? 0, frozen: entry.totalFreezesDuration ?? 0 };
      const before = this.#before.get(entry.id);
      this.#before.set(entry.id, now);
      const view = views.find(({ media }) => media.getTrackById(entry.trackIdentifier));
      const received = now.received - (before?.received ?? now.received);
      if (!view || !received) continue;
      const lost = Math.max(0, now.lost - (before?.lost ?? 0));
      const percent = (100 * lost) / (lost + received);
      const frozen = now.frozen - (before?.frozen ?? 0);
      this.#tileOf(view.stream)?.setQuality(levelOf(percent, frozen), `${view.stream.name} arrives: ${percent.toFixed(1)} % lost`);
    }
  }
}

/**
 * @param {number} percent of packets lost
 * @param {number} frozen seconds of standstill in the last two
 */
function levelOf(percent, frozen) {
  const loss = percent < 1 ? 4 : percent < 3 ? 3 : percent < 8 ? 2 : percent < 20 ? 1 : 0;
  return Math.min(loss, frozen > 1 ? 1 : frozen > 0.3 ? 2 : 4);
}
