// SPDX-License-Identifier: Apache-2.0

/** @import { TileSize } from './types.js' */

/** Sizes run through every value in an animation; the router hears of the one that stays. */
const SETTLE_MS = 100;
/** Scrolling past a tile is no reason to stop its video. */
const HIDE_MS = 600;

/**
 * Watches how large an element is on the screen, in device pixels, and whether it can be seen at all.
 */
export class Tile {
  #element;
  #report;
  /** @type {ResizeObserver} */
  #resize;
  /** @type {IntersectionObserver} */
  #intersection;
  /** @type {TileSize} */
  #now = { width: 0, height: 0, visible: true };
  /** @type {TileSize | undefined} */
  #told;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #onScreen = true;
  /** The page that it is in: perhaps not the one that we are in. */
  #page;
  #abort = new AbortController();

  /**
   * @param {Element} element
   * @param {(size: TileSize) => void} report
   */
  constructor(element, report) {
    this.#element = element;
    this.#report = report;
    this.#page = element.ownerDocument;
    const at = this.#page.defaultView ?? window;
    const box = element.getBoundingClientRect();
    this.#measure(box.width * at.devicePixelRatio, box.height * at.devicePixelRatio);
    this.#tell();

    this.#resize = new at.ResizeObserver((/** @type {ResizeObserverEntry[]} */ [entry]) => {
      if (!entry) return;
      const exact = entry.devicePixelContentBoxSize?.[0];
      const box = entry.contentBoxSize[0] ?? { inlineSize: 0, blockSize: 0 };
      this.#measure(exact?.inlineSize ?? box.inlineSize * at.devicePixelRatio, exact?.blockSize ?? box.blockSize * at.devicePixelRatio);
      this.#settle();
    });
    try {
      this.#resize.observe(element, { box: 'device-pixel-content-box' });
    } catch {
      this.#resize.observe(element);
    }
    this.#intersection = new at.IntersectionObserver((/** @type {IntersectionObserverEntry[]} */ [entry]) => {
      this.#onScreen = entry?.isIntersecting ?? true;
      this.#settle();
    }, { rootMargin: '64px' });
    this.#intersection.observe(element);
    const { signal } = this.#abort;
    this.#page.addEventListener('visibilitychange', () => this.#settle(), { signal });
    for (const event of ['enterpictureinpicture', 'leavepictureinpicture']) element.addEventListener(event, () => this.#settle(), { signal });
  }

  /** @type {TileSize} */
  get size() {
    return { ...this.#now };
  }

  /** Stops watching. */
  close() {
    clearTimeout(this.#timer);
    this.#resize.disconnect();
    this.#intersection.disconnect();
    this.#abort.abort();
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #measure(width, height) {
    this.#now.width = Math.round(width);
    this.#now.height = Math.round(height);
  }

  #settle() {
    const { width, height } = this.#now;
    // A picture in a window of its own is seen whatever becomes of the page.
    const floats = this.#element.contains(this.#page.pictureInPictureElement);
    this.#now.visible = floats || (this.#onScreen && width > 0 && height > 0 && this.#page.visibilityState !== 'hidden');
    clearTimeout(this.#timer);
    const appears = this.#now.visible && !this.#told?.visible;
    const vanishes = !this.#now.visible && this.#told?.visible;
    this.#timer = setTimeout(() => this.#tell(), appears ? 0 : vanishes ? HIDE_MS : SETTLE_MS);
  }

  #tell() {
    const { width, height, visible } = this.#now;
    if (this.#told?.width === width && this.#told.height === height && this.#told.visible === visible) return;
    this.#told = { width, height, visible };
    this.#report({ ...this.#told });
  }
}
