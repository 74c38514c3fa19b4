// SPDX-License-Identifier: Apache-2.0
// "My rooms": what is there, who is in it now, and a new one.

import { ask } from './ask.js';
import { element, hue, initials, within } from './dom.js';
import { changeGroup, createGroup, deleteGroup, leaveGroup, myGroups, roleIn, whoIsIn } from './groups.js';
import { menuButton } from './menu.js';
import { sentenceOf } from './rest.js';
import { addRoomFields, fillRoom, readRoom } from './room-form.js';

/** @import { Group, Role } from './groups.js' */
/** How often one looks who is in. */
const LOOK_MS = 10_000;
const KINDS = ['Conference', 'Webinar', 'Classroom'];

/** @param {number} type */
export const kindOf = (type) => KINDS[type] ?? 'Room';

/** @param {string[]} names */
export function whoWords(names) {
  if (!names.length) return '';
  if (names.length === 1) return `${names[0]} is in`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are in`;
  return `${names[0]}, ${names[1]} and more are in`;
}

/** The rooms of who is signed in. */
export class Rooms {
  #go;
  #list = element('rooms-list');
  #create = /** @type {HTMLDialogElement} */ (element('create'));
  #form = /** @type {HTMLFormElement} */ (element('create-form'));
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {Group[]} */
  #groups = [];

  /** @param {(path: string) => void} go */
  constructor(go) {
    this.#go = go;
    addRoomFields(element('create-fields'));
    for (const id of ['room-new', 'room-first']) element(id).addEventListener('click', () => this.#openCreate());
    element('create-cancel').addEventListener('click', () => this.#create.close());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#make();
    });
  }

  async open() {
    this.close();
    this.#timer = setInterval(() => {
      if (document.body.dataset.view !== 'rooms') this.close();
      else if (document.visibilityState === 'visible') this.#look();
    }, LOOK_MS);
    await this.refresh();
  }

  close() {
    clearInterval(this.#timer);
  }

  async refresh() {
    try {
      this.#groups = await myGroups();
      element('rooms-error').textContent = '';
    } catch (error) {
      element('rooms-error').textContent = sentenceOf(error);
      return;
    }
    element('rooms-empty').hidden = this.#groups.length > 0;
    element('room-new').hidden = this.#groups.length === 0;
    const roles = await Promise.all(this.#groups.map((group) => roleIn(group).catch(() => /** @type {const} */ ('Member'))));
    this.#list.replaceChildren(...this.#groups.map((group, index) => this.#row(group, roles[index] ?? 'Member')));
    await this.#look();
  }

  async #look() {
    const present = await whoIsIn(this.#groups);
    for (const row of this.#list.children) {
      const names = present.get(Number(/** @type {HTMLElement} */ (row).dataset.gid)) ?? [];
      const live = within(row, '.live');
      live.textContent = whoWords(names);
      live.hidden = !names.length;
    }
  }

  /**
   * @param {Group} group
   * @param {Role} role
   */
  #row(group, role) {
    const { gid, name, type } = group;
    const template = /** @type {HTMLTemplateElement} */ (element('room-template'));
    const row = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    row.dataset.gid = String(gid);
    const open = within(row, '.room-open');
    open.href = `/?gid=${gid}`;
    const dot = within(row, '.dot');
    dot.textContent = initials(name);
    dot.style.setProperty('--hue', hue(name));
    within(row, 'b').textContent = name;
    within(row, '.room-kind').textContent = `${role} · ${kindOf(type)} · ${gid}`;
    const invite = within(row, '.room-invite');
    invite.href = `/?room=${gid}`;
    invite.setAttribute('aria-label', `Invite to ${name}`);
    invite.hidden = role !== 'Owner' && role !== 'Admin';
    row.append(menuButton(`More for ${name}`, () => this.#choices(group, role)));
    return row;
  }

  /**
   * @param {Group} group
   * @param {Role} role
   * @returns {[string, () => void][]}
   */
  #choices(group, role) {
    const { gid, name } = group;
    /** @type {[string, () => void]} */
    const settings = ['Invite and settings', () => this.#go(`/?room=${gid}`)];
    if (role === 'Owner') {
      return [
        ['Rename', () => ask({ title: 'Rename the room', label: 'Name', value: name, yes: 'Rename' }, async (value) => {
          await changeGroup(gid, { name: value });
          await this.refresh();
        })],
        settings,
        ['Delete', () => ask(deleteQuestion(name), async () => {
          await deleteGroup(gid);
          await this.refresh();
        })],
      ];
    }
    /** @type {[string, () => void]} */
    const leave = ['Take off my list', () => ask({ title: `Take “${name}” off your list?`, text: 'You come back with an invitation.', yes: 'Take it off' }, async () => {
      await leaveGroup(gid);
      await this.refresh();
    })];
    return role === 'Admin' ? [settings, leave] : [leave];
  }

  #openCreate() {
    fillRoom(this.#form, { name: '', type: 0, resolution: 0, guests: true, callDuration: 0 });
    element('create-error').textContent = '';
    this.#create.showModal();
    within(this.#form, '[name=name]').focus();
  }

  async #make() {
    const button = within(this.#form, '[type=submit]');
    button.disabled = true;
    try {
      const { gid } = await createGroup(readRoom(this.#form));
      this.#create.close();
      this.#go(`/?room=${gid}`);
    } catch (error) {
      element('create-error').textContent = sentenceOf(error);
    } finally {
      button.disabled = false;
    }
  }
}

/** @param {string} name */
export function deleteQuestion(name) {
  return { title: `Delete “${name}”?`, text: 'Its call ends for everyone, its chat is gone, and its links stop working.', yes: 'Delete the room', danger: true };
}
