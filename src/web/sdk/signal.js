// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';
import { Failure } from './failure.js';
import { connect } from './transport.js';

/** @import { Transport } from './transport.js' */
/** @import { Hello } from './types.js' */

/** What this client speaks. */
const VERSION = 1;
const CONNECT_MS = 6000;
/** A line now and then lets QUIC find out early that the server has forgotten us (stateless reset). */
const PING_MS = 3000;
/** Over WebSocket its answer is the sign of life; without one for so long the connection is given up. */
const SILENT_MS = 10_000;
/** The number of these lines, of which no request is. */
const PING_ID = 1;
const BACKOFF_MS = [0, 250, 500, 1000, 2000, 4000];
/** The longest wait before a request is repeated that the server had no time for. */
const PATIENCE_MS = 30000;
/** The server allows 50 lines a second and 200 at once; we stay below. */
const LINES_PER_SECOND = 40;
const LINES_AT_ONCE = 150;

/**
 * @typedef {{id: number, line: string, refused: number, resolve: (answer: any) => void, reject: (error: Error) => void}} Pending
 * @typedef {'idle' | 'connecting' | 'online' | 'reconnecting' | 'closed'} State
 */

/**
 * One conversation with the server: JSON lines by WebTransport or WebSocket, found again when it is lost.
 *
 * Events: `state` ({state, error}), `message` (any message that is no answer), `restarted` (the server knows nothing of
 * us any more: join, publish and watch again), `failed` ({attempt}: a connection did not come about).
 * @extends {Emitter<{state: {state: State, error?: Failure}, message: any, restarted: void, failed: {attempt: number}}>}
 */
export class Signal extends Emitter {
  /** @type {State} */
  state = 'idle';
  /** @type {Hello | undefined} */
  hello;

  #server;
  #token;
  #resume = '';
  #nextId = 2;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  /** @type {Transport | undefined} */
  #transport;
  /** What served the last time. @type {Transport['kind'] | undefined} */
  #served;
  #giveUp = new AbortController();
  /** @type {string[]} */
  #outbox = [];
  #credit = LINES_AT_ONCE;
  #creditAt = 0;
  /** Cuts a back-off short. */
  #hurry = () => {};
  #greeted = false;
  /** When a server that was full, or the successor of one, wants to be asked again. */
  #comeBackMs = 0;

  /** @param {{server: URL, token: string}} options */
  constructor({ server, token }) {
    super();
    this.#server = server;
    this.#token = token;
  }

