// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';
import { Failure } from './failure.js';

/** What browsers take for a person who is there. */
const GESTURES = ['click', 'touchend', 'keydown'];

/**
 * The media elements in which we play what we watch: whether they may be heard, and where their sound comes out.
 *
 * Events: `blocked` (boolean: the browser plays no sound until somebody touches the page. It plays silently until then, and the
 * first click or key brings the sound), `output` (deviceId).
 * @extends {Emitter<{blocked: boolean, output: string}>}
 */
export class Playback extends Emitter {
  blocked = false;
  /** Where sound comes out: a deviceId, or nothing for the browser's own choice. */
  output = '';

  /** @type {Set<HTMLMediaElement>} */
  #elements = new Set();
  /** Those that we had to mute. @type {Set<HTMLMediaElement>} */
  #silenced = new Set();
  /** Of the gestures that we wait for. @type {AbortController | undefined} */
  #waiting;

  /** Whether this browser lets a page choose where sound comes out. */
  static get canChooseOutput() {
    return typeof HTMLMediaElement.prototype.setSinkId === 'function';
  }

  /**
   * Plays an element's media, silently where it may not be heard.
   * @param {HTMLMediaElement} element
   * @returns {Promise<'playing' | 'muted'>}
   */
  async play(element) {
    this.#elements.add(element);
    if (this.output) element.setSinkId(this.output).catch(() => {});
    try {
      await element.play();
      return 'playing';
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'NotAllowedError' || !this.#elements.has(element)) return 'playing';
      await this.#silence(element);
      return 'muted';
    }
  }

  /** No more is played in it. @param {HTMLMediaElement} element */
  forget(element) {
    this.#elements.delete(element);
    this.#silenced.delete(element);
    this.#tell();
  }

  /**
   * Brings the sound that the browser refused. To be called where somebody has just clicked.
   * @returns {Promise<boolean>} whether it is heard now
   */
  async resume() {
    const all = [...this.#silenced];
    this.#silenced.clear();
    // All at once: some browsers allow what a gesture does itself, and not what comes after it.
    await Promise.all(all.map((element) => {
      element.muted = false;
      return element.play().catch((error) => error.name === 'NotAllowedError' && this.#elements.has(element) ? this.#silence(element) : undefined);
    }));
    this.#tell();
    return !this.blocked;
  }

  /**
   * Where sound comes out from now on.
   * @param {string} deviceId of a {@link Device} of kind 'output'; '' for the browser's own choice
   */
  async setOutput(deviceId) {
    if (!Playback.canChooseOutput) throw new Failure('UNSUPPORTED', 'This browser does not let pages choose where sound comes out: choose it in its settings.');
    await Promise.all([...this.#elements].map((element) => element.setSinkId(deviceId)));
    this.output = deviceId;
    this.emit('output', deviceId);
  }

  close() {
    this.#elements.clear();
    this.#silenced.clear();
    this.#waiting?.abort();
  }

  /** @param {HTMLMediaElement} element */
  async #silence(element) {
    element.muted = true;
    this.#silenced.add(element);
    this.#tell();
    await element.play().catch(() => {});
  }

  #tell() {
    const blocked = this.#silenced.size > 0;
    if (blocked === this.blocked) return;
    this.blocked = blocked;
    this.#waiting?.abort();
    if (blocked) {
      const { signal } = (this.#waiting = new AbortController());
      for (const type of GESTURES) document.addEventListener(type, () => this.resume(), { capture: true, signal });
    }
    this.emit('blocked', blocked);
  }
}
