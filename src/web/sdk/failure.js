// SPDX-License-Identifier: Apache-2.0

/** A request that was refused, or a session that ended: `code` is the error's name in docs/signalling.md. */
export class Failure extends Error {
  /**
   * @param {string} code
   * @param {string} [text] one clear sentence
   */
  constructor(code, text) {
    super(text || code);
    this.name = 'Failure';
    this.code = code;
  }
}
