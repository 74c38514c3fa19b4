// SPDX-License-Identifier: Apache-2.0
// Who is signed in, in this browser.

import { configuration, operation } from './rest.js';
import { browser } from './storage.js';

/** @typedef {{token: string, uid: number, name: string}} Account */
/** @typedef {{name: string, email: string}} Applicant */

/** @returns {Account | null} */
export function account() {
  return browser.get('account');
}

/**
 * How codes reach people here: by mail, by the server's own log, or not at all.
 * @returns {Promise<'mail' | 'log' | 'off'>}
 */
export async function codesBy() {
  const { appid, codes } = await configuration();
  return !appid ? 'off' : codes === 'log' ? 'log' : 'mail';
}

/** Has a code sent. @param {Applicant} who */
export async function askForCode(who) {
  await operation('login', { appid: await appid(), ...who });
}

/**
 * @param {Applicant} who
 * @param {string} code
 */
export async function signIn(who, code) {
  const { token, uid, name } = await operation('login', { appid: await appid(), ...who, code });
  browser.set('account', { token, uid, name });
  browser.set('name', name);
}

/** The token is dead at once, also for who may have copied it. */
export async function signOut() {
  const known = account();
  forgetAccount();
  if (known) await operation('logout', { token: known.token }).catch(() => {});
}

export function forgetAccount() {
  browser.set('account', null);
}

async function appid() {
  return (await configuration()).appid ?? 'default';
}
