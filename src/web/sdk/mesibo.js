// SPDX-License-Identifier: Apache-2.0
// The `mesibo` names over the modern surface: pages written for them work by changing the import alone.

import * as constants from './constants.js';
import { Failure } from './failure.js';
import { Millrace } from './millrace.js';

/** @import { Message } from './chat.js' */
/** @import { Publisher } from './publisher.js' */
/** @import { Room } from './room.js' */
/** @import { Stream } from './stream.js' */
/** @import { View } from './view.js' */

const { MESIBO_CALLSTATUS_CANCEL, MESIBO_CALLSTATUS_CHANNELUP, MESIBO_CALLSTATUS_COMPLETE,
  MESIBO_CALLSTATUS_NOTALLOWED, MESIBO_CALLSTATUS_QUALITY, MESIBO_CALLSTATUS_RECONNECTING } = constants;

/** @type {Record<Message['status'], number>} */
const MESSAGE_STATUS = {
  sending: constants.MESIBO_MSGSTATUS_OUTBOX,
  sent: constants.MESIBO_MSGSTATUS_SENT,
  delivered: constants.MESIBO_MSGSTATUS_DELIVERED,
  read: constants.MESIBO_MSGSTATUS_READ,
  failed: constants.MESIBO_MSGSTATUS_FAIL,
  received: constants.MESIBO_MSGSTATUS_RECEIVEDNEW,
};

/**
 * @typedef {{peer?: number, name?: string, groupid?: number | number[], source?: number, audio?: boolean, video?: boolean}} CallOptions
 * @typedef {(participant: GroupCallParticipant) => void} OnStream
 * @typedef {(participant: GroupCallParticipant, status: number, video: boolean, quality?: number) => void} OnStatus
 */

/** The entry: credentials, listener, connection. */
export class Mesibo {
  /** @type {Millrace | undefined} */
  client;

  #appName = '';
  #token = '';
  #database = '';
  /** @type {object[]} */
  #listeners = [];
  /** @type {Set<GroupCall>} */
  #calls = new Set();
  /** The page's own numbers of what it said. @type {WeakMap<Message, number>} */
  #ids = new WeakMap();
  /** @type {WeakSet<Room>} */
  #followed = new WeakSet();

  /** @param {string} appid */
  setAppName(appid) {
    this.#appName = appid;
  }

