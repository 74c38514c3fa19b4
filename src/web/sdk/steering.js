// SPDX-License-Identifier: Apache-2.0

import { within } from './limits.js';

/** @import { Encoding } from './encodings.js' */
/** @import { LimitChanges } from './types.js' */

/** Keeps the encoders of a stream to what was said last of layers and limits. */
export class Steering {
  /** @type {Partial<Record<'audio' | 'video', RTCRtpSender>>} */
  senders = {};
  /** The encodings of the picture as they were planned, from the smallest. @type {Encoding[]} */
  planned = [];
  /** Which of them somebody wants, once the server has said so. @type {boolean[]} */
  wanted = [];

  #now;
  /** Encoders are told one thing after the other. @type {Promise<void>} */
  #turn = Promise.resolve();

  /** @param {() => {limits: LimitChanges, media: MediaStream}} now what holds when the encoders are told */
  constructor(now) {
    this.#now = now;
  }

  /** A new connection has senders of its own, and nobody has said yet what is wanted of it. */
  reset() {
    this.senders = {};
    this.wanted = [];
  }

  steer() {
    this.#turn = this.#turn.then(() => this.#steer()).catch(() => {});
  }

  async #steer() {
    const { limits, media } = this.#now();
    const { width = 1280, height = 720 } = media.getVideoTracks()[0]?.getSettings() ?? {};
    await set(this.senders.video, (at) => {
      const planned = this.planned[at];
      if (!planned) return {};
      const wanted = this.wanted.length === this.planned.length ? this.wanted[at] ?? true : true;
      return within(planned, at, { limits, wanted, width, height });
    });
    const { audioKbps } = limits;
    await set(this.senders.audio, () => ({ maxBitrate: audioKbps && audioKbps * 1000 }));
  }
}

/**
 * @param {RTCRtpSender | undefined} sender
 * @param {(at: number) => Partial<Encoding>} change what is undefined is taken away
 */
async function set(sender, change) {
  const parameters = sender?.getParameters();
  if (!sender || !parameters?.encodings?.length) return;
  let changed = false;
  for (const [at, encoding] of parameters.encodings.entries()) {
    for (const [name, value] of Object.entries(change(at))) {
      const known = /** @type {any} */ (encoding);
      if (known[name] === value) continue;
      changed = true;
      if (value === undefined) delete known[name];
      else known[name] = value;
    }
  }
  if (changed) await sender.setParameters(parameters);
}
