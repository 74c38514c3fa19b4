// SPDX-License-Identifier: Apache-2.0

/** Why the server did not do what it was asked; the message is for people. */
export class Refused extends Error {
  /**
   * @param {number} status 0 where there was no answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What the console asks of `/v1`, with one token. */
export class Api {
  #token;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  /**
   * @param {string} path behind `/v1/`
   * @param {Record<string, string | number | undefined>} [query] what is empty is left out
   */
  get(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    return this.ask('GET', given.length ? `${path}?${search}` : path);
  }

  /**
   * @param {string} method
   * @param {string} path behind `/v1/`
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async ask(method, path, body) {
    const headers = { authorization: `Bearer ${this.#token}`, ...(body && { 'content-type': 'application/json' }) };
    let response;
    try {
      response = await fetch(`/v1/${path}`, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
    } catch {
      throw new Refused(0, 'The server does not answer; it is asked again.');
    }
    if (response.status === 204) return undefined;
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new Refused(response.status, sentence(response.status, answer));
  }
}

/**
 * @param {number} status
 * @param {{detail?: string, errors?: {pointer?: string, detail: string}[]}} answer
 */
function sentence(status, answer) {
  if (status === 401) return 'This token is wrong: look again in admin.token in the server’s data folder.';
  const [wrong] = answer.errors ?? [];
  if (wrong) return `${wrong.pointer?.split('/').at(-1) ?? 'A value'}: ${wrong.detail}.`;
  return answer.detail ?? `The server refused (${status}).`;
}
