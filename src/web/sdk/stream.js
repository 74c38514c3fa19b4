// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';

/** @import { Media, StreamInfo } from './types.js' */
/** @import { View } from './view.js' */

/**
 * A stream that somebody else publishes in a room: an entry of the roster.
 *
 * Events: `changed`, `talking` (boolean), `gone`.
 * @extends {Emitter<{changed: void, talking: boolean, gone: void}>}
 */
export class Stream extends Emitter {
  uid;
  sid;
  name = '';
  address = '';
  /** 1 camera, 2 screen. */
  source = 1;
  audio = true;
  video = true;
  /** @type {Media} */
  muted = { audio: false, video: false };
  talking = false;
  /** When it talked last, by `performance.now()`. */
  talkedAt = 0;
  /** The server was restarted and has not heard from the publisher yet. */
  stale = false;
  gone = false;
  /** How we watch it, if we do. @type {View | undefined} */
  view;

  /** @param {StreamInfo} info */
  constructor(info) {
    super();
    this.uid = info.uid;
    this.sid = info.sid;
    this.update(info);
  }

  /** Unique in its room. */
  get key() {
    return `${this.uid}/${this.sid}`;
  }

  /** @param {StreamInfo} info */
  update(info) {
    const { name, address, source, audio, video, muted } = info;
    Object.assign(this, { name, address, source, audio, video, muted: { ...muted }, stale: false });
    this.emit('changed');
  }

  /** @param {boolean} talking */
  setTalking(talking) {
    if (talking) this.talkedAt = performance.now();
    if (talking === this.talking) return;
    this.talking = talking;
    this.emit('talking', talking);
  }

  /** @param {boolean} stale */
  setStale(stale) {
    this.stale = stale;
    this.emit('changed');
  }

  leave() {
    this.gone = true;
    this.view?.close();
    this.emit('gone');
  }
}
