// SPDX-License-Identifier: Apache-2.0

import { Failure } from '../sdk/millrace.js';
import { closeMenu, menuButton } from './menu.js';

/** @import { Room } from '../sdk/millrace.js' */

/** What owner and admins may do to one person, or to everyone else. */
export class PersonMenu {
  #room;
  #toast;
  /** A person's button stays the same, so that it keeps the focus when the list is painted again. @type {Map<number, HTMLElement>} */
  #buttons = new Map();

  /**
   * @param {Room} room
   * @param {AbortSignal} signal
   * @param {(text: string) => void} toast
   */
  constructor(room, signal, toast) {
    this.#room = room;
    this.#toast = toast;
    signal.addEventListener('abort', closeMenu);
  }

  /**
   * The button that opens the menu of a person, if there is anything to choose.
   * @param {{uid: number, name: string}} person
   */
  button(person) {
    const { uid, name } = person;
    if (!this.#choices(person).length) {
      this.#buttons.delete(uid);
      return undefined;
    }
    const label = `What you may do for ${name}`;
    let button = this.#buttons.get(uid);
    if (button?.ariaLabel !== label) {
      button = menuButton(label, () => this.#choices(person));
      this.#buttons.set(uid, button);
    }
    return button;
  }

  /** What may be done to everyone else at once. @param {HTMLElement} place */
  paintAll(place) {
    const { admin, count } = this.#room;
    place.hidden = !admin.moderate || count < 2;
    if (place.hidden || place.childElementCount) return;
    /** @type {[string, () => Promise<void>][]} */
    const choices = [
      ['Mute everyone', () => this.#room.moderate('mute', { audio: true })],
      ['Ask all to unmute', () => this.#room.moderate('unmute', { audio: true })],
    ];
    place.replaceChildren(...choices.map(([text, act]) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.addEventListener('click', this.#told(act));
      return button;
    }));
  }

  /**
   * @param {{uid: number, name: string}} person
   * @returns {[string, () => void][]}
   */
  #choices({ uid, name }) {
    const room = this.#room;
    const { admin } = room;
    const people = [uid];
    const publishes = [...room.streams.values()].some((stream) => stream.uid === uid);
    /** @type {[string, () => Promise<void>][]} */
    const choices = [];
    if (admin.moderate && publishes) {
      choices.push(
        ['Mute', () => room.moderate('mute', { people, audio: true })],
        ['Turn camera off', () => room.moderate('mute', { people, video: true })],
        ['Ask to unmute', () => room.moderate('unmute', { people, audio: true })],
        ['Hang up', () => room.moderate('hangup', { people })],
      );
    }
    if (admin.members && !publishes) choices.push(['Bring to the stage', () => this.#stage(uid, true)]);
    if (admin.members && publishes) choices.push(['Back to watching', () => this.#stage(uid, false)]);
    if (admin.moderate && room.chat.hands.has(uid)) choices.push(['Lower the hand', () => room.moderate('lower', { people })]);
    if (admin.moderate) choices.push(['Ask to leave', () => room.moderate('leave', { people })]);
    if (admin.remove) choices.push([`Remove ${name}`, () => room.moderate('remove', { people })]);
    return choices.map(([text, act]) => [text, this.#told(act)]);
  }

  /**
   * @param {number} uid
   * @param {boolean} up
   */
  async #stage(uid, up) {
    await this.#room.edit([uid], { rights: { publish: up } });
    if (up) await this.#room.moderate('publish', { people: [uid] }).catch(() => {});
  }

  /** Does it, and tells what went wrong. @param {() => Promise<void>} act */
  #told(act) {
    return () => {
      act().catch((error) => this.#toast(error instanceof Failure ? error.message : 'That did not work.'));
    };
  }
}
