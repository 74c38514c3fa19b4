// SPDX-License-Identifier: Apache-2.0

/**
 * An EventTarget whose events are `CustomEvent`s: what happened is in `event.detail`.
 * @template {object} Events the type of each event's detail, by its name
 */
export class Emitter extends EventTarget {
  /**
   * @protected
   * @template {keyof Events & string} Name
   * @param {Name} type
   * @param {Events[Name]} [detail]
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Calls `listener` with the event's detail, until `signal` aborts.
   * @template {keyof Events & string} Name
   * @param {Name} type
   * @param {(detail: Events[Name]) => void} listener
   * @param {{signal?: AbortSignal, once?: boolean}} [options]
   * @returns {this}
   */
  on(type, listener, options) {
    this.addEventListener(type, (event) => listener(/** @type {CustomEvent<Events[Name]>} */ (event).detail), options);
    return this;
  }
}
