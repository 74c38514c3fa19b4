// SPDX-License-Identifier: Apache-2.0
// The `mesibo` names over the modern surface: pages written for them work by changing the import alone.

import * as constants from '../constants.js';
import { Failure } from '../failure.js';
import { Millrace } from '../millrace.js';
import { GroupCall } from './groupcall.js';
import { notify } from './listener.js';

/** @import { Message } from '../chat.js' */
/** @import { Room } from '../room.js' */

/** @type {Record<Message['status'], number>} */
const MESSAGE_STATUS = {
  sending: constants.MESIBO_MSGSTATUS_OUTBOX,
  sent: constants.MESIBO_MSGSTATUS_SENT,
  delivered: constants.MESIBO_MSGSTATUS_DELIVERED,
  read: constants.MESIBO_MSGSTATUS_READ,
  failed: constants.MESIBO_MSGSTATUS_FAIL,
  received: constants.MESIBO_MSGSTATUS_RECEIVEDNEW,
};

/** The entry: credentials, listener, connection. */
export class Mesibo {
  /** @type {Millrace | undefined} */
  client;
  /** @type {object | undefined} */
  listener;

  #appName = '';
  #token = '';
  #database = '';
  /** @type {Set<GroupCall>} */
  #calls = new Set();
  /** @type {Map<number, Promise<Room>>} */
  #rooms = new Map();
  /** What waits for `start()`. @type {((client: Millrace) => void)[]} */
  #waiting = [];
  /** The page's own numbers of what it said. @type {WeakMap<Message, number>} */
  #ids = new WeakMap();

  /** @param {string} appid */
  setAppName(appid) {
    this.#appName = appid;
  }

  /** @param {object} listener */
  setListener(listener) {
    this.listener = listener;
  }

  /** @param {string} token */
  setCredentials(token) {
    this.#token = token;
  }

  /** Messages are kept by the server; the name is taken and nothing more. @param {string} name */
  setDatabase(name) {
    this.#database = name;
  }

  getAppName() {
    return this.#appName;
  }

  getDatabase() {
    return this.#database;
  }

