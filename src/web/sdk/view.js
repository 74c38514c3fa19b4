// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';
import { Failure } from './failure.js';
import { Tile } from './tile.js';

/** @import { Playback } from './playback.js' */
/** @import { Layer, Why } from './types.js' */
/** @import { Signal } from './signal.js' */
/** @import { Stream } from './stream.js' */

/**
 * @typedef {object} ViewOptions
 * @property {boolean} [audio]
 * @property {boolean} [video]
 * @property {Element} [tile] its size on the screen decides the resolution that is sent
 * @property {number} [width] where there is no tile: the wanted size in pixels
 * @property {number} [height]
 * @property {number} [priority] 0 to 255
 * @property {AbortSignal} [signal] until when it is watched
 */

/**
 * @typedef {{media: MediaStream, layer: Layer, sound: Why, error: Failure, closed: void}} ViewEvents
 */

/**
 * A stream that we watch. `media` holds its tracks for as long as it is watched and may go into any media element.
 *
 * Events: `media` (its tracks changed), `layer` ({width, height, why}), `sound` (why its sound is sent, 'source', or is not,
 * 'loudness'), `error`, `closed`.
 * @extends {Emitter<ViewEvents>}
 */
export class View extends Emitter {
  stream;
  media = new MediaStream();
  /** @type {Layer} */
  layer = { width: 0, height: 0, why: 'inactive' };
  /** Why its sound is sent, or is not. @type {Why} */
  sound = 'source';
  closed = false;

  #signal;
  #gid;
  #wanted;
  /** @type {Tile | undefined} */
  #tile;
  #told = '';
  #forget;
  /** What the page says beyond the tile's size. */
  #hidden = false;
  #fullscreen = false;
  #playback;
  #stats;
  /** What it plays in, and who waits for that. @type {Map<HTMLMediaElement, Waiting>} */
  #elements = new Map();

  /**
   * @param {number} gid
   * @param {number} uid
   * @param {number} sid
   */
  static key(gid, uid, sid) {
    return `${gid}/${uid}/${sid}`;
  }

