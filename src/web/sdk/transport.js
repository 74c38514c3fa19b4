// SPDX-License-Identifier: Apache-2.0

import { Failure } from './failure.js';

/** What the other way in is given as a head start, in which it almost always wins where it works at all. */
const HEAD_START_MS = 300;

/**
 * A way to the server: lines there and back.
 *
 * @typedef {object} Transport
 * @property {'webtransport' | 'websocket'} kind
 * @property {(line: string) => Promise<void>} write resolves when the line has left this page
 * @property {AsyncIterable<string>} lines end with the connection
 * @property {() => void} close
 */

/**
 * Connects by WebTransport and, 300 ms later or as soon as that failed, by WebSocket; who is there first wins, and the
 * other is given up. Where WebSocket won the last time it goes first.
 *
 * @param {object} way
 * @param {string} way.signal where WebTransport is
 * @param {string[]} way.hashes of the server's certificates, in hexadecimal
 * @param {URL} way.server where the page is
 * @param {Transport['kind']} [way.first] what won the last time
 * @param {number} way.ms how long each may take
 * @param {AbortSignal} way.abort gives up
 * @returns {Promise<Transport>}
 */
export function connect({ signal, hashes, server, first, ms, abort }) {
  const openers = [
    () => webTransport(signal, hashes, ms, abort),
    () => webSocket(server, ms, abort),
  ];
  if (first === 'websocket') openers.reverse();
  return new Promise((resolve, reject) => {
    /** @type {unknown[]} */
    const failures = [];
    let won = false;
    let begun = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const next = () => {
      clearTimeout(timer);
      const open = openers[begun];
      if (!open || won || abort.aborted) return;
      begun += 1;
      open().then((transport) => {
        if (won || abort.aborted) return transport.close();
        won = true;
        clearTimeout(timer);
        resolve(transport);
      }, (error) => {
        failures.push(error);
        if (failures.length === openers.length) reject(failures[0]);
        else next();
      });
      timer = setTimeout(next, HEAD_START_MS);
    };
    abort.addEventListener('abort', () => reject(abort.reason), { once: true });
    next();
  });
}

/**
 * @param {string} url
 * @param {string[]} hashes
 * @param {number} ms
 * @param {AbortSignal} abort
 * @returns {Promise<Transport>}
 */
async function webTransport(url, hashes, ms, abort) {
  if (typeof WebTransport === 'undefined') throw new Failure('TIMEOUT', 'This browser has no WebTransport here.');
  const transport = new WebTransport(url, hashes.length ? {
    serverCertificateHashes: hashes.map((hash) => ({ algorithm: 'sha-256', value: bytesOf(hash) })),
  } : {});
  transport.closed.catch(() => {});
  const close = () => {
    try {
      transport.close();
    } catch {
      // It was closed before it was ready.
    }
  };
  try {
    await within(ms, abort, transport.ready);
    const stream = await within(ms, abort, transport.createBidirectionalStream());
    const writer = stream.writable.getWriter();
    const encoder = new TextEncoder();
    return {
      kind: 'webtransport',
      write: (line) => writer.write(encoder.encode(`${line}\n`)),
      lines: lines(stream.readable.getReader()),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * The same lines on the page's own port, for networks that UDP does not get through.
 * @param {URL} server
 * @param {number} ms
 * @param {AbortSignal} abort
 * @returns {Promise<Transport>}
 */
async function webSocket(server, ms, abort) {
  const url = new URL('signal', server);
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const close = () => socket.close(1000);
  // From the beginning: what comes right behind the greeting is not to be missed.
  const arrived = messages(socket);
  try {
    await within(ms, abort, new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('close', () => reject(new Failure('TIMEOUT', 'The server does not answer.')), { once: true });
    }));
  } catch (error) {
    close();
    throw error;
  }
  return {
    kind: 'websocket',
    write: async (line) => socket.send(`${line}\n`),
    lines: arrived,
    close,
  };
}

/**
 * The lines that a socket brings; a message holds whole ones.
 * @param {WebSocket} socket
 */
function messages(socket) {
  /** @type {string[]} */
  let waiting = [];
  let over = false;
  let wake = () => {};
  socket.addEventListener('message', ({ data }) => {
    waiting.push(...String(data).split('\n').filter((line) => line));
    wake();
  });
  socket.addEventListener('close', () => {
    over = true;
    wake();
  });
  return (async function* take() {
    for (;;) {
      const now = waiting;
      waiting = [];
      yield* now;
      if (waiting.length) continue;
      if (over) return;
      await new Promise((resolve) => {
        wake = () => resolve(undefined);
      });
    }
  })();
}

/**
 * The lines of a byte stream, without their line feeds.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 */
async function* lines(reader) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    let end;
    while ((end = text.indexOf('\n')) >= 0) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

/** @param {string} hex */
function bytesOf(hex) {
  return new Uint8Array((hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
}

/**
 * @template T
 * @param {number} ms
 * @param {AbortSignal} abort
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(ms, abort, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Failure('TIMEOUT', 'The server does not answer.')), ms);
    abort.addEventListener('abort', () => reject(abort.reason), { once: true });
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
