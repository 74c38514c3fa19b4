// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';

/**
 * @typedef {{kind: 'audio' | 'video' | 'output', deviceId: string, groupId: string, label: string}} Device a microphone, a
 *   camera, or where sound comes out
 */

/** @type {Record<string, Device['kind']>} */
const KINDS = { audioinput: 'audio', videoinput: 'video', audiooutput: 'output' };

/**
 * The devices of this machine, as far as the browser names them: before a page was allowed to use one, it names none.
 *
 * Events: `changed` ({all, added, removed}: one was plugged in or unplugged).
 * @extends {Emitter<{changed: {all: Device[], added: Device[], removed: Device[]}}>}
 */
export class Devices extends Emitter {
  /** Those that there were at the last look. @type {Device[]} */
  all = [];

  #abort = new AbortController();
  /** Looks come one after the other. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  constructor() {
    super();
    // A browser tells several times of one plug.
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#look(true), { signal: this.#abort.signal });
  }

  /**
   * Those that there are now.
   * @param {Device['kind']} [kind] all kinds unless told
   */
  async list(kind) {
    await this.#look(false);
    return this.all.filter((device) => !kind || device.kind === kind);
  }

  /** Tells no more. */
  close() {
    this.#abort.abort();
  }

  /** @param {boolean} tell whether what is new or gone is worth an event: it is not where the page was just allowed to see it */
  #look(tell) {
    this.#turn = this.#turn.then(() => enumerate()).then((all) => {
      const before = this.all;
      this.all = all;
      const added = all.filter((device) => !has(before, device));
      const removed = before.filter((device) => !has(all, device));
      if (tell && (added.length || removed.length) && !this.#abort.signal.aborted) this.emit('changed', { all, added, removed });
    }).catch(() => {});
    return this.#turn;
  }
}

/** @returns {Promise<Device[]>} */
export async function enumerate() {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.flatMap(({ kind, deviceId, groupId, label }) => {
    const ours = KINDS[kind];
    return ours && deviceId ? [{ kind: ours, deviceId, groupId, label }] : [];
  });
}

/**
 * @param {Device[]} all
 * @param {Device} device
 */
function has(all, { kind, deviceId }) {
  return all.some((other) => other.kind === kind && other.deviceId === deviceId);
}
