// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';
import { Chart } from './chart.js';
import { bits, kbps, millis, NONE, size, WHY } from './format.js';
import { startLimits } from './limits.js';
import { Table } from './table.js';

/** @import { Api } from './api.js' */

const SOURCES = ['', 'camera', 'screen'];

/** @type {import('./table.js').Column[]} */
const SENDS = [
  { key: 'stream', title: 'Stream', text: (row) => row.stream },
  { key: 'size', title: 'Layer', text: (row) => row.size },
  { key: 'kbps', title: 'Rate', rate: true, text: (row) => kbps(row.kbps) },
  { key: 'fps', title: 'fps', number: true, text: (row) => row.fps ?? '' },
  { key: 'state', title: 'State', text: (row) => row.state },
];
/** @type {import('./table.js').Column[]} */
const GETS = [
  { key: 'name', title: 'From', text: (row) => row.from },
  { key: 'size', title: 'Picture', text: (row) => row.picture, paint: (cell, row) => (cell.title = row.layer) },
  { key: 'why', title: 'Limited by', text: (row) => row.why, paint: (cell, row) => (cell.title = row.sentence) },
  { key: 'tile', title: 'Tile', text: (row) => row.tile, hint: 'The size in which it is shown, and wanted' },
  { key: 'kbpsVideo', title: 'Video', rate: true, text: (row) => kbps(row.kbpsVideo) },
  { key: 'kbpsAudio', title: 'Sound', rate: true, text: (row) => kbps(row.kbpsAudio) },
];

/** One participant: what is sent and got, why so, and what can be done about it. */
export class Person {
  /** @type {Api} */
  #api;
  /** @type {number} */
  #gid;
  /** @type {number} */
  #uid;
  /** @type {() => void} */
  #onDone;
  #sends = new Table('What this person sends', SENDS, { key: (row) => row.key });
  #gets = new Table('What this person gets', GETS, { key: (row) => row.key });
  #chart = new Chart('Media', { names: ['in', 'out'], format: bits, least: 100_000 });
  /** @type {number | undefined} */
  #sure;
  /** @type {number | undefined} */
  #silence;
  #remove = /** @type {HTMLButtonElement} */ (element('person-remove'));
  #over = new AbortController();

