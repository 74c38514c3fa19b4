// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';
import { kbps, some } from './format.js';
import { Table } from './table.js';

/** @import { Api } from './api.js' */

/** Entries that are shown at once; a search finds the others. */
const MOST = 100;
const TYPES = ['conference', 'webinar', 'classroom'];

const NAME = { key: 'name', title: 'Room', text: (/** @type {any} */ row) => row.name || '(no name)' };
const GID = { key: 'gid', title: 'Number', number: true, text: (/** @type {any} */ row) => row.gid };
/** @type {import('./table.js').Column[]} */
const LIVE = [
  NAME, GID,
  { key: 'people', title: 'People', number: true, text: (row) => row.people },
  { key: 'streams', title: 'Streams', number: true, text: (row) => row.streams, hide: 'narrow' },
  { key: 'kbpsIn', title: 'In', rate: true, text: (row) => kbps(row.kbpsIn), hide: 'narrow' },
  { key: 'kbpsOut', title: 'Out', rate: true, text: (row) => kbps(row.kbpsOut) },
  { key: 'limited', title: 'Held back', number: true, text: (row) => some(row.limited), hint: 'Pictures that bandwidth keeps small, or pauses', hide: 'middle' },
];
/** @type {import('./table.js').Column[]} */
const ALL = [
  NAME, GID,
  { key: 'owner', title: 'Owner', number: true, text: (row) => row.owner },
  { key: 'type', title: 'Type', text: (row) => TYPES[row.type] ?? '' },
];

/** The rooms: those with somebody in them, or all. */
export class Calls {
  #live = true;
  #search = /** @type {HTMLInputElement} */ (element('calls-search'));
  #liveTable;
  #allTable;
  /** @type {any[]} */
  #rows = [];

  /** @param {(row: {gid: number, name: string}) => void} open @param {() => void} changed something else is to be asked for */
  constructor(open, changed) {
    const key = (/** @type {any} */ row) => row.gid;
    this.#liveTable = new Table('Calls', LIVE, { key, open, order: 'people', onOrder: () => this.#paint() });
    this.#allTable = new Table('All rooms', ALL, { key, open, order: 'gid' });
    this.#allTable.element.hidden = true;
    element('calls-table').append(this.#liveTable.element, this.#allTable.element);
    this.#search.addEventListener('input', changed);
    for (const [id, live] of /** @type {[string, boolean][]} */ ([['calls-live', true], ['calls-all', false]])) {
      element(id).addEventListener('click', () => {
        this.#live = live;
        element('calls-live').ariaPressed = String(live);
        element('calls-all').ariaPressed = String(!live);
        [this.#liveTable.element.hidden, this.#allTable.element.hidden] = [!live, live];
        this.#rows = [];
        changed();
      });
    }
  }

  /** @param {Api} api @param {number | undefined} current */
  async load(api, current) {
    const live = this.#live;
    const search = this.#search.value.trim();
    const { items, next } = await api.get(live ? 'calls' : 'groups', { search, limit: MOST });
    if (live !== this.#live) return;
    this.#rows = items;
    this.#current = current;
    this.#paint();
    const empty = search ? 'Nothing has this name or number.' : live ? 'Nobody is in a call.' : 'There are no rooms.';
    element('calls-note').textContent = items.length ? (next ? `The first ${MOST} by number: search to find others.` : '') : empty;
  }

  /** @type {number | undefined} */
  #current;

  #paint() {
    const { order } = this.#liveTable;
    const compare = order === 'name'
      ? (/** @type {any} */ a, /** @type {any} */ b) => a.name.localeCompare(b.name)
      : (/** @type {any} */ a, /** @type {any} */ b) => (order === 'gid' ? a.gid - b.gid : b[order] - a[order] || a.gid - b.gid);
    if (this.#live) this.#liveTable.show([...this.#rows].sort(compare), this.#current);
    else this.#allTable.show(this.#rows, this.#current);
  }
}
