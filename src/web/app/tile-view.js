// SPDX-License-Identifier: Apache-2.0

import { hue, initials, within } from './dom.js';
import { has, toggleFloat, toggleFull } from './screen.js';

/** @import { Layer, Media, Why } from '../sdk/types.js' */

/** Why a tile gets what it gets, for people. @type {Record<Why, string>} */
const REASONS = {
  tile: 'sized to the tile',
  cap: 'limited in this room',
  source: 'all that is sent',
  bandwidth: 'all that your connection carries',
  paused: 'paused: your connection is too slow',
  loudness: 'others are louder',
  keyframe: 'waiting for a picture',
  inactive: 'nothing is sent',
  silent: 'nothing arrives from the sender',
  codec: 'your browser cannot decode it',
};

/** One picture in the room: a video, a name and what there is to know about it. */
export class TileView {
  element;
  video;
  /** @type {((on: boolean) => void) | undefined} */
  onLarge;
  #name = '';
  #local;
  /** Nothing is sent of the picture: what was sent last is no picture of now. */
  #stopped = false;

  /**
   * @param {{name: string, seed: string, screen: boolean, local: boolean, onPin: () => void, onProblem: (error: unknown) => void}} init
   */
  constructor({ name, seed, screen, local, onPin, onProblem }) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('tile-template'));
    this.element = /** @type {HTMLElement} */ (/** @type {Element} */ (template.content.firstElementChild).cloneNode(true));
    this.video = /** @type {HTMLVideoElement} */ (within(this.element, 'video'));
    this.#local = local;
    this.element.classList.toggle('screen', screen);
    this.element.classList.toggle('mirror', local && !screen);
    this.element.classList.toggle('local', local);
    within(this.element, '.avatar').style.setProperty('--hue', hue(seed));
    this.video.muted = local;
    // Until there is a picture the tile says whose it will be.
    this.element.classList.add('blank');
    for (const event of ['resize', 'emptied']) this.video.addEventListener(event, () => this.#paintBlank());
    within(this.element, 'figcaption .bars').hidden = true;
    const pin = within(this.element, '.pin-button');
    pin.addEventListener('click', onPin);
    this.element.addEventListener('dblclick', onPin);
    const full = within(this.element, '.full-button');
    full.hidden = !has.full;
    full.addEventListener('click', () => toggleFull(this.element).catch(onProblem));
    const float = within(this.element, '.float-button');
    float.hidden = !has.float;
    float.addEventListener('click', () => toggleFloat(this.video).catch(onProblem));
    this.setName(screen ? `${name}'s screen` : name);
    this.setPinned(false);
  }

  /** @param {string} name */
  setName(name) {
    this.#name = name;
    within(this.element, '.name').textContent = this.#local ? `${name} (you)` : name;
    within(this.element, '.avatar').textContent = initials(name);
    this.#describe();
  }

  /**
   * @param {{muted: Media, audio: boolean, video: boolean}} state
   */
  setState({ muted, audio, video }) {
    this.element.classList.toggle('muted-audio', audio && muted.audio);
    this.element.classList.toggle('dark', !video || muted.video);
    this.#describe();
  }

  /** @param {boolean} on */
  setTalking(on) {
    this.element.classList.toggle('talking', on);
  }

  /** @param {boolean} on */
  setStale(on) {
    this.element.classList.toggle('stale', on);
  }

  /** @param {boolean} on */
  setPinned(on) {
    const button = within(this.element, '.pin-button');
    button.setAttribute('aria-pressed', String(on));
    button.setAttribute('aria-label', on ? `Put ${this.#name} back into the grid` : `Show ${this.#name} large`);
    within(this.element, '.full-button').setAttribute('aria-label', `${this.#name} in full screen`);
    within(this.element, '.float-button').setAttribute('aria-label', `${this.#name} in a small window of its own`);
  }

  /** @param {Layer} layer */
  setLayer({ width, height, why }) {
    within(this.element, '.size').textContent = width ? `${width}×${height}` : why === 'keyframe' ? '…' : '–';
    within(this.element, '.why').textContent = REASONS[why] ?? why;
    within(this.element, '.badge').title = REASONS[why] ?? why;
    this.#stopped = !width && why !== 'keyframe' && why !== 'inactive';
    this.#paintBlank();
  }

  /**
   * @param {number} level 0 to 4
   * @param {string} text
   */
  setQuality(level, text) {
    const bars = within(this.element, 'figcaption .bars');
    bars.hidden = false;
    bars.dataset.level = String(level);
    bars.setAttribute('aria-label', text);
    bars.title = text;
  }

  #paintBlank() {
    this.element.classList.toggle('blank', this.#stopped || !this.video.videoWidth);
  }

  #describe() {
    const { classList } = this.element;
    const parts = [this.#local ? `${this.#name}, you` : this.#name];
    if (classList.contains('muted-audio')) parts.push('microphone off');
    if (classList.contains('dark')) parts.push('camera off');
    this.element.setAttribute('aria-label', parts.join(', '));
  }
}
