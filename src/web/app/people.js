// SPDX-License-Identifier: Apache-2.0

import { element, hue, icon, initials } from './dom.js';
import { Panel } from './panel.js';
import { PersonMenu } from './person-menu.js';

/** @import { Millrace, Room } from '../sdk/millrace.js' */

/** The list of those who are here. */
export class PeoplePanel extends Panel {
  #client;
  #room;
  #menu;

  /**
   * @param {{client: Millrace, room: Room, signal: AbortSignal, toast: (text: string) => void, onOpen: () => void}} init
   */
  constructor({ client, room, signal, toast, onOpen }) {
    super('people', signal, onOpen);
    this.#client = client;
    this.#room = room;
    this.#menu = new PersonMenu(room, signal, toast);
    room.on('rights', () => this.refresh(), { signal });
    for (const type of /** @type {const} */ (['people', 'roster', 'talking', 'joined'])) room.on(type, () => this.refresh(), { signal });
    this.refresh();
  }

  paint() {
    const { people, streams, count, type } = this.#room;
    const present = Math.max(count, people.size, 1);
    element('people-count').textContent = String(present);
    element('people-badge').dataset.count = present > 1 ? (present > 999 ? '999+' : String(present)) : '';
    this.toggle.setAttribute('aria-label', `People, ${present} here`);
    if (!this.open) return;
    const self = this.#client.self;
    /** @type {Map<number, {uid: number, name: string}>} */
    const all = new Map(people);
    // In a webinar only those who publish have names.
    for (const { uid, name } of streams.values()) if (!all.has(uid)) all.set(uid, { uid, name });
    if (self && (type !== 1 || this.#room.rights.publish)) all.set(self.uid, { uid: self.uid, name: self.name });
    const rows = [...all.values()].sort((a, b) => Number(b.uid === self?.uid) - Number(a.uid === self?.uid) || a.name.localeCompare(b.name));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    element('people-list').replaceChildren(...rows.map((person) => this.#row(person, person.uid === self?.uid)));
    if (focused?.isConnected) focused.focus();
    this.#menu.paintAll(element('people-all'));
    const note = element('people-note');
    const unseen = present - rows.length;
    note.hidden = unseen <= 0;
    note.textContent = unseen === 1 ? 'and one more, watching' : `and ${unseen} more, watching`;
  }

  /**
   * @param {{uid: number, name: string}} person
   * @param {boolean} isSelf
   */
  #row({ uid, name }, isSelf) {
    const theirs = [...this.#room.streams.values()].filter((stream) => stream.uid === uid);
    const streams = isSelf ? [...this.#client.publishers.values()].map(({ muted, source }) => ({ muted, source: source === 'camera' ? 1 : 2, talking: this.#room.selfTalking })) : theirs;
    const row = document.createElement('li');
    row.classList.toggle('talking', streams.some(({ talking }) => talking));
    const dot = document.createElement('span');
    dot.className = 'dot';
    dot.textContent = initials(name);
    dot.style.setProperty('--hue', hue(String(uid)));
    dot.setAttribute('aria-hidden', 'true');
    const who = document.createElement('span');
    who.className = 'who';
    who.textContent = isSelf ? `${name} (you)` : name;
    const what = document.createElement('small');
    const camera = streams.find(({ source }) => source === 1);
    const screen = streams.some(({ source }) => source === 2);
    what.textContent = screen ? 'Sharing a screen' : camera ? (camera.muted.audio ? 'Microphone off' : 'In the call') : 'Watching';
    who.append(what);
    row.append(dot, who);
    if (screen) row.append(icon('screen'));
    if (camera) row.append(icon(camera.muted.video ? 'cam-off' : 'cam'), icon(camera.muted.audio ? 'mic-off' : 'mic'));
    const menu = isSelf ? undefined : this.#menu.button({ uid, name });
    if (menu) row.append(menu);
    return row;
  }
}
