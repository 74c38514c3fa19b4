// SPDX-License-Identifier: Apache-2.0
// What the page asks of the server, in both styles: docs/rest.md and docs/rest-v1.md.

import { Failure } from '../sdk/millrace.js';

const UNREACHABLE = 'The server cannot be reached. Try again in a moment.';

/** What went wrong, for people. @type {Record<string, string>} */
const SENTENCES = {
  BADCODE: 'This code is wrong or too old. Look again, or ask for another one.',
  BADUSER: 'This is no e-mail address. Look again.',
  MISSINGEMAIL: 'Give the e-mail address where the code shall go.',
  MISSINGNAME: 'Say what others shall call you.',
  RATELIMIT: 'Too many attempts. Wait two minutes and try again.',
  NOMAIL: 'This server sends no e-mail, so nobody can sign in here.',
  MAILFAILED: 'The e-mail could not be sent. Look at the address, or try again later.',
  TOOMANY: 'The server has no room for more.',
  BADGROUP: 'This room is not there any more.',
  AUTHFAIL: 'You are signed out. Sign in again.',
};

/**
 * An operation of `/api`.
 * @param {string} op
 * @param {Record<string, string>} parameters
 * @returns {Promise<any>}
 */
export async function operation(op, parameters) {
  const body = new URLSearchParams({ op, ...parameters });
  const response = await ask('/api', { method: 'POST', body, cache: 'no-store' });
  const answer = await response.json().catch(() => ({}));
  if (answer.result !== 'OK') throw new Failure(answer.error ?? 'FAIL', SENTENCES[answer.error] ?? 'The server did not accept this.');
  return answer;
}

/**
 * A request of `/v1`.
 * @param {string} token
 * @param {string} method
 * @param {string} path behind `/v1/`
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function resource(token, method, path, body) {
  const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) };
  const response = await ask(`/v1/${path}`, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const code = String(answer.type ?? '').replace(/^.*#/, '');
  throw new Failure(code || 'FAIL', code === 'unauthorized' ? SENTENCES.AUTHFAIL : answer.errors?.[0]?.detail ?? answer.detail ?? 'The server did not accept this.');
}

/** What the server says of itself. @returns {Promise<{appid?: string, codes?: string}>} */
export async function configuration() {
  return (await ask('/config.json', { cache: 'no-store' })).json();
}

/**
 * What to tell people of something that failed.
 * @param {unknown} error
 */
export function sentenceOf(error) {
  return error instanceof Failure ? error.message : UNREACHABLE;
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
async function ask(path, init) {
  try {
    return await fetch(path, init);
  } catch {
    throw new Failure('UNREACHABLE', UNREACHABLE);
  }
}