  start() {
    if (this.client) return;
    const client = (this.client = new Millrace({ token: this.#token }));
    client.on('state', ({ state, error }) => client === this.client && this.#onState(state, error));
    client.on('failed', () => this.notify('Mesibo_OnConnectionStatus', constants.MESIBO_STATUS_CONNECTFAILURE, 0));
    client.on('call', (call) => this.notify('Mesibo_OnGroupCall', call));
    client.on('viewer', (viewer) => {
      const calls = [...this.#calls];
      (calls.find(({ gid }) => gid === viewer.gid) ?? calls[0])?.onViewer(viewer);
    });
    // Before the client leaves for the same reason.
    addEventListener('pagehide', this.#away);
    // What fails for good is told by the state.
    client.connect().catch(() => {});
    for (const resolve of this.#waiting.splice(0)) resolve(client);
    for (const call of this.#calls) call.begin();
  }

  stop() {
    removeEventListener('pagehide', this.#away);
    for (const call of this.#calls) call.end(constants.MESIBOCALL_HANGUP_REASON_USER);
    this.#rooms.clear();
    this.client?.close();
    this.client = undefined;
  }

  /**
   * Says something to a group (`{groupid}`), or to one person in it (`{groupid, peer}`: an address). What becomes of it is told
   * by `Mesibo_OnMessageStatus`, with the same `id`.
   * @param {{groupid: number, peer?: string}} to
   * @param {number} id
   * @param {string} text
   */
  sendMessage({ groupid, peer }, id, text) {
    const room = this.client?.rooms.get(Number(groupid));
    const person = peer ? [...(room?.people.values() ?? [])].find(({ address }) => address === peer) : undefined;
    if (!room || (peer && !person)) {
      this.notify('Mesibo_OnError', new Failure('NORECEIVER', 'Nobody here has this address.'));
      return false;
    }
    const sending = room.chat.send(text, { to: person?.uid });
    const message = room.chat.messages.findLast(({ mine, status }) => mine && status === 'sending');
    if (message) this.#ids.set(message, id);
    sending.catch((error) => this.notify('Mesibo_OnError', error));
    return true;
  }

  /** All of a group that was shown was read. @param {{groupid: number}} of */
  readMessages({ groupid }) {
    this.client?.rooms.get(Number(groupid))?.chat.markRead();
  }

  /** The earlier surface of calls: `setRoom` says which group's it is. */
  initGroupCall() {
    return this.#call(new GroupCall(this));
  }

  /**
   * The later one: `join` enters.
   * @param {object} listener gets `MesiboGroupcall_On…`
   * @param {number | string} gid
   */
  groupCall(listener, gid) {
    return this.#call(new GroupCall(this, { gid: Number(gid), listener }));
  }

  /** @param {GroupCall} call */
  #call(call) {
    this.#calls.add(call);
    return call;
  }

  /**
   * Joins a room, once; it waits for `start()`.
   * @param {number} gid
   * @returns {Promise<Room>}
   */
  enter(gid) {
    const known = this.#rooms.get(gid);
    if (known) return known;
    const joining = this.#join(gid);
    const forget = () => {
      for (const [key, value] of this.#rooms) if (value === joining) this.#rooms.delete(key);
    };
    const move = (/** @type {number} */ to) => {
      forget();
      this.#rooms.set(to, joining);
    };
    this.#rooms.set(gid, joining);
    joining.then((room) => room.on('removed', forget).on('moved', ({ to }) => move(to)), forget);
    return joining;
  }

  /** @param {number} gid */
  leave(gid) {
    this.#rooms.delete(gid);
    this.client?.leave(gid);
  }

  /** @param {number} gid */
  async #join(gid) {
    /** @type {Millrace} */
    const client = this.client ?? await new Promise((resolve) => this.#waiting.push(resolve));
    const room = await client.join(gid);
    this.#followChat(room);
    return room;
  }

  /** Tells the listener of what is said in a room. @param {Room} room */
  #followChat(room) {
    const told = (/** @type {Message} */ message) => ({
      id: this.#ids.get(message) ?? message.id,
      mid: message.id,
      groupid: room.gid,
      peer: room.people.get(message.uid)?.address ?? '',
      name: message.name,
      ts: message.at,
      status: MESSAGE_STATUS[message.status],
      message: message.text,
    });
    room.chat.on('message', (message) => message.mine || this.notify('Mesibo_OnMessage', told(message), message.text));
    room.chat.on('status', (message) => this.notify('Mesibo_OnMessageStatus', told(message)));
  }

  /**
   * Calls the listener's method, whichever way its name is written.
   * @param {string} name
   * @param {...unknown} values
   */
  notify(name, ...values) {
    notify(this.listener, name, ...values);
  }

  /** The browser puts the page away: what it shows and sends ends. */
  #away = () => {
    for (const call of this.#calls) call.hangup(constants.MESIBOCALL_HANGUP_REASON_BACKGROUND);
  };

  /**
   * @param {Millrace['state']} state
   * @param {Failure} [error]
   */
  #onState(state, error) {
    const status = {
      idle: constants.MESIBO_STATUS_OFFLINE,
      connecting: constants.MESIBO_STATUS_CONNECTING,
      online: constants.MESIBO_STATUS_ONLINE,
      reconnecting: constants.MESIBO_STATUS_CONNECTING,
      closed: error?.code === 'AUTHFAIL' ? constants.MESIBO_STATUS_AUTHFAIL
        : error?.code === 'SIGNOUT' ? constants.MESIBO_STATUS_SIGNOUT
          : constants.MESIBO_STATUS_OFFLINE,
    }[state];
    this.notify('Mesibo_OnConnectionStatus', status, 0);
  }
}

for (const [name, value] of Object.entries(constants)) {
  if (!Object.hasOwn(Mesibo, name)) Object.defineProperty(Mesibo, name, { value, enumerable: true });
}
