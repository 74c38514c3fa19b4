// SPDX-License-Identifier: Apache-2.0
// The last five minutes as lines.

const SPAN_MS = 300_000;
/** After so long without a value the line is broken. */
const GAP_MS = 5000;
const [WIDTH, HEIGHT] = [300, 56];

/** @param {string} name @param {Record<string, string>} attributes */
function svg(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** The next of 1, 2, 5, 10, …: an axis that holds still. @param {number} value */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}

/** A plot with its title, what it is now, and the largest value that fits. */
export class Chart {
  /** @type {{at: number, values: number[]}[]} */
  #points = [];
  /** @type {number | undefined} Where the pointer is, from 0 to 1. */
  #pointer;
  /** @type {string} */
  #title;
  /** @type {string[]} */
  #names;
  /** @type {(value: number) => string} */
  #format;
  /** @type {number} */
  #least;
  /** @type {number} */
  #unit;
  #now = document.createElement('output');
  #most = document.createElement('span');
  #lines = svg('g', {});
  #mark = svg('path', { class: 'mark' });
  #picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  element = document.createElement('figure');

  /**
   * @param {string} title
   * @param {{names?: string[], format: (value: number) => string, least: number, unit?: number}} options `least` is the
   *   smallest upper end of its axis, which is a round number of `unit`
   */
  constructor(title, { names = [], format, least, unit = 1 }) {
    [this.#title, this.#names, this.#format, this.#least, this.#unit] = [title, names, format, least, unit];
    const caption = document.createElement('figcaption');
    const name = document.createElement('span');
    name.textContent = title;
    this.#most.className = 'most';
    this.#most.title = 'The upper end of the axis; it goes back five minutes';
    caption.append(name, this.#most, this.#now);
    this.#picture.append(svg('path', { class: 'axis', d: `M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}` }), this.#lines, this.#mark);
    this.element.className = 'chart';
    this.element.append(caption, this.#picture);
    this.#picture.addEventListener('pointermove', (event) => {
      const { left, width } = this.#picture.getBoundingClientRect();
      this.#pointer = (/** @type {PointerEvent} */ (event).clientX - left) / width;
      this.#paint();
    });
    this.#picture.addEventListener('pointerleave', () => {
      this.#pointer = undefined;
      this.#paint();
    });
  }

  /** @param {number} at in ms @param {number[]} values one for each line */
  add(at, values) {
    this.#points.push({ at, values });
    while ((this.#points[0]?.at ?? at) < at - SPAN_MS) this.#points.shift();
    this.#paint();
  }

  clear() {
    this.#points = [];
    this.#paint();
  }

  #paint() {
    const last = this.#points.at(-1);
    const largest = Math.max(this.#least, ...this.#points.flatMap(({ values }) => values));
    const most = round(largest / this.#unit) * this.#unit;
    const y = (/** @type {number} */ value) => (HEIGHT - 1 - (value / most) * (HEIGHT - 3)).toFixed(1);
    const x = (/** @type {number} */ at) => (WIDTH - ((last?.at ?? at) - at) / (SPAN_MS / WIDTH)).toFixed(1);
    const lines = last?.values.length ?? 0;
    while (this.#lines.childElementCount > lines) this.#lines.lastElementChild?.remove();
    for (let line = 0; line < lines; line += 1) {
      const path = this.#lines.children[line] ?? this.#lines.appendChild(svg('path', { class: `line line-${line % 4}` }));
      let before = -Infinity;
      path.setAttribute('d', this.#points.map(({ at, values }) => {
        const pen = at - before > GAP_MS ? 'M' : 'L';
        before = at;
        return `${pen}${x(at)} ${y(values[line] ?? 0)}`;
      }).join(''));
    }
    this.#most.textContent = this.#format(most);
    const shown = this.#pointed() ?? last;
    const past = shown !== last;
    this.#now.replaceChildren(...(shown ? this.#told(shown.values) : []).map((text, line) => {
      const part = document.createElement('span');
      part.className = `line-${line % 4}`;
      part.textContent = text;
      return part;
    }));
    this.#now.className = past ? 'past' : '';
    this.#mark.setAttribute('d', past && shown ? `M${x(shown.at)} 0V${HEIGHT}` : '');
    this.#picture.setAttribute('aria-label', `${this.#title}, the last five minutes: now ${last ? this.#told(last.values).join(', ') : 'nothing'}, at most ${this.#format(largest)}`);
  }

  #pointed() {
    const last = this.#points.at(-1);
    if (this.#pointer === undefined || !last) return undefined;
    const wanted = last.at - (1 - this.#pointer) * SPAN_MS;
    const distance = (/** @type {{at: number}} */ { at }) => Math.abs(at - wanted);
    return this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best), last);
  }

  /** @param {number[]} values */
  #told(values) {
    const told = values.map((value, line) => `${this.#names[line] ?? ''} ${this.#format(value)}`.trim());
    return values.length > 2 && !this.#names.length ? [`most ${this.#format(Math.max(...values))}`] : told;
  }
}
