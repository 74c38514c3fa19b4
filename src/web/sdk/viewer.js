// SPDX-License-Identifier: Apache-2.0

import { connection, statsOf } from './connection.js';
import { Emitter } from './emitter.js';
import { Failure } from './failure.js';
import { Playback } from './playback.js';
import { View } from './view.js';

/** @import { Signal } from './signal.js' */
/** @import { Quality, Slot } from './types.js' */

/**
 * The one connection on which a client watches. The server offers its slots; which stream fills which slot is a
 * message and no negotiation.
 *
 * Events: `state` (of the connection), `quality` (Quality), `error`.
 * @extends {Emitter<{state: RTCPeerConnectionState, quality: Quality, error: Error}>}
 */
export class Viewer extends Emitter {
  /** @type {Map<string, View>} */
  views = new Map();
  /** What they are played in. */
  playback = new Playback();
  /** @type {Quality | undefined} */
  quality;

  #signal;
  /** @type {RTCPeerConnection | undefined} */
  #pc;
  /** @type {Slot[]} */
  #slots = [];
  /** @type {{rev: number, sdp: string} | undefined} */
  #answered;
  /** Offers are answered one after the other. @type {Promise<void>} */
  #turn = Promise.resolve();

  /** @param {Signal} signal */
  constructor(signal) {
    super();
    this.#signal = signal;
  }

  /** The connection, for statistics. */
  get pc() {
    return this.#pc;
  }

  /** @param {{rev: number, sdp: string, fresh?: boolean}} offer */
  onOffer(offer) {
    this.#turn = this.#turn.then(() => this.#answer(offer)).catch((error) => {
      // STALE: a newer offer is on its way.
      if (!(error instanceof Failure)) this.emit('error', error);
    });
  }

  /** @param {Slot[]} slots */
  onSlots(slots) {
    this.#slots = slots;
    this.#fill();
  }

  /** @param {Quality} quality */
  setQuality(quality) {
    this.quality = quality;
    this.emit('quality', quality);
  }

  /** The server knows nothing of us any more: begin again with a new connection. */
  restart() {
    this.#pc?.close();
    this.#pc = undefined;
    this.#answered = undefined;
    this.onSlots([]);
  }

  /** What arrives: one entry a slot. */
  async stats() {
    return statsOf(this.#pc, 'inbound-rtp');
  }

  close() {
    for (const view of [...this.views.values()]) view.close();
    this.playback.close();
    this.#pc?.close();
    this.#pc = undefined;
  }

  /** @param {{rev: number, sdp: string, fresh?: boolean}} offer */
  async #answer({ rev, sdp, fresh }) {
    if (this.#answered?.rev === rev) {
      await this.#signal.request('answer', this.#answered);
      return;
    }
    if (fresh) {
      this.#pc?.close();
      this.#pc = undefined;
    }
    const pc = (this.#pc ??= this.#connect());
    await pc.setRemoteDescription({ type: 'offer', sdp });
    const answer = await pc.createAnswer();
    this.#answered = { rev, sdp: answer.sdp ?? '' };
    // It leaves before the first connectivity check does, so that the server knows whose check it is.
    const told = this.#signal.request('answer', this.#answered);
    await Promise.all([told, pc.setLocalDescription(answer)]);
    this.#fill();
  }

  #connect() {
    const pc = connection({
      state: (state) => pc === this.#pc && this.emit('state', state),
      lost: (times) => {
        if (pc !== this.#pc || this.#signal.state !== 'online') return;
        if (times > 2) this.#signal.renew();
        else this.#signal.request('restart', { watching: true }).catch(() => this.#signal.renew());
      },
    });
    return pc;
  }

  /** Gives each view the tracks of the slots that carry its stream. */
  #fill() {
    const tracks = new Map((this.#pc?.getTransceivers() ?? []).map(({ mid, receiver }) => [mid, receiver.track]));
    /** @type {Map<string, MediaStreamTrack[]>} */
    const byView = new Map();
    for (const { mid, gid, uid, sid } of this.#slots) {
      const track = tracks.get(mid);
      if (!track) continue;
      const key = View.key(gid, uid, sid);
      byView.set(key, [...(byView.get(key) ?? []), track]);
    }
    for (const [key, view] of this.views) view.setTracks(byView.get(key) ?? []);
  }
}
