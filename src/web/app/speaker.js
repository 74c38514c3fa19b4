// SPDX-License-Identifier: Apache-2.0

/** Who has talked this long is shown large: longer than a cough or a yes. */
const TAKES_MS = 1000;

/**
 * Who is to be shown large: who talks, and whoever did last while nobody does. Who is shown stays while he talks, too.
 * @template T
 */
export class Speaker {
  /** Who talks, and since when. @type {Map<T, number>} */
  #since = new Map();
  /** @type {T | undefined} */
  #shown;

  /**
   * @param {number} now in milliseconds
   * @param {Iterable<T>} talking all who talk, the loudest first
   */
  hear(now, talking) {
    const all = [...talking];
    this.#since = new Map(all.map((one) => [one, this.#since.get(one) ?? now]));
  }

  /**
   * @param {number} now in milliseconds
   * @param {T[]} present those who can be shown, in the order in which they would be if nobody talked
   * @returns {T | undefined}
   */
  shown(now, present) {
    if (this.#shown === undefined || !present.includes(this.#shown)) this.#shown = present[0];
    if (this.#shown !== undefined && this.#since.has(this.#shown)) return this.#shown;
    const next = [...this.#since].find(([one, since]) => now - since >= TAKES_MS && present.includes(one));
    if (next) [this.#shown] = next;
    return this.#shown;
  }
}
