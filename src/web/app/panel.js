// SPDX-License-Identifier: Apache-2.0

import { element } from './dom.js';

/** A panel beside the call: a button of the bar opens it, one in its head closes it. */
export class Panel {
  #panel;
  #queued = false;
  #toggle;

  /**
   * @param {string} id of the panel; its buttons are `ID-toggle` and `ID-close`
   * @param {AbortSignal} signal
   * @param {() => void} [onOpen] before the button opens it
   */
  constructor(id, signal, onOpen) {
    this.#panel = element(id);
    this.#toggle = element(`${id}-toggle`);
    this.#toggle.addEventListener('click', () => {
      if (!this.open) onOpen?.();
      this.show(!this.open);
    }, { signal });
    element(`${id}-close`).addEventListener('click', () => {
      this.show(false);
      this.#toggle.focus();
    }, { signal });
    signal.addEventListener('abort', () => this.show(false));
  }

  get open() {
    return !this.#panel.hidden;
  }

  /** The button that opens it. */
  get toggle() {
    return this.#toggle;
  }

  /** @param {boolean} on */
  show(on) {
    this.#panel.hidden = !on;
    this.#toggle.setAttribute('aria-expanded', String(on));
    this.refresh();
  }

  /** Draws at the next frame, however much happens until then. */
  refresh() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.paint();
    });
  }

  /** Draws what it shows. */
  paint() {}
}
