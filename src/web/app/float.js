// SPDX-License-Identifier: Apache-2.0

import { element, hue, initials, setSwitch } from './dom.js';

/** @import { Room, Stream } from '../sdk/millrace.js' */
/** @typedef {{mic: () => void, cam: () => void, leave: () => void}} Actions */

const EVERY_MS = 250;
/** What is put into the page's bar is mirrored here, by the ids of the buttons. */
const BUTTONS = /** @type {const} */ (['mic', 'cam', 'leave']);

/**
 * The call in a small window above all others, where the browser has such windows (W3C document-picture-in-picture): who talks, and
 * the buttons that one looks for in a hurry.
 */
export class Float {
  #room;
  #shown;
  #actions;
  /** @type {Window | undefined} */
  #window;
  /** @type {Stream | undefined} */
  #stream;
  /** How it is watched: anew, after the server was lost. @type {Stream['view']} */
  #view;

  static get possible() {
    return 'documentPictureInPicture' in window;
  }

  /**
   * @param {{room: Room, shown: () => Stream | undefined, actions: Actions, signal: AbortSignal}} init `shown`: whom to show now
   */
  constructor({ room, shown, actions, signal }) {
    this.#room = room;
    this.#shown = shown;
    this.#actions = actions;
    signal.addEventListener('abort', () => this.#window?.close());
  }

  /** Opens it, or closes it. */
  async toggle() {
    if (this.#window) return this.#window.close();
    const opened = /** @type {Window} */ (await /** @type {any} */ (window).documentPictureInPicture.requestWindow({ width: 360, height: 240 }));
    this.#window = opened;
    this.#furnish(opened.document);
    const timer = setInterval(() => this.#follow(), EVERY_MS);
    opened.addEventListener('pagehide', () => {
      clearInterval(timer);
      this.#show(undefined);
      this.#window = undefined;
    });
    this.#follow();
  }

  /** @param {Document} page */
  #furnish(page) {
    page.title = document.title;
    page.documentElement.lang = 'en';
    page.documentElement.dataset.theme = document.documentElement.dataset.theme ?? 'auto';
    for (const link of document.querySelectorAll('link[rel=stylesheet]')) {
      const copy = page.createElement('link');
      copy.rel = 'stylesheet';
      copy.href = /** @type {HTMLLinkElement} */ (link).href;
      page.head.append(copy);
    }
    const tile = page.createElement('figure');
    tile.className = 'tile dark';
    const video = page.createElement('video');
    // It is heard in the page.
    Object.assign(video, { muted: true, autoplay: true, playsInline: true });
    const avatar = page.createElement('div');
    avatar.className = 'avatar';
    const caption = page.createElement('figcaption');
    const name = page.createElement('span');
    name.className = 'name';
    caption.append(name);
    tile.append(video, avatar, caption);
    const bar = page.createElement('footer');
    bar.className = 'bar';
    for (const id of BUTTONS) {
      const button = page.importNode(element(id), true);
      button.addEventListener('click', this.#actions[id]);
      bar.append(button);
    }
    page.body.className = 'float';
    page.body.append(page.importNode(/** @type {Element} */ (document.querySelector('.sprite')), true), tile, bar);
  }

  #follow() {
    const page = this.#window?.document;
    if (!page) return;
    const next = this.#shown();
    if (next !== this.#stream || next?.view !== this.#view) this.#show(next);
    const tile = /** @type {HTMLElement} */ (page.querySelector('.tile'));
    const { name = 'Nobody is here', uid = 0, video = false, muted = { video: true } } = next ?? {};
    tile.classList.toggle('dark', !video || muted.video);
    tile.classList.toggle('talking', next?.talking ?? false);
    const avatar = /** @type {HTMLElement} */ (tile.querySelector('.avatar'));
    avatar.textContent = next ? initials(name) : '';
    avatar.style.setProperty('--hue', hue(String(uid)));
    /** @type {Element} */ (tile.querySelector('.name')).textContent = name;
    page.body.classList.toggle('viewer-only', !this.#room.rights.publish);
    for (const id of ['mic', 'cam']) {
      const on = element(id).getAttribute('aria-pressed') === 'true';
      const button = page.getElementById(id);
      if (button) setSwitch(button, on, { icon: on ? id : `${id}-off`, label: element(id).getAttribute('aria-label') ?? '' });
    }
  }

  /** The picture's size is now that of this window, and the tile's again when it is shown no more. @param {Stream | undefined} stream */
  #show(stream) {
    const video = /** @type {HTMLVideoElement} */ (this.#window?.document.querySelector('video'));
    const tile = document.querySelector(`.tile[data-stream="${this.#stream?.key}"]`);
    const before = this.#view;
    before?.detach(video);
    if (tile && before && !before.closed) before.setTile(tile);
    this.#stream = stream;
    this.#view = stream?.view;
    this.#view?.attach(video);
  }
}