  /** @param {object} listener */
  setListener(listener) {
    this.#listeners = [listener];
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
    client.on('state', ({ state, error }) => this.#onState(state, error));
    client.on('failed', () => this.notify('Mesibo_OnConnectionStatus', constants.MESIBO_STATUS_CONNECTFAILURE, 0));
    client.on('call', (call) => this.notify('Mesibo_OnGroupCall', call));
    client.on('viewer', (viewer) => viewer.watching && this.notify('Mesibo_OnSubscriber', viewer));
    client.connect().catch(() => {});
    for (const call of this.#calls) call.begin(client);
  }

  stop() {
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

  /**
   * Tells the listener of what is said in a room.
   * @param {Room} room
   */
  followChat(room) {
    if (this.#followed.has(room)) return;
    this.#followed.add(room);
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

  initGroupCall() {
    const call = new GroupCall(this);
    this.#calls.add(call);
    if (this.client) call.begin(this.client);
    return call;
  }

  /**
   * Calls a listener's method, whichever way its name is written.
   * @param {string} name
   * @param {...unknown} values
   */
  notify(name, ...values) {
    for (const listener of this.#listeners) {
      const found = methodsOf(listener).find((key) => key.toLowerCase() === name.toLowerCase());
      if (found) /** @type {any} */ (listener)[found](...values);
    }
  }

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

/** A group's call: its room, and those who publish in it. */
export class GroupCall {
  mesibo;
  /** @type {Map<number, Promise<Room>>} */
  rooms = new Map();

  /** @type {Millrace | undefined} */
  #client;
  #gid = 0;
  /** @type {Map<Stream, GroupCallParticipant>} */
  #participants = new Map();

  /** @param {Mesibo} mesibo */
  constructor(mesibo) {
    this.mesibo = mesibo;
  }

  /** @param {number | string} gid */
  setRoom(gid) {
    this.#gid = Number(gid);
    if (this.#client) this.enter(this.#gid).catch(() => {});
  }

  /**
   * A publisher of ours: `getLocalParticipant(sid, name, address)` or `getLocalParticipant(name, address)`.
   * @param {...(number | string)} values
   */
  getLocalParticipant(...values) {
    const sid = typeof values[0] === 'number' ? values.shift() : 0;
    return new GroupCallParticipant(this, { sid: Number(sid), name: String(values[0] ?? ''), address: String(values[1] ?? '') });
  }

  /** @param {Millrace} client */
  begin(client) {
    this.#client = client;
    this.rooms.clear();
    this.#participants.clear();
    if (this.#gid) this.enter(this.#gid).catch(() => {});
  }

  get client() {
    return this.#client;
  }

  get gid() {
    return this.#gid;
  }

  /**
   * Joins a room, once.
   * @param {number} gid
   * @returns {Promise<Room>}
   */
  enter(gid) {
    const client = this.#client;
    if (!client) return Promise.reject(new Failure('OFFLINE', 'Call start() first.'));
    let joining = this.rooms.get(gid);
    if (!joining) {
      joining = client.join(gid);
      this.rooms.set(gid, joining);
      joining.then((room) => this.#onRoom(room), (error) => {
        this.rooms.delete(gid);
        this.mesibo.notify('Mesibo_OnError', error);
      });
    }
    return joining;
  }

  /** @param {Room} room */
  #onRoom(room) {
    this.mesibo.followChat(room);
    this.mesibo.notify('Mesibo_OnPermission', room.rights.publish);
    room.on('rights', (rights) => this.mesibo.notify('Mesibo_OnPermission', rights.publish));
    if (room.gid !== this.#gid) return;
    room.on('roster', ({ joined, left, changed }) => this.#onRoster(joined, left, changed));
    this.#onRoster([...room.streams.values()], [], []);
  }

  /**
   * @param {Stream[]} joined
   * @param {Stream[]} left
   * @param {Stream[]} changed
   */
  #onRoster(joined, left, changed) {
    for (const stream of left) this.#participants.delete(stream);
    const latest = joined.filter((stream) => !this.#participants.has(stream)).map((stream) => {
      const participant = new GroupCallParticipant(this, { stream });
      this.#participants.set(stream, participant);
      stream.on('talking', () => this.#onUpdated(participant));
      return participant;
    });
    const all = [...this.#participants.values()];
    if (latest.length || left.length) this.mesibo.notify('Mesibo_OnParticipants', all, latest);
    for (const stream of changed) {
      const participant = this.#participants.get(stream);
      if (participant) this.#onUpdated(participant);
    }
  }

  /** @param {GroupCallParticipant} participant */
  #onUpdated(participant) {
    this.mesibo.notify('Mesibo_OnParticipantUpdated', [...this.#participants.values()], participant);
  }
}

/** A stream in a call: one of ours, or one that we may view. */
export class GroupCallParticipant {
  #call;
  /** @type {Stream | undefined} */
  #stream;
  #sid;
  #name;
  #address;
  /** Ours, by source. @type {Map<number, Publisher>} */
  #publishers = new Map();
  #source = constants.STREAM_CAMERA;
  /** @type {View | undefined} */
  #view;

  /**
   * @param {GroupCall} call
   * @param {{stream?: Stream, sid?: number, name?: string, address?: string}} init
   */
  constructor(call, { stream, sid = 0, name = '', address = '' }) {
    this.#call = call;
    this.#stream = stream;
    this.#sid = sid;
    this.#name = name;
    this.#address = address;
  }

  isLocal() {
    return !this.#stream;
  }

  getId() {
    return this.#stream?.uid ?? this.#call.client?.self?.uid ?? 0;
  }

  /** The stream's `sid`. */
  getType() {
    return this.#stream?.sid ?? this.#sid;
  }

  getName() {
    return this.#stream?.name ?? (this.#name || this.#call.client?.self?.name || '');
  }

  getAddress() {
    return this.#stream?.address ?? (this.#address || this.#call.client?.self?.address || '');
  }

  isTalking() {
    return this.#stream?.talking ?? false;
  }

  /**
   * Publishes (ours) or views (another's). Before we are online it waits.
   * @param {CallOptions | null} options
   * @param {string} elementId
   * @param {OnStream} [onStream]
   * @param {OnStatus} [onStatus]
   */
  call(options, elementId, onStream, onStatus) {
    const task = this.#stream
      ? this.#watch(this.#stream, options ?? {}, elementId, onStream, onStatus)
      : this.#publish(options ?? {}, onStream, onStatus);
    task.catch((error) => {
      const denied = error?.code === 'NOTALLOWED';
      const cancelled = error?.name === 'NotAllowedError' || error?.name === 'NotFoundError';
      onStatus?.(this, denied ? MESIBO_CALLSTATUS_NOTALLOWED : cancelled ? MESIBO_CALLSTATUS_CANCEL : MESIBO_CALLSTATUS_COMPLETE, false);
      this.#call.mesibo.notify('Mesibo_OnError', error);
    });
  }

  /**
   * Shows the stream in an element, trying again until the page has it.
   * @param {string} elementId
   * @param {(ok: boolean) => void} [onAttached]
   * @param {number} [retryMs]
   * @param {number} [maxRetries]
   */
  attach(elementId, onAttached, retryMs = 100, maxRetries = 50) {
    const element = document.getElementById(elementId);
    if (element instanceof HTMLMediaElement) {
      if (this.#view) {
        this.#view.attach(element).then(() => onAttached?.(true));
        return;
      }
      const media = this.#publisher()?.media;
      if (media) {
        element.muted = true;
        element.srcObject = media;
        element.play().catch(() => {}).then(() => onAttached?.(true));
        return;
      }
    }
    if (maxRetries <= 0) onAttached?.(false);
    else setTimeout(() => this.attach(elementId, onAttached, retryMs, maxRetries - 1), retryMs);
  }

  hangup() {
    this.#view?.close();
    for (const publisher of this.#publishers.values()) publisher.close();
    this.#publishers.clear();
  }

  /**
   * Toggles our side: a publisher stops sending, a viewer stops receiving. With `remote` it asks the other end,
   * which is an admin's right.
   * @param {boolean} video
   * @param {boolean} [remote]
   * @returns {boolean} whether it is muted now
   */
  toggleMute(video, remote = false) {
    const kind = video ? 'video' : 'audio';
    const muted = !this.muteStatus(video, remote);
    if (remote && this.#stream) {
      const { uid, sid } = this.#stream;
      const ask = { gid: this.#call.gid, action: muted ? 'mute' : 'unmute', uids: [uid], sid, [kind]: true };
      const request = this.#call.client?.request('moderate', ask);
      request?.catch((error) => this.#call.mesibo.notify('Mesibo_OnError', error));
      return !muted;
    }
    if (this.#view) this.#view.update({ [kind]: !muted });
    else this.#publisher()?.mute({ [kind]: muted }).catch((error) => this.#call.mesibo.notify('Mesibo_OnError', error));
    return muted;
  }

  /**
   * @param {boolean} video
   * @param {boolean} [remote]
   */
  muteStatus(video, remote = false) {
    const kind = video ? 'video' : 'audio';
    if (remote && this.#stream) return this.#stream.muted[kind];
    if (this.#stream) return this.#view ? !this.#view.wanted[kind] : false;
    return this.#publisher()?.muted[kind] ?? false;
  }

  #publisher() {
    return this.#publishers.get(this.#source);
  }

  /**
   * @param {CallOptions} options
   * @param {OnStream} [onStream]
   * @param {OnStatus} [onStatus]
   */
  async #publish(options, onStream, onStatus) {
    const source = options.source || constants.STREAM_CAMERA;
    const screen = source === constants.STREAM_SCREEN;
    const gids = [options.groupid ?? this.#call.gid].flat().map(Number);
    // The same source called again is restarted; another source is a stream of its own beside it.
    const sid = screen ? Math.max(1, this.#sid) : this.#sid;
    await Promise.all(gids.map((gid) => this.#call.enter(gid)));
    const client = this.#call.client;
    if (!client) throw new Failure('OFFLINE', 'Call start() first.');
    const publisher = client.publisher({
      gids,
      sid,
      source: screen ? 'screen' : 'camera',
      name: options.name || this.#name || undefined,
      audio: options.audio ?? true,
      video: options.video ?? true,
    });
    this.#source = source;
    this.#publishers.set(source, publisher);
    const video = options.video ?? true;
    publisher.on('state', (state) => {
      if (state === 'connected') onStatus?.(this, MESIBO_CALLSTATUS_CHANNELUP, video);
      if (state === 'reconnecting') onStatus?.(this, MESIBO_CALLSTATUS_RECONNECTING, video);
    });
    publisher.on('quality', ({ level }) => onStatus?.(this, MESIBO_CALLSTATUS_QUALITY, video, level));
    publisher.on('media', () => onStream?.(this));
    publisher.on('ended', ({ reason }) => {
      if (this.#publishers.get(source) === publisher) this.#publishers.delete(source);
      // What ends by an error is told by `call` itself.
      if (reason === 'notallowed') onStatus?.(this, MESIBO_CALLSTATUS_NOTALLOWED, video);
      else if (reason === 'closed') onStatus?.(this, screen ? MESIBO_CALLSTATUS_CANCEL : MESIBO_CALLSTATUS_COMPLETE, video);
      else if (reason === 'complete') onStatus?.(this, MESIBO_CALLSTATUS_COMPLETE, video);
    });
    await publisher.start();
  }

  /**
   * @param {Stream} stream
   * @param {CallOptions} options
   * @param {string} elementId
   * @param {OnStream} [onStream]
   * @param {OnStatus} [onStatus]
   */
  async #watch(stream, options, elementId, onStream, onStatus) {
    const room = await this.#call.enter(this.#call.gid);
    const tile = document.getElementById(elementId) ?? undefined;
    const view = room.watch(stream, { audio: options.audio ?? true, video: options.video ?? true, tile });
    this.#view = view;
    const viewer = this.#call.client?.viewer;
    const abort = new AbortController();
    let shown = false;
    view.on('media', (media) => {
      if (shown || !media.getTracks().length) return;
      shown = true;
      onStream?.(this);
      onStatus?.(this, MESIBO_CALLSTATUS_CHANNELUP, stream.video);
    }, abort);
    view.on('error', (error) => {
      if (error.code === 'NOTALLOWED') onStatus?.(this, MESIBO_CALLSTATUS_NOTALLOWED, stream.video);
    }, abort);
    view.on('closed', () => {
      abort.abort();
      this.#view = undefined;
      onStatus?.(this, MESIBO_CALLSTATUS_COMPLETE, stream.video);
    });
    viewer?.on('quality', ({ level }) => onStatus?.(this, MESIBO_CALLSTATUS_QUALITY, stream.video, level), abort);
    viewer?.on('state', (state) => {
      if (state === 'disconnected' || state === 'failed') onStatus?.(this, MESIBO_CALLSTATUS_RECONNECTING, stream.video);
      if (state === 'connected' && shown) onStatus?.(this, MESIBO_CALLSTATUS_CHANNELUP, stream.video);
    }, abort);
  }
}

for (const [name, value] of Object.entries(constants)) {
  if (!Object.hasOwn(Mesibo, name)) Object.defineProperty(Mesibo, name, { value, enumerable: true });
}

/**
 * Every method name of an object, its classes' included.
 * @param {object} listener
 */
function methodsOf(listener) {
  /** @type {string[]} */
  const names = [];
  for (let level = listener; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    names.push(...Object.getOwnPropertyNames(level));
  }
  return names.filter((name) => typeof (/** @type {any} */ (listener)[name]) === 'function');
}