  /** Where the server is, and what opens it: for what goes by HTTP. */
  get access() {
    return { server: this.#server, token: this.#token };
  }

  /** What carries this session: 'webtransport', or 'websocket' where UDP does not get through. */
  get transport() {
    return this.#transport?.kind;
  }

  /**
   * Connects and keeps connected until {@link stop}. Resolves when the server has greeted us for the first time.
   * @returns {Promise<Hello>}
   */
  start() {
    if (this.state !== 'idle') return Promise.reject(new Failure('STARTED', 'This session was started before.'));
    this.#enter('connecting');
    addEventListener('online', this.#wake);
    addEventListener('pagehide', this.#away);
    const first = new Promise((resolve, reject) => {
      this.addEventListener('state', () => {
        if (this.state === 'online') resolve(this.hello);
        if (this.state === 'closed') reject(this.error ?? new Failure('CLOSED', 'The session was closed.'));
      });
    });
    this.#run();
    return first;
  }

  /** Why the session is closed. @type {Failure | undefined} */
  error;

  /**
   * Asks the server. A request outlives a lost connection; it fails with `RESTARTED` when the session is gone.
   * @param {string} t
   * @param {object} [members]
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<any>}
   */
  request(t, members = {}, { signal } = {}) {
    if (this.state === 'closed') return Promise.reject(this.error ?? new Failure('CLOSED', 'The session was closed.'));
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const line = JSON.stringify({ t, id, ...members });
      // One signal may outlive many requests.
      const done = new AbortController();
      signal?.addEventListener('abort', () => this.#pending.delete(id) && reject(signal.reason), { signal: done.signal });
      const settled = (/** @type {(outcome: any) => void} */ settle) => (/** @type {any} */ outcome) => {
        done.abort();
        settle(outcome);
      };
      this.#pending.set(id, { id, line, refused: 0, resolve: settled(resolve), reject: settled(reject) });
      if (this.#greeted) this.#post(line);
    });
  }

  /** Leaves at once, everywhere. */
  stop() {
    this.#close(new Failure('CLOSED', 'The session was closed.'));
  }

  /** Gives the session up and makes a new one, as after a restart of the server. */
  renew() {
    if (this.state === 'closed') return;
    this.#resume = 'none';
    this.#post(JSON.stringify({ t: 'bye' }));
    this.#drop();
  }

  async #run() {
    for (let attempt = 0; this.state !== 'closed'; attempt += 1) {
      try {
        await this.#converse(() => { attempt = 0; });
      } catch (error) {
        if (error instanceof Failure && this.#isFinal(error)) return this.#close(error);
      }
      this.#drop();
      if (this.#isClosed()) return;
      if (this.state === 'online') this.#enter('reconnecting');
      else this.emit('failed', { attempt });
      const wait = Math.max(BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)] ?? 0, this.#comeBackMs);
      this.#comeBackMs = 0;
      await new Promise((resolve) => {
        this.#hurry = () => resolve(undefined);
        setTimeout(resolve, wait * (0.75 + Math.random() / 2));
      });
    }
  }

  #isClosed() {
    return this.state === 'closed';
  }

  /** @param {Failure} error */
  #isFinal(error) {
    return ['AUTHFAIL', 'VERSION', 'SIGNOUT', 'RULES'].includes(error.code);
  }

  /**
   * One connection from its first packet to its last.
   * @param {() => void} greeted
   */
  async #converse(greeted) {
    // Certificates live for days only, so their hashes are asked for before every connect.
    const answer = await fetch(new URL('config.json', this.#server), { cache: 'no-store', signal: AbortSignal.timeout(CONNECT_MS) });
    const config = await answer.json();
    const giveUp = new AbortController();
    this.#giveUp = giveUp;
    const transport = await connect({
      signal: config.signal,
      hashes: config.hashes ?? [],
      server: this.#server,
      first: this.#served,
      ms: CONNECT_MS,
      abort: giveUp.signal,
    });
    this.#transport = transport;
    this.#served = transport.kind;
    const hello = { t: 'hello', id: 0, v: VERSION, token: this.#token, ...(this.#resume && { resume: this.#resume }) };
    this.#write(JSON.stringify(hello));
    let heard = performance.now();
    const ping = setInterval(() => {
      if (!this.#greeted) return;
      const answered = transport.kind === 'websocket';
      if (answered && performance.now() - heard > SILENT_MS) return this.#drop();
      this.#post(JSON.stringify({ t: 'ping', ...(answered && { id: PING_ID }) }));
    }, PING_MS);
    const slow = setTimeout(() => this.#greeted || this.#drop(), CONNECT_MS);
    try {
      for await (const line of transport.lines) {
        heard = performance.now();
        const message = JSON.parse(line);
        if (message.re === 0) this.#onHello(message), greeted();
        else if (message.re !== undefined) this.#onAnswer(message);
        else this.#onMessage(message);
        if (this.state === 'closed') return;
      }
    } finally {
      clearInterval(ping);
      clearTimeout(slow);
    }
  }

  /** @param {any} message */
  #onHello(message) {
    if (message.error) {
      this.#comeBackMs = message.retryMs ?? 0;
      throw new Failure(message.error, message.text);
    }
    const known = this.#resume !== '';
    this.hello = message;
    this.#resume = message.resume;
    this.#greeted = true;
    if (known && !message.resumed) {
      const forgotten = [...this.#pending.values()];
      this.#pending.clear();
      for (const { reject } of forgotten) reject(new Failure('RESTARTED', 'The server was restarted.'));
    }
    this.#outbox = [...this.#pending.values()].map(({ line }) => line);
    this.#enter('online');
    if (known && !message.resumed) this.emit('restarted');
    this.#flush();
  }

  /** @param {any} message */
  #onAnswer(message) {
    const pending = this.#pending.get(message.re);
    if (!pending) return;
    if (message.retryMs !== undefined) return this.#ask(pending, message.retryMs);
    this.#pending.delete(message.re);
    if (message.error) pending.reject(new Failure(message.error, message.text));
    else pending.resolve(message);
  }

  /**
   * Asks again when it is our turn, and later each time that it is not yet.
   * @param {Pending} pending
   * @param {number} after milliseconds, as the server said
   */
  #ask(pending, after) {
    const wait = Math.min(after * 2 ** pending.refused, PATIENCE_MS) * (1 + Math.random() / 8);
    pending.refused += 1;
    setTimeout(() => this.#greeted && this.#pending.has(pending.id) && this.#post(pending.line), wait);
  }

  /** @param {any} message */
  #onMessage(message) {
    if (message.t === 'signout') throw new Failure('SIGNOUT', 'You signed in somewhere else.');
    if (message.t === 'error') {
      // Our own breach of the rules would be repeated by a retry; anything else is worth another connection.
      const ours = ['BADLINE', 'TOOLONG', 'TOOFAST', 'NOHELLO'].includes(message.error);
      this.#comeBackMs = message.retryMs ?? 0;
      throw new Failure(ours ? 'RULES' : message.error, message.text ?? message.error);
    }
    this.emit('message', message);
  }

  /** @param {string} line */
  #post(line) {
    this.#outbox.push(line);
    this.#flush();
  }

  /** Sends what the server's rate limit lets pass and comes back for the rest. */
  #flush() {
    const now = performance.now();
    this.#credit = Math.min(LINES_AT_ONCE, this.#credit + ((now - this.#creditAt) * LINES_PER_SECOND) / 1000);
    this.#creditAt = now;
    while (this.#greeted && this.#outbox.length && this.#credit >= 1) {
      this.#credit -= 1;
      this.#write(/** @type {string} */ (this.#outbox.shift()));
    }
    if (this.#greeted && this.#outbox.length) setTimeout(() => this.#flush(), 1000 / LINES_PER_SECOND);
  }

  /** @param {string} line */
  #write(line) {
    // A failed write shows at the reader too, which is where it is handled.
    this.#transport?.write(line).catch(() => {});
  }

  #drop() {
    const transport = this.#transport;
    this.#giveUp.abort(new Failure('TIMEOUT', 'The server does not answer.'));
    this.#transport = undefined;
    this.#greeted = false;
    this.#outbox = [];
    transport?.close();
  }

  /** @param {Failure} error */
  #close(error) {
    if (this.state === 'closed') return;
    this.error = error;
    const transport = this.#transport;
    const greeted = this.#greeted;
    this.#giveUp.abort(error);
    this.#transport = undefined;
    this.#greeted = false;
    this.#enter('closed');
    removeEventListener('online', this.#wake);
    removeEventListener('pagehide', this.#away);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#hurry();
    const end = () => transport?.close();
    if (!greeted) return end();
    // `bye` must be on its way before the connection goes; a dying page may not get as far as the timer.
    transport?.write('{"t":"bye"}').then(() => setTimeout(end, 50), end);
  }

  #wake = () => this.#hurry();

  /** The page goes: others need not wait for one who does not come back. */
  #away = () => this.stop();

  /** @param {State} state */
  #enter(state) {
    this.state = state;
    this.emit('state', { state, error: this.error });
  }
}
