// SPDX-License-Identifier: Apache-2.0

/**
 * @typedef {object} Column
 * @property {string} key by which it is sorted
 * @property {string} title
 * @property {(row: any) => string | number} text
 * @property {(cell: HTMLElement, row: any) => void} [paint] what a cell shows besides
 * @property {string} [hint]
 * @property {boolean} [number] aligned right
 * @property {boolean} [rate] a number with a long unit
 * @property {boolean} [fixed] not to be sorted by
 * @property {string} [hide] `narrow` or `middle`: not shown on windows so small
 */

/** A table whose rows stay where they are while their figures change. */
export class Table {
  /** @type {Column[]} */
  #columns;
  /** @type {(row: any) => string | number} */
  #key;
  /** @type {((row: any) => void) | undefined} */
  #open;
  #head = document.createElement('tr');
  #body = document.createElement('tbody');
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();
  /** @type {string} */
  #order;
  /** @type {((key: string) => void) | undefined} */
  #onOrder;
  #busy = false;
  element = document.createElement('table');

  /**
   * @param {string} label
   * @param {Column[]} columns the first names the row
   * @param {{key: (row: any) => string | number, open?: (row: any) => void, order?: string, onOrder?: (key: string) => void}} options
   */
  constructor(label, columns, { key, open, order = '', onOrder }) {
    [this.#columns, this.#key, this.#open, this.#order, this.#onOrder] = [columns, key, open, order, onOrder];
    this.element.setAttribute('aria-label', label);
    const head = document.createElement('thead');
    head.append(this.#head);
    this.#head.append(...columns.map((column) => this.#title(column)));
    this.element.append(head, this.#body);
    this.#paintOrder();
    if (!open) return;
    this.element.classList.add('opens');
    this.#body.addEventListener('keydown', (event) => this.#walk(event));
    // Rows do not change places under the pointer.
    this.element.addEventListener('pointerenter', () => (this.#busy = true));
    this.element.addEventListener('pointerleave', () => (this.#busy = false));
  }

  get order() {
    return this.#order;
  }

  /** @param {any[]} rows @param {string | number} [current] the one that is open */
  show(rows, current) {
    const gone = new Set(this.#rows.keys());
    const shown = rows.map((row) => {
      const key = String(this.#key(row));
      gone.delete(key);
      const line = this.#rows.get(key) ?? this.#row(key);
      this.#fill(line, row);
      line.ariaCurrent = key === String(current) ? 'true' : null;
      return line;
    });
    for (const key of gone) {
      this.#rows.get(key)?.remove();
      this.#rows.delete(key);
    }
    const held = this.#busy || this.#body.contains(document.activeElement);
    const order = held ? [...shown.filter((line) => line.isConnected).sort(byPlace), ...shown.filter((line) => !line.isConnected)] : shown;
    order.forEach((line, at) => {
      if (this.#body.children[at] !== line) this.#body.insertBefore(line, this.#body.children[at] ?? null);
    });
  }

  /** @param {Column} column */
  #title(column) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.dataset.key = column.key;
    look(cell, column);
    if (column.fixed || !this.#onOrder) {
      cell.textContent = column.title;
      return cell;
    }
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = column.title;
    button.addEventListener('click', () => {
      this.#order = column.key;
      this.#busy = false;
      this.#paintOrder();
      this.#onOrder?.(column.key);
    });
    cell.append(button);
    return cell;
  }

  #paintOrder() {
    for (const cell of this.#head.cells) {
      if (cell.dataset.key === this.#order) cell.setAttribute('aria-sort', ['uid', 'name', 'gid'].includes(this.#order) ? 'ascending' : 'descending');
      else cell.removeAttribute('aria-sort');
    }
  }

  /** @param {string} key */
  #row(key) {
    const line = document.createElement('tr');
    this.#columns.forEach((column, at) => {
      const cell = document.createElement(at ? 'td' : 'th');
      if (!at) cell.scope = 'row';
      look(cell, column);
      const text = document.createElement(!at && this.#open ? 'button' : 'span');
      if (text instanceof HTMLButtonElement) text.type = 'button';
      cell.append(text);
      line.append(cell);
    });
    this.#rows.set(key, line);
    return line;
  }

  /** @param {HTMLTableRowElement} line @param {any} row */
  #fill(line, row) {
    line.onclick = this.#open ? () => this.#open?.(row) : null;
    this.#columns.forEach((column, at) => {
      const cell = /** @type {HTMLElement} */ (line.cells[at]);
      const place = /** @type {HTMLElement} */ (cell.firstElementChild);
      const text = String(column.text(row));
      if (place.textContent !== text) place.textContent = text;
      column.paint?.(cell, row);
    });
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const line = /** @type {HTMLElement} */ (event.target).closest('tr');
    if (!step || !line) return;
    event.preventDefault();
    const next = step > 0 ? line.nextElementSibling : line.previousElementSibling;
    /** @type {HTMLElement | null | undefined} */ (next?.querySelector('button'))?.focus();
  }
}

/** @param {HTMLElement} cell @param {Column} column */
function look(cell, { number, rate, hide, hint }) {
  if (number || rate) cell.classList.add('number');
  if (rate) cell.classList.add('rate');
  if (hide) cell.classList.add(hide);
  if (hint && cell.tagName === 'TH') cell.title = hint;
}

/** @param {Node} a @param {Node} b */
const byPlace = (a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
