// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';
import { kbps, millis, some } from './format.js';
import { Table } from './table.js';

/** @import { Api } from './api.js' */

const PAGE = 50;

/** A figure that deserves a look. @param {boolean} bad */
const warns = (bad) => (/** @type {HTMLElement} */ cell) => cell.classList.toggle('warns', bad);

/** @type {import('./table.js').Column[]} */
const COLUMNS = [
  { key: 'name', title: 'Name', text: (row) => row.name || row.address, paint: paintName },
  { key: 'streams', title: 'Sends', number: true, text: (row) => some(row.streams), hint: 'Streams published here', hide: 'narrow' },
  { key: 'views', title: 'Views', number: true, fixed: true, text: (row) => some(row.views), hint: 'Streams watched here', hide: 'narrow' },
  { key: 'kbpsIn', title: 'In', rate: true, text: (row) => kbps(row.kbpsIn), hint: 'What comes in from this person' },
  { key: 'kbpsOut', title: 'Out', rate: true, text: (row) => kbps(row.kbpsOut), hint: 'What goes out to this person' },
  { key: 'estimate', title: 'Estimate', rate: true, fixed: true, text: (row) => kbps(row.estimateKbps), hint: 'What the way to this person is taken to carry', hide: 'middle' },
  { key: 'loss', title: 'Loss', number: true, text: (row) => `${row.lossPercent} %`, paint: (cell, row) => warns(row.lossPercent > 2)(cell) },
  { key: 'rtt', title: 'RTT', number: true, text: (row) => millis(row.rttMs), paint: (cell, row) => warns(row.rttMs > 300)(cell), hide: 'narrow' },
  {
    key: 'limited', title: 'Held back', number: true, hint: 'Pictures that bandwidth keeps small, or pauses', hide: 'middle',
    text: (row) => some(row.limited + row.paused), paint: (cell, row) => warns(row.paused > 0)(cell),
  },
];

/** @param {HTMLElement} cell @param {any} row */
function paintName(cell, row) {
  const name = /** @type {HTMLElement} */ (cell.firstElementChild);
  name.classList.toggle('talking', row.talking);
  const off = [row.muted.audio && 'sound off', row.muted.video && 'picture off'].filter(Boolean).join(', ');
  name.dataset.off = off;
  cell.title = `${row.address}, uid ${row.uid}${off && `: ${off}`}`;
}

/** Who is in one call, page by page. */
export class People {
  #table;
  #search = /** @type {HTMLInputElement} */ (element('people-search'));
  /** @type {(string | undefined)[]} The cursors of the pages up to this one. */
  #pages = [undefined];
  /** @type {string | undefined} */
  #next;

  /** @param {(row: {uid: number, name: string}) => void} open @param {() => void} changed */
  constructor(open, changed) {
    const anew = () => {
      this.restart();
      changed();
    };
    this.#table = new Table('People in this call', COLUMNS, { key: (row) => row.uid, open, order: 'name', onOrder: anew });
    element('people-table').append(this.#table.element);
    this.#search.addEventListener('input', anew);
    element('people-next').addEventListener('click', () => {
      this.#pages.push(this.#next);
      changed();
    });
    element('people-back').addEventListener('click', () => {
      this.#pages.pop();
      changed();
    });
  }

  /** The names of those who were listed. @type {Map<number, string>} */
  #names = new Map();

  /** Shows the first page. */
  restart() {
    this.#pages = [undefined];
    this.#names.clear();
  }

  /** @param {Api} api @param {number} gid @param {number | undefined} current */
  async load(api, gid, current) {
    const cursor = this.#pages.at(-1);
    const search = this.#search.value.trim();
    const { items, next } = await api.get(`groups/${gid}/summary`, { search, sort: this.#table.order, limit: PAGE, cursor });
    this.#next = next ?? undefined;
    for (const { uid, name, address } of items) this.#names.set(uid, name || address);
    this.#table.show(items, current);
    element('people-note').textContent = items.length ? '' : search ? 'Nobody here is called so.' : 'Nobody is in this room.';
    element('people-pages').hidden = this.#pages.length === 1 && !next;
    element('people-page').textContent = `Page ${this.#pages.length}`;
    /** @type {HTMLButtonElement} */ (element('people-back')).disabled = this.#pages.length === 1;
    /** @type {HTMLButtonElement} */ (element('people-next')).disabled = !next;
    return this.#names;
  }
}
