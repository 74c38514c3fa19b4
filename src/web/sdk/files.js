// SPDX-License-Identifier: Apache-2.0

import { Failure } from './failure.js';

/** @import { SentFile } from './types.js' */

/**
 * @typedef {object} FileOptions
 * @property {number} [to] one person; the group unless told
 * @property {string} [text] what is said with it
 * @property {string} [name] in place of the file's own
 * @property {AbortSignal} [signal]
 * @property {(sent: number, total: number) => void} [onProgress]
 */

/**
 * Brings a file to the server: of what `fetch` sends nobody tells how far it got.
 * @param {{server: URL, token: string}} access
 * @param {{gid: number, file: Blob} & FileOptions} what
 * @returns {Promise<SentFile>}
 */
export function upload({ server, token }, { gid, file, name = /** @type {File} */ (file).name ?? 'file', signal, onProgress }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const url = new URL('files', server);
    url.search = new URLSearchParams({ gid: String(gid), name }).toString();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener('abort', abort, { once: true });
    request.open('POST', url);
    request.responseType = 'json';
    request.setRequestHeader('authorization', `Bearer ${token}`);
    request.setRequestHeader('content-type', file.type || 'application/octet-stream');
    request.upload.addEventListener('progress', ({ loaded, total }) => onProgress?.(loaded, total));
    request.addEventListener('loadend', () => {
      signal?.removeEventListener('abort', abort);
      if (request.status === 201) resolve(request.response);
      else if (signal?.aborted) reject(signal.reason);
      else reject(new Failure(request.response?.error ?? 'FAIL', request.response?.text ?? 'The file could not be sent.'));
    });
    request.send(file);
    return undefined;
  });
}
