// SPDX-License-Identifier: Apache-2.0
// The rooms of who is signed in, as the server keeps them.

import { account, forgetAccount } from './account.js';
import { operation, resource } from './rest.js';

/**
 * @typedef {{gid: number, name: string, owner: number, type: number, resolution: number, guests: boolean, callDuration: number}} Group
 * @typedef {'Owner' | 'Admin' | 'Member' | 'Viewer'} Role
 * @typedef {{pin: string, role: 'participant' | 'viewer' | 'further', rights: {publish: boolean | null}}} Pin
 * @typedef {{name: string, type: number, resolution: number, guests: boolean, callDuration: number}} Settings
 */

/** Rooms that are asked after at most, so that a page of many rooms asks little. */
const ASKED_AFTER = 20;

/** @returns {Promise<Group[]>} the latest first */
export async function myGroups() {
  /** @type {Group[]} */
  const all = [];
  for (let cursor = ''; ;) {
    const { items, next } = await mine('GET', `groups?limit=100${cursor}`);
    all.push(...items);
    if (next === null) return all.reverse();
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
}

/** @param {number} gid @returns {Promise<Group>} */
export const readGroup = (gid) => mine('GET', `groups/${gid}`);
/** @param {Settings} settings @returns {Promise<Group>} */
export const createGroup = (settings) => mine('POST', 'groups', settings);
/** @param {number} gid @param {Partial<Settings>} settings @returns {Promise<Group>} */
export const changeGroup = (gid, settings) => mine('PATCH', `groups/${gid}`, settings);
/** @param {number} gid */
export const deleteGroup = (gid) => mine('DELETE', `groups/${gid}`);
/** @param {number} gid */
export const leaveGroup = (gid) => operation('leavegroup', { token: account()?.token ?? '', gid: String(gid) });

/**
 * What one is in a group.
 * @param {Group} group
 * @returns {Promise<Role>}
 */
export async function roleIn({ gid, owner }) {
  const { uid } = account() ?? {};
  if (uid === owner) return 'Owner';
  const { admin, effective } = await mine('GET', `groups/${gid}/members/${uid}`);
  if (Object.values(admin ?? {}).some(Boolean)) return 'Admin';
  return effective.publish ? 'Member' : 'Viewer';
}

/**
 * Who is in these groups now, as far as one may know.
 * @param {Group[]} groups
 * @returns {Promise<Map<number, string[]>>} names by gid
 */
export async function whoIsIn(groups) {
  const { uid } = account() ?? {};
  const asked = groups.filter(({ owner }) => owner === uid).slice(0, ASKED_AFTER);
  const found = await Promise.all(asked.map(async ({ gid }) => {
    const { items } = await mine('GET', `groups/${gid}/participants?limit=4`).catch(() => ({ items: [] }));
    return /** @type {const} */ ([gid, items.map((/** @type {{name: string}} */ { name }) => name)]);
  }));
  return new Map(found);
}

/**
 * The same for who may not be signed in: a guest who is an admin.
 * @param {string} token
 * @param {number} gid
 * @returns {Promise<Group>}
 */
export const groupOf = (token, gid) => resource(token, 'GET', `groups/${gid}`);

/**
 * The pins of a group, for who may see them.
 * @param {string} token
 * @param {number} gid
 * @returns {Promise<Pin[]>}
 */
export async function pinsOf(token, gid) {
  const { items } = await resource(token, 'GET', `groups/${gid}/pins?limit=100`);
  const first = { participant: 0, viewer: 1, further: 2 };
  return items.sort((/** @type {Pin} */ a, /** @type {Pin} */ b) => first[a.role] - first[b.role]);
}

/**
 * A new pin: for participants, or for those who watch.
 * @param {string} token
 * @param {number} gid
 * @param {boolean} publish
 */
export function addPin(token, gid, publish) {
  const rights = { send: true, receive: true, publish, subscribe: true, list: true };
  return resource(token, 'POST', `groups/${gid}/pins`, { rights });
}

/** @param {string} token @param {number} gid @param {string} pin */
export const removePin = (token, gid, pin) => resource(token, 'DELETE', `groups/${gid}/pins/${pin}`);

/**
 * Asks with the account's token; who is signed out meanwhile is so here too.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 */
async function mine(method, path, body) {
  try {
    return await resource(account()?.token ?? '', method, path, body);
  } catch (error) {
    if (/** @type {{code?: string}} */ (error).code === 'unauthorized') {
      forgetAccount();
      dispatchEvent(new Event('signed-out'));
    }
    throw error;
  }
}
