// SPDX-License-Identifier: Apache-2.0

import { Playback } from '../sdk/playback.js';
import { chime, fillDevices } from './devices.js';
import { element } from './dom.js';
import { browser } from './storage.js';

/** @import { Devices } from '../sdk/millrace.js' */

const theme = /** @type {HTMLSelectElement} */ (element('theme'));
const columns = /** @type {HTMLSelectElement} */ (element('columns'));
const details = /** @type {HTMLInputElement} */ (element('details'));
const output = /** @type {HTMLSelectElement} */ (element('set-output'));
const dialog = /** @type {HTMLDialogElement} */ (element('settings'));
const help = /** @type {HTMLDialogElement} */ (element('help'));

/** What is chosen once and holds for this browser. */
export function startSettings() {
  theme.value = browser.get('theme') ?? 'auto';
  columns.value = browser.get('columns') ?? '0';
  details.checked = browser.get('details') ?? true;
  const apply = () => {
    document.documentElement.dataset.theme = theme.value;
    document.body.dataset.details = details.checked ? 'on' : 'off';
  };
  for (const field of [theme, columns, details]) {
    field.addEventListener('change', () => {
      browser.set('theme', theme.value);
      browser.set('columns', columns.value);
      browser.set('details', details.checked);
      apply();
    });
  }
  apply();
  element('settings-open').addEventListener('click', () => dialog.showModal());
  element('help-open').addEventListener('click', () => {
    dialog.close();
    help.showModal();
  });
  for (const one of [dialog, help]) {
    one.addEventListener('click', (event) => {
      // Its padding is the form's, so a click on the dialog itself is one beside it.
      if (event.target === one) one.close();
    });
  }
}

/**
 * The settings of a call: its columns and its devices.
 * @param {{signal: AbortSignal, devices: Devices, playback: Playback, onProblem: (text: string) => void, onColumns: (columns: number) => void,
 *   onDevice: (kind: 'audio' | 'video', id: string) => void, current: (kind: 'audio' | 'video') => string | undefined}} call
 */
export function bindSettings({ signal, devices, playback, onProblem, onColumns, onDevice, current }) {
  onColumns(Number(columns.value));
  columns.addEventListener('change', () => onColumns(Number(columns.value)), { signal });
  for (const kind of /** @type {const} */ (['audio', 'video'])) {
    const select = /** @type {HTMLSelectElement} */ (element(`set-${kind}`));
    select.addEventListener('change', () => onDevice(kind, select.value), { signal });
    const fill = () => fillDevices(select, current(kind));
    element('settings-open').addEventListener('click', fill, { signal });
    devices.on('changed', fill, { signal });
  }
  bindOutput({ signal, devices, playback, onProblem });
  signal.addEventListener('abort', () => {
    dialog.close();
    help.close();
  });
}

/**
 * Where sound comes out: chosen once, it holds for this browser. Where there is no choice nothing is shown.
 * @param {{signal: AbortSignal, devices: Devices, playback: Playback, onProblem: (text: string) => void}} call
 */
function bindOutput({ signal, devices, playback, onProblem }) {
  const field = /** @type {HTMLElement} */ (output.closest('.field'));
  const fill = async () => {
    const count = Playback.canChooseOutput ? await fillDevices(output, playback.output || 'default') : 0;
    field.hidden = !count;
  };
  /** @param {string} id */
  const choose = (id) => playback.setOutput(id).then(() => browser.set('output-device', id));
  // What was chosen once may be gone.
  const known = browser.get('output-device');
  if (known && Playback.canChooseOutput) choose(known).catch(() => {});
  const refused = () => {
    onProblem('This loudspeaker cannot be used now: choose another one.');
    fill();
  };
  output.addEventListener('change', () => choose(output.value).catch(refused), { signal });
  element('try-output').addEventListener('click', () => chime(output.value).catch(refused), { signal });
  element('settings-open').addEventListener('click', fill, { signal });
  devices.on('changed', fill, { signal });
}
