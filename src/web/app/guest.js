// SPDX-License-Identifier: Apache-2.0

import { Millrace } from '../sdk/millrace.js';
import { tab } from './storage.js';

/**
 * The account's token of who comes signed in; of a guest this tab's for the room: kept over a reload, a new one for every further tab.
 * @param {{gid: number, pin: string, name: string, token?: string}} guest
 * @returns {Promise<string>}
 */
export async function tokenFor({ gid, pin, name, token: own }) {
  if (own) return own;
  const kept = tab.get(`guest:${gid}`);
  if (kept?.name === name && kept.pin === pin && await claim(kept.token)) return kept.token;
  const { token } = await Millrace.guest({ gid, pin, name });
  tab.set(`guest:${gid}`, { token, name, pin });
  await claim(token);
  return token;
}

/** @param {number} gid */
export function forget(gid) {
  tab.set(`guest:${gid}`, null);
}

/** @type {Set<string>} */
const claimed = new Set();

/**
 * A duplicated tab inherits the storage of the first. One token in two tabs would sign the older out, so the token
 * belongs to the tab that holds its lock, which the browser gives back when the tab goes.
 * @param {string} token
 * @returns {Promise<boolean>}
 */
async function claim(token) {
  if (claimed.has(token) || !navigator.locks) return true;
  return new Promise((resolve) => {
    navigator.locks.request(`millrace:${token.slice(-12)}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      if (!lock) return undefined;
      claimed.add(token);
      return new Promise(() => {});
    }).catch(() => resolve(true));
  });
}