  /**
   * @param {{signal: Signal, gid: number, stream: Stream, options: ViewOptions, playback: Playback,
   *   stats: () => Promise<RTCInboundRtpStreamStats[]>, forget: () => void}} init
   */
  constructor({ signal, gid, stream, options, playback, stats, forget }) {
    super();
    this.#signal = signal;
    this.#gid = gid;
    this.stream = stream;
    this.#forget = forget;
    this.#playback = playback;
    this.#stats = stats;
    this.#wanted = {
      audio: options.audio ?? true,
      video: options.video ?? true,
      width: options.width ?? 640,
      height: options.height ?? 360,
      visible: true,
      priority: options.priority ?? 1,
    };
    if (options.tile) this.setTile(options.tile);
    else this.#tell();
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** What is asked of the server now. */
  get wanted() {
    return { ...this.#wanted };
  }

  /**
   * Changes what is wanted: `audio` and `video` pause either, `priority` decides where bandwidth is short.
   * @param {{audio?: boolean, video?: boolean, width?: number, height?: number, visible?: boolean, priority?: number}} change
   */
  update(change) {
    Object.assign(this.#wanted, change);
    this.#tell();
  }

  /**
   * The element whose size on the screen decides the resolution.
   * @param {Element} element
   */
  setTile(element) {
    this.#tile?.close();
    this.#tile = new Tile(element, (size) => this.update(size));
  }

  /**
   * What the page knows of the tile beyond its size: that nobody sees it, or that it fills the screen.
   * @param {{visible: boolean, fullscreen?: boolean, priority?: number}} visibility
   */
  setVisibility({ visible, fullscreen = false, priority = this.#wanted.priority }) {
    this.#hidden = !visible;
    this.#fullscreen = fullscreen;
    this.update({ priority });
  }

  /**
   * Plays the stream in a media element and takes that element for the tile.
   * Where the browser refuses to play sound without a gesture, it plays muted and answers `muted`, until somebody clicks.
   * @param {HTMLMediaElement} element
   * @param {{tile?: Element, signal?: AbortSignal}} [options] `signal`: takes it out of the element again
   * @returns {Promise<'playing' | 'muted'>}
   */
  async attach(element, { tile = element, signal } = {}) {
    signal?.throwIfAborted();
    // Who gives it an element a second time waits for the same.
    const started = this.#elements.get(element) ?? waiting();
    this.#elements.set(element, started);
    signal?.addEventListener('abort', () => this.detach(element), { once: true });
    this.setTile(tile);
    if (element.srcObject !== this.media) element.srcObject = this.media;
    if (this.closed) this.detach(element);
    else if (this.media.getTracks().length) this.#play(element);
    const how = await started.promise;
    signal?.throwIfAborted();
    return how;
  }

  /**
   * Chromium never plays an element that was given an empty stream to which sound alone comes: it is given the stream anew.
   * @param {HTMLMediaElement} element
   */
  #restart(element) {
    // The page may have another use for it by now.
    if (element.srcObject !== this.media) return;
    element.srcObject = null;
    element.srcObject = this.media;
    this.#play(element);
  }

  /** @param {HTMLMediaElement} element */
  #play(element) {
    this.#playback.play(element).then((how) => this.#elements.get(element)?.resolve(how));
  }

  /**
   * Plays no more in a media element.
   * @param {HTMLMediaElement} element
   */
  detach(element) {
    const started = this.#elements.get(element);
    if (!started) return;
    this.#elements.delete(element);
    this.#playback.forget(element);
    started.resolve('muted');
    if (element.srcObject === this.media) element.srcObject = null;
  }

  /** What arrives of this stream: an entry each for sound and picture, as W3C webrtc-stats has them. */
  async stats() {
    const ids = this.media.getTracks().map(({ id }) => id);
    return (await this.#stats()).filter(({ trackIdentifier }) => ids.includes(trackIdentifier));
  }

  /** Ceases to watch. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this.#tile?.close();
    this.setTracks([]);
    for (const [element, started] of this.#elements) {
      this.#playback.forget(element);
      started.resolve('muted');
    }
    this.#forget();
    const { uid, sid } = this.stream;
    if (this.#signal.state !== 'closed' && !this.stream.gone) {
      this.#signal.request('unwatch', { gid: this.#gid, uid, sid }).catch(() => {});
    }
    this.emit('closed');
  }

  /** Watches again, after the server has forgotten us. */
  renew() {
    this.#told = '';
    this.#tell();
  }

  /** @param {MediaStreamTrack[]} tracks */
  setTracks(tracks) {
    const before = this.media.getTracks();
    const gone = before.filter((track) => !tracks.includes(track));
    const fresh = tracks.filter((track) => !before.includes(track));
    for (const track of gone) this.media.removeTrack(track);
    for (const track of fresh) this.media.addTrack(track);
    if (!before.length && fresh.length) for (const element of this.#elements.keys()) this.#restart(element);
    if (gone.length || fresh.length) this.emit('media', this.media);
  }

  /** @param {Layer} layer */
  setLayer(layer) {
    this.layer = layer;
    this.emit('layer', layer);
  }

  /** @param {Why} why */
  setSound(why) {
    this.sound = why;
    this.emit('sound', why);
  }

  #tell() {
    if (this.closed) return;
    const { uid, sid } = this.stream;
    const line = { gid: this.#gid, uid, sid, ...this.#wanted };
    if (this.#hidden) line.visible = false;
    if (this.#fullscreen) Object.assign(line, screenSize());
    const told = JSON.stringify(line);
    if (told === this.#told) return;
    this.#told = told;
    this.#signal.request('watch', line).catch((error) => {
      // After a restart the room watches again; a stream that is gone is in the next roster.
      if (error instanceof Failure && ['RESTARTED', 'CLOSED', 'NOSTREAM'].includes(error.code)) return;
      this.emit('error', error);
    });
  }
}

/** @typedef {{promise: Promise<'playing' | 'muted'>, resolve: (how: 'playing' | 'muted') => void}} Waiting */

/** `Promise.withResolvers` has not come to every browser in use. */
function waiting() {
  const one = /** @type {Waiting} */ ({});
  one.promise = new Promise((resolve) => { one.resolve = resolve; });
  return one;
}

/** In device pixels. */
function screenSize() {
  return { width: Math.round(screen.width * devicePixelRatio), height: Math.round(screen.height * devicePixelRatio) };
}
