// SPDX-License-Identifier: Apache-2.0

/** An EventTarget whose events are `CustomEvent`s: what happened is in `event.detail`. */
export class Emitter extends EventTarget {
  /**
   * @protected
   * @param {string} type
   * @param {unknown} [detail]
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Calls `listener` with the event's detail, until `signal` aborts.
   * @param {string} type
   * @param {(detail: any) => void} listener
   * @param {{signal?: AbortSignal, once?: boolean}} [options]
   * @returns {this}
   */
  on(type, listener, options) {
    this.addEventListener(type, (event) => listener(/** @type {CustomEvent} */ (event).detail), options);
    return this;
  }
}
