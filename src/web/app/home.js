// SPDX-License-Identifier: Apache-2.0
// Where one comes without a link: into a room by its number, or signed in by e-mail.

import { askForCode, codesBy, signIn } from './account.js';
import { element } from './dom.js';
import { sentenceOf } from './rest.js';
import { browser } from './storage.js';

/** @import { Applicant } from './account.js' */

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (element(id));

/** The first page of who is not signed in. */
export class Home {
  #go;
  #onSignedIn;
  /** @type {Applicant | undefined} */
  #applicant;
  /** @type {'mail' | 'log' | 'off'} */
  #by = 'mail';

  /**
   * @param {(path: string) => void} go
   * @param {() => void} onSignedIn
   */
  constructor(go, onSignedIn) {
    this.#go = go;
    this.#onSignedIn = onSignedIn;
    element('enter-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#enter();
    });
    input('enter-room').addEventListener('input', () => this.#onRoom());
    element('sign-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send({ name: input('sign-name').value.trim(), email: input('sign-email').value.trim() });
    });
    element('code-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#check();
    });
    input('code').addEventListener('input', () => {
      if (/^\d{6}$/.test(input('code').value.trim())) this.#check();
    });
    element('code-again').addEventListener('click', () => this.#applicant && this.#send(this.#applicant));
    element('code-back').addEventListener('click', () => this.#step('sign-form', 'sign-email'));
  }

  /** @param {string} [why] what to say of how one came here */
  async open(why = '') {
    input('sign-name').value ||= browser.get('name') ?? '';
    this.#step('sign-form');
    element('sign-error').textContent = why;
    try {
      this.#by = await codesBy();
    } catch (error) {
      element('sign-error').textContent = sentenceOf(error);
      return;
    }
    const off = this.#by === 'off';
    element('sign-off').hidden = !off;
    element('sign-form').hidden = off;
  }

  /** A pasted link needs no second look; a number wants a pin. */
  #onRoom() {
    const link = linkIn(input('enter-room').value);
    if (link) this.#go(link);
  }

  #enter() {
    const gid = input('enter-room').value.replace(/\s/g, '');
    const pin = input('enter-pin').value.replace(/\s/g, '');
    const right = /^\d+$/.test(gid) && /^\d*$/.test(pin);
    element('enter-error').textContent = right ? '' : 'A room has a number, and a pin of digits. Or paste the whole link.';
    if (right) this.#go(`/?gid=${gid}${pin && `&pin=${pin}`}`);
  }

  /** @param {Applicant} who */
  async #send(who) {
    const button = /** @type {HTMLButtonElement} */ (element(this.#applicant ? 'code-again' : 'sign-button'));
    const error = element(this.#applicant ? 'code-error' : 'sign-error');
    error.textContent = '';
    button.disabled = true;
    try {
      await askForCode(who);
      this.#applicant = who;
      element('code-text').textContent = this.#by === 'log'
        ? 'This server has no mail server yet, so your code stands in its log, in the terminal where it runs. It is good for five minutes.'
        : `We sent a code of six digits to ${who.email}. It is good for five minutes.`;
      this.#step('code-form', 'code');
    } catch (failure) {
      error.textContent = sentenceOf(failure);
    } finally {
      button.disabled = false;
    }
  }

  async #check() {
    const button = /** @type {HTMLButtonElement} */ (element('code-button'));
    if (!this.#applicant || button.disabled) return;
    button.disabled = true;
    element('code-error').textContent = '';
    try {
      await signIn(this.#applicant, input('code').value.replace(/\s/g, ''));
      this.#step('sign-form');
      this.#onSignedIn();
    } catch (error) {
      element('code-error').textContent = sentenceOf(error);
      input('code').select();
    } finally {
      button.disabled = false;
    }
  }

  /**
   * @param {'sign-form' | 'code-form'} form
   * @param {string} [focus]
   */
  #step(form, focus) {
    for (const id of ['sign-form', 'code-form']) element(id).hidden = id !== form;
    element('sign-error').textContent = '';
    element('code-error').textContent = '';
    input('code').value = '';
    if (form === 'sign-form') this.#applicant = undefined;
    if (focus) input(focus).focus();
  }
}

/**
 * The path of a room's link on this server.
 * @param {string} text
 */
function linkIn(text) {
  const found = /[?&]gid=\d+/.test(text) && URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  return found && found.host === location.host ? found.pathname + found.search : undefined;
}
