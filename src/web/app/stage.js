// SPDX-License-Identifier: Apache-2.0

import { element, setSwitch } from './dom.js';
import { Speaker } from './speaker.js';
import { browser } from './storage.js';

/** @import { Room, Stream } from '../sdk/millrace.js' */
/** @import { Grid } from './grid.js' */
/** @import { TileView } from './tile-view.js' */

const EVERY_MS = 250;

/** The choice between all alike and the one who talks large, and who that is. */
export class Stage {
  #grid;
  #room;
  #tileOf;
  /** @type {Speaker<Stream>} */
  #speaker = new Speaker();
  #on = browser.get('layout') === 'speaker';
  /** Who talks, or did last. @type {Stream | undefined} */
  stream;

  /**
   * @param {{grid: Grid, room: Room, tileOf: (stream: Stream) => TileView | undefined, signal: AbortSignal}} init
   */
  constructor({ grid, room, tileOf, signal }) {
    this.#grid = grid;
    this.#room = room;
    this.#tileOf = tileOf;
    room.on('talking', (streams) => this.#speaker.hear(performance.now(), streams), { signal });
    room.on('roster', () => this.#follow(), { signal });
    element('layout').addEventListener('click', () => this.toggle(), { signal });
    const timer = setInterval(() => this.#follow(), EVERY_MS);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      grid.follow(undefined);
    });
    this.#paint();
  }

  toggle() {
    this.#on = !this.#on;
    browser.set('layout', this.#on ? 'speaker' : 'grid');
    this.#paint();
  }

  #paint() {
    setSwitch(element('layout'), this.#on, { icon: this.#on ? 'grid' : 'speaker', label: this.#on ? 'Show all alike (l)' : 'Show who talks large (l)' });
    this.#follow();
  }

  #follow() {
    // A screen before a face, and a face before none.
    const rank = (/** @type {Stream} */ stream) => Number(stream.source !== 2) * 2 + Number(!stream.video);
    const present = [...this.#room.streams.values()].filter((stream) => this.#tileOf(stream)).sort((a, b) => rank(a) - rank(b));
    const shown = (this.stream = this.#speaker.shown(performance.now(), present));
    this.#grid.follow(this.#on && shown && present.length > 1 ? this.#tileOf(shown) : undefined);
  }
}
