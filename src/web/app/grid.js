// SPDX-License-Identifier: Apache-2.0

import { element } from './dom.js';

/** @import { TileView } from './tile-view.js' */

const ASPECT = 16 / 9;
/** What is asked for goes to four; a wide window may take more. */
const MOST_COLUMNS = 6;
/** Below this a grid scrolls rather than shrinks. */
const LEAST_WIDTH = 200;

/** Where the tiles stand: a grid, or one of them large with the others beside it. */
export class Grid {
  #tiles = element('tiles');
  #stage = element('stage');
  #floor = element('floor');
  /** @type {Set<TileView>} */
  #all = new Set();
  /** @type {TileView | undefined} */
  #self;
  /** @type {TileView | undefined} */
  #pinned;
  /** @type {TileView | undefined} */
  #followed;
  /** @type {TileView | undefined} */
  #large;
  #columns = 0;

  constructor() {
    new ResizeObserver(() => this.layout()).observe(this.#floor);
  }

  /**
   * @param {TileView} tile
   * @param {{self?: boolean}} [options]
   */
  add(tile, { self = false } = {}) {
    this.#all.add(tile);
    if (self) {
      this.#self = tile;
      this.#tiles.prepend(tile.element);
    } else {
      this.#tiles.append(tile.element);
    }
    this.layout();
  }

  /** @param {TileView} tile */
  remove(tile) {
    this.#all.delete(tile);
    if (this.#self === tile) this.#self = undefined;
    if (this.#followed === tile) this.#followed = undefined;
    if (this.#pinned === tile) this.pin(undefined);
    else this.#show();
    tile.element.remove();
    this.layout();
  }

  /**
   * Shows a tile large because somebody wants that; none, or the same again, ends it.
   * @param {TileView | undefined} tile
   */
  pin(tile) {
    const before = this.#pinned;
    this.#pinned = tile === before ? undefined : tile;
    before?.setPinned(false);
    this.#pinned?.setPinned(true);
    this.#show();
  }

  get pinned() {
    return this.#pinned;
  }

  /**
   * Shows a tile large while none is pinned.
   * @param {TileView | undefined} tile
   */
  follow(tile) {
    this.#followed = tile;
    this.#show();
  }

  /** What is shown large now. */
  get large() {
    return this.#large;
  }

  #show() {
    const [before, large] = [this.#large, this.#pinned ?? this.#followed];
    if (large === before) return;
    this.#large = large;
    before?.onLarge?.(false);
    large?.onLarge?.(true);
    if (before && this.#all.has(before)) this.#move(before, this.#tiles);
    if (large) this.#move(large, this.#stage);
    this.#stage.hidden = !large;
    this.layout();
  }

  /** @param {number} columns 0: as many as suit */
  setColumns(columns) {
    this.#columns = columns;
    this.layout();
  }

  layout() {
    const alone = this.#all.size - (this.#self ? 1 : 0);
    const floats = Boolean(this.#self) && alone === 1 && !this.#large;
    this.#self?.element.classList.toggle('pip', floats);
    element('empty').hidden = alone > 0;
    const count = this.#tiles.querySelectorAll('.tile:not(.pip)').length;
    if (!count || this.#large) {
      this.#tiles.style.removeProperty('--tile-width');
      return;
    }
    const gap = parseFloat(getComputedStyle(this.#tiles).columnGap) || 0;
    const box = this.#tiles.getBoundingClientRect();
    const width = Math.floor(widthOf({ width: box.width, height: box.height, gap, count, columns: this.#columns }));
    this.#tiles.style.setProperty('--tile-width', `${width}px`);
  }

  /**
   * Where the browser cannot move an element as it is, a video pauses unless told to go on.
   * @param {TileView} tile
   * @param {Element} to
   */
  #move(tile, to) {
    const before = tile === this.#self ? to.firstElementChild : null;
    const able = /** @type {any} */ (to);
    if (able.moveBefore) return void able.moveBefore(tile.element, before);
    to.insertBefore(tile.element, before);
    if (tile.video.srcObject) tile.video.play().catch(() => {});
  }
}

/**
 * How wide tiles may be: with the number of columns that makes them largest, or with the one asked for.
 * @param {{width: number, height: number, gap: number, count: number, columns: number}} room
 */
export function widthOf({ width, height, gap, count, columns }) {
  if (columns) return Math.min((width - gap * (columns - 1)) / columns, height * ASPECT);
  let best = 0;
  for (let n = 1; n <= Math.min(MOST_COLUMNS, count); n += 1) {
    const rows = Math.ceil(count / n);
    const across = (width - gap * (n - 1)) / n;
    const down = ((height - gap * (rows - 1)) / rows) * ASPECT;
    best = Math.max(best, Math.min(across, down));
  }
  const least = Math.min(LEAST_WIDTH, (width - gap) / 2);
  if (best >= least) return best;
  const n = Math.max(2, Math.min(MOST_COLUMNS, Math.floor((width + gap) / (LEAST_WIDTH + gap))));
  return (width - gap * (n - 1)) / n;
}
