// SPDX-License-Identifier: Apache-2.0

import { account } from './account.js';
import { element } from './dom.js';
import { readGroup } from './groups.js';
import { Preview } from './preview.js';
import { browser } from './storage.js';

/**
 * @typedef {{gid: number, pin: string, watch: boolean}} Link
 * @typedef {{gid: number, pin: string, watch: boolean, name: string, token?: string, mic: boolean, cam: boolean, audioDevice?: string,
 *   videoDevice?: string, preview?: MediaStream}} Wish
 */

/** The lobby of a room: who one is, which devices, and a look at oneself. */
export class JoinDialog {
  #form = /** @type {HTMLFormElement} */ (element('join-form'));
  #name = /** @type {HTMLInputElement} */ (element('name'));
  #pin = /** @type {HTMLInputElement} */ (element('pin'));
  #button = /** @type {HTMLButtonElement} */ (element('join-button'));
  #preview = new Preview();
  /** Whether one comes as who is signed in. */
  #known = false;
  /** @type {Link} */
  #link = { gid: 0, pin: '', watch: false };
  #onJoin;

  /** @param {(wish: Wish) => void} onJoin */
  constructor(onJoin) {
    this.#onJoin = onJoin;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    element('join-other').addEventListener('click', () => {
      this.#known = !this.#known;
      this.#paintWho();
      if (!this.#known) this.#name.focus();
    });
  }

  /** Shows itself, with what was chosen last. @param {Link} link */
  open(link) {
    this.#link = link;
    this.#known = Boolean(account());
    this.#name.value = browser.get('name') ?? '';
    this.#pin.value = link.pin;
    this.setError('');
    this.#paintWho();
    this.#nameRoom();
    this.#form.classList.toggle('watch', link.watch);
    element('join-watch').hidden = !link.watch;
    if (!link.watch) this.#preview.open();
    (this.#known ? this.#button : this.#name).focus();
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.#button.disabled = busy;
    this.#button.textContent = busy ? 'Joining…' : 'Join';
  }

  /** @param {string} text */
  setError(text) {
    this.setBusy(false);
    element('join-error').textContent = text;
  }

  /** @param {string} text */
  setNote(text) {
    element('join-error').textContent = text;
  }

  /** Closes what the call does not take over. */
  close() {
    this.#preview.close();
  }

  #paintWho() {
    const me = account();
    const known = this.#known && me !== null;
    element('name-field').hidden = known;
    this.#name.required = !known;
    element('join-who').hidden = me === null;
    element('join-as').textContent = known ? `You come as ${me.name}.` : 'You come as a guest.';
    const other = element('join-other');
    other.textContent = known ? 'Come as a guest' : `Come as ${me?.name}`;
    // Guests come by a pin.
    other.hidden = known && !this.#link.pin;
    element('pin-field').hidden = Boolean(this.#link.pin) || known;
    this.#pin.required = !this.#link.pin && !known;
  }

  /** The number, until the name is known; who has never been here learns it inside. */
  async #nameRoom() {
    const { gid, watch } = this.#link;
    const title = element('join-title');
    title.textContent = watch ? `Watch room ${gid}` : `Join room ${gid}`;
    if (!this.#known) return;
    const group = await readGroup(gid).catch(() => undefined);
    if (group && this.#link.gid === gid) title.textContent = group.name;
    else if (!this.#link.pin) {
      element('pin-field').hidden = false;
      this.#pin.required = true;
    }
  }

  #submit() {
    const token = this.#known ? account()?.token : undefined;
    const name = token ? account()?.name ?? '' : this.#name.value.trim();
    if (!name) return;
    if (!token) browser.set('name', name);
    element('join-error').textContent = '';
    this.setBusy(true);
    const { gid, watch } = this.#link;
    const chosen = watch ? { mic: false, cam: false } : this.#preview.chosen();
    this.#onJoin({ gid, watch, pin: this.#pin.value.replace(/\s/g, ''), name, token, ...chosen });
  }
}
