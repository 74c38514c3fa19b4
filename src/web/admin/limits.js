// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';

/** @import { Api } from './api.js' */

const NAMES = ['maxPublishKbps', 'maxSubscribeKbps', 'maxResolution', 'maxFps', 'audioKbps', 'simulcastLayers', 'maxStreams', 'maxSubscriptions'];

/**
 * The form with what one person may send and get at most.
 * @param {Api} api
 * @param {number} gid
 * @param {number} uid
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 */
export async function startLimits(api, gid, uid, signal, say) {
  const form = /** @type {HTMLFormElement} */ (element('limits'));
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement | HTMLSelectElement} */ (form.elements.namedItem(name));
  form.reset();
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const limits = Object.fromEntries(NAMES.map((name) => [name, Number(field(name).value) || null]));
    try {
      await api.ask('PATCH', `groups/${gid}/participants/${uid}`, { limits });
      say('The limits hold from now on.');
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    }
  }, { signal });
  // Who is no member yet has none; an admin who may not see them still may set them, or is told.
  const member = await api.get(`groups/${gid}/members/${uid}`).catch(() => undefined);
  if (signal.aborted || !member) return;
  for (const name of NAMES) field(name).value = member.limits[name] || '';
}
