// SPDX-License-Identifier: Apache-2.0
// The page of one room: invitations for it, and its settings.

import { account } from './account.js';
import { ask } from './ask.js';
import { element, within } from './dom.js';
import { changeGroup, deleteGroup, readGroup, roleIn, whoIsIn } from './groups.js';
import { showInvites } from './invite.js';
import { sentenceOf } from './rest.js';
import { addRoomFields, fillRoom, readRoom } from './room-form.js';
import { deleteQuestion, kindOf, whoWords } from './rooms.js';

/** @import { Group } from './groups.js' */

/** The room that is open; its settings act at once, also in a running call. */
export class RoomPage {
  #go;
  #form = /** @type {HTMLFormElement} */ (element('room-form'));
  /** @type {Group | undefined} */
  #group;

  /** @param {(path: string) => void} go */
  constructor(go) {
    this.#go = go;
    addRoomFields(element('room-form-fields'));
    this.#form.addEventListener('input', () => { element('room-saved').textContent = ''; });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    element('room-delete').addEventListener('click', () => {
      const group = this.#group;
      if (!group) return;
      ask(deleteQuestion(group.name), async () => {
        await deleteGroup(group.gid);
        this.#go('/');
      });
    });
  }

  /** @param {number} gid */
  async open(gid) {
    element('room-error').textContent = '';
    element('room-body').hidden = true;
    try {
      const group = await readGroup(gid);
      const role = await roleIn(group);
      this.#show(group);
      element('room-body').hidden = false;
      element('room-delete').hidden = role !== 'Owner';
      const present = (await whoIsIn([group])).get(gid) ?? [];
      element('room-live').textContent = whoWords(present);
      element('room-live').hidden = !present.length;
      await showInvites(element('room-invites'), group.gid, account()?.token ?? '');
    } catch (error) {
      element('room-title').textContent = `Room ${gid}`;
      element('room-error').textContent = /** @type {{code?: string}} */ (error).code === 'not-found' ? 'There is no such room, or it is not yours.' : sentenceOf(error);
    }
  }

  /** @param {Group} group */
  #show(group) {
    this.#group = group;
    element('room-title').textContent = group.name;
    document.title = `${group.name} · millrace`;
    element('room-kind').textContent = `${kindOf(group.type)} · room ${group.gid}`;
    /** @type {HTMLAnchorElement} */ (element('room-join')).href = `/?gid=${group.gid}`;
    fillRoom(this.#form, group);
  }

  async #save() {
    const group = this.#group;
    if (!group) return;
    const button = within(this.#form, '[type=submit]');
    button.disabled = true;
    const saved = element('room-saved');
    try {
      this.#show(await changeGroup(group.gid, readRoom(this.#form)));
      saved.className = 'dim';
      saved.textContent = 'Saved.';
      await showInvites(element('room-invites'), group.gid, account()?.token ?? '');
    } catch (error) {
      saved.className = 'error';
      saved.textContent = sentenceOf(error);
    } finally {
      button.disabled = false;
    }
  }
}
