// SPDX-License-Identifier: Apache-2.0

import { Failure } from '../sdk/millrace.js';
import { element, icon } from './dom.js';

/** @import { Room } from '../sdk/millrace.js' */

/** What owner and admins may do to one person, or to everyone else. */
export class PersonMenu {
  #menu = element('person-menu');
  #room;
  #toast;

  /**
   * @param {Room} room
   * @param {AbortSignal} signal
   * @param {(text: string) => void} toast
   */
  constructor(room, signal, toast) {
    this.#room = room;
    this.#toast = toast;
    signal.addEventListener('abort', () => this.#menu.hidePopover());
  }

  /**
   * The button that opens the menu of a person, if there is anything to choose.
   * @param {{uid: number, name: string}} person
   * @param {boolean} publishes
   */
  button(person, publishes) {
    if (!this.#choices(person, publishes).length) return undefined;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'more';
    button.setAttribute('aria-haspopup', 'menu');
    button.setAttribute('aria-label', `What you may do for ${person.name}`);
    button.append(icon('more'));
    button.addEventListener('click', () => this.#open(button, this.#choices(person, publishes)));
    return button;
  }

  /** What may be done to everyone else at once. @param {HTMLElement} place */
  paintAll(place) {
    const { admin, count } = this.#room;
    place.hidden = !admin.moderate || count < 2;
    if (place.hidden || place.childElementCount) return;
    place.replaceChildren(
      this.#choice('Mute everyone', () => this.#room.moderate('mute', { audio: true })),
      this.#choice('Ask all to unmute', () => this.#room.moderate('unmute', { audio: true })),
    );
  }

  /**
   * @param {{uid: number, name: string}} person
   * @param {boolean} publishes
   */
  #choices({ uid, name }, publishes) {
    const room = this.#room;
    const { admin } = room;
    const people = [uid];
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
    return choices;
  }

  /**
   * @param {number} uid
   * @param {boolean} up
   */
  async #stage(uid, up) {
    await this.#room.edit([uid], { rights: { publish: up } });
    if (up) await this.#room.moderate('publish', { people: [uid] }).catch(() => {});
  }

  /**
   * @param {HTMLElement} at
   * @param {[string, () => Promise<void>][]} choices
   */
  #open(at, choices) {
    this.#menu.replaceChildren(...choices.map(([text, act]) => {
      const button = this.#choice(text, act);
      button.setAttribute('role', 'menuitem');
      return button;
    }));
    const { right, bottom } = at.getBoundingClientRect();
    this.#menu.showPopover();
    const { width, height } = this.#menu.getBoundingClientRect();
    this.#menu.style.inset = 'auto';
    this.#menu.style.left = `${Math.max(8, right - width)}px`;
    this.#menu.style.top = `${Math.max(8, Math.min(bottom + 4, innerHeight - height - 8))}px`;
    /** @type {HTMLElement | null} */ (this.#menu.firstElementChild)?.focus();
  }

  /**
   * @param {string} text
   * @param {() => Promise<void>} act
   */
  #choice(text, act) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = text;
    button.addEventListener('click', () => {
      this.#menu.hidePopover();
      act().catch((error) => this.#toast(error instanceof Failure ? error.message : 'That did not work.'));
    });
    return button;
  }
}