  /**
   * @param {Api} api
   * @param {number} gid
   * @param {number} uid
   * @param {() => void} onDone something was done: look again
   */
  constructor(api, gid, uid, onDone) {
    [this.#api, this.#gid, this.#uid, this.#onDone] = [api, gid, uid, onDone];
    element('person-sends').replaceChildren(this.#sends.element);
    element('person-gets').replaceChildren(this.#gets.element);
    element('person-chart').replaceChildren(this.#chart.element);
    element('person-name').textContent = '…';
    element('person-line').textContent = '';
    this.#say('');
    const { signal } = this.#over;
    startLimits(api, gid, uid, signal, (text) => this.#say(text));
    for (const [id, what] of /** @type {[string, object][]} */ ([['mute-sound', { audio: true }], ['mute-picture', { video: true }]])) {
      element(id).addEventListener('click', () => this.#do('POST', '/mute', what), { signal });
    }
    this.#remove.addEventListener('click', () => this.#removes(), { signal });
    this.#unsure();
  }

  get uid() {
    return this.#uid;
  }

  close() {
    this.#over.abort();
    this.#unsure();
  }

  async load() {
    const person = await this.#api.get(`groups/${this.#gid}/participants/${this.#uid}`);
    if (this.#over.signal.aborted) return;
    const { name, address, streams, views, connection, sessions } = person;
    element('person-name').textContent = name || address;
    const way = connection && `way out ${kbps(connection.estimateKbps)} by estimate, ${connection.lossPercent} % lost, RTT ${millis(connection.rttMs)}`;
    element('person-line').textContent = [address, `uid ${this.#uid}`, sessions > 1 && `${sessions} sessions`, way].filter(Boolean).join(' · ');
    this.#sends.show(streams.flatMap(layersOf));
    this.#gets.show(views.map((/** @type {any} */ view) => this.#view(view)));
    element('person-sends-note').textContent = streams.length ? '' : 'Nothing.';
    element('person-gets-note').textContent = views.length ? '' : 'Nothing.';
    const incoming = streams.reduce((/** @type {number} */ all, /** @type {any} */ stream) => all + (stream.connection?.kbpsIn ?? 0), 0);
    this.#chart.add(Date.now(), [incoming * 1000, (connection?.kbpsOut ?? 0) * 1000]);
    const off = (/** @type {'audio' | 'video'} */ kind) => streams.every((/** @type {any} */ stream) => !stream[kind] || stream.muted[kind]);
    /** @type {HTMLButtonElement} */ (element('mute-sound')).disabled = off('audio');
    /** @type {HTMLButtonElement} */ (element('mute-picture')).disabled = off('video');
  }

  /** @param {Map<number, string>} names of who is here, as far as they are known */
  know(names) {
    this.#names = names;
  }

  /** @type {Map<number, string>} */
  #names = new Map();

  /** @param {any} view */
  #view(view) {
    const [why, sentence] = WHY[view.why] ?? [NONE, ''];
    const name = this.#names.get(view.uid) ?? `uid ${view.uid}`;
    return {
      ...view,
      key: `${view.uid}/${view.sid}`,
      from: view.sid ? `${name} #${view.sid}` : name,
      picture: view.width === 0 ? 'none' : size(view.width, view.height),
      layer: view.layer === null ? '' : `Layer ${view.layer}, from 0, the smallest`,
      why,
      sentence,
      tile: size(view.tileWidth, view.tileHeight),
    };
  }

  #removes() {
    if (this.#sure === undefined) {
      this.#remove.textContent = 'Remove: sure?';
      this.#sure = setTimeout(() => this.#unsure(), 4000);
      return;
    }
    this.#unsure();
    this.#do('DELETE', '');
  }

  #unsure() {
    clearTimeout(this.#sure);
    this.#sure = undefined;
    this.#remove.textContent = 'Remove';
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async #do(method, path, body) {
    try {
      await this.#api.ask(method, `groups/${this.#gid}/participants/${this.#uid}${path}`, body);
      this.#say('Done.');
    } catch (error) {
      this.#say(/** @type {Error} */ (error).message);
    }
    this.#onDone();
  }

  /** @param {string} text */
  #say(text) {
    const said = element('said');
    said.textContent = text;
    said.hidden = !text;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => (said.hidden = true), 5000);
  }
}

/** A stream's sound and pictures, a line each. @param {any} stream */
function layersOf({ sid, source, audio, video, muted, layers, kbpsAudio, viewers, maxKbps, maxFps, maxWidth, maxHeight, maxLayers, connection }) {
  const limits = [
    maxKbps !== null && kbps(maxKbps), maxFps !== null && `${maxFps} fps`, maxWidth !== null && size(maxWidth, maxHeight), maxLayers !== null && `${maxLayers} layers`,
  ].filter(Boolean).join(', ');
  const lost = connection?.lossPercent ? `${connection.lossPercent} % lost` : '';
  const about = [`${viewers} watching`, lost, limits && `at most ${limits}`].filter(Boolean).join(' · ');
  const stream = `${SOURCES[source] || 'stream'}${sid ? ` #${sid}` : ''}`;
  const rows = layers.map((/** @type {any} */ layer, /** @type {number} */ at) => ({
    key: `${sid}/${at}`, stream: '', size: size(layer.width, layer.height), kbps: layer.kbps, fps: layer.fps ?? NONE,
    state: muted.video ? 'muted' : !layer.wanted ? 'rests: nobody wants it' : layer.kbps === 0 ? 'wanted, does not arrive' : 'wanted',
  }));
  const sound = { key: `${sid}/sound`, stream: '', size: 'sound', kbps: kbpsAudio, state: muted.audio ? 'muted' : '' };
  const head = { key: `${sid}`, stream, size: '', kbps: connection?.kbpsIn, state: about };
  return [head, ...(audio ? [sound] : []), ...(video ? rows : [])];
}
