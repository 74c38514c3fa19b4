// SPDX-License-Identifier: Apache-2.0

import { MESIBOCALL_HANGUP_REASON_REMOTE, MESIBOCALL_HANGUP_REASON_USER, MESIBO_CALLSTATUS_NOTALLOWED } from '../constants.js';
import { notify } from './listener.js';
import { LocalParticipant } from './local.js';
import { RemoteParticipant } from './remote.js';
import { Subscriber } from './subscriber.js';

/** @import { Room } from '../room.js' */
/** @import { Stream } from '../stream.js' */
/** @import { Rights } from '../types.js' */
/** @import { Mesibo } from './api.js' */

/** A group's call: its room, and those who publish in it. */
export class GroupCall {
  mesibo;
  /** The call's room, while we are in it. @type {Room | undefined} */
  room;
  /** When we talked last, in milliseconds since 1970. */
  selfTalkedAt = 0;

  #gid;
  /** @type {object | undefined} */
  #listener;
  /** @type {Map<Stream, RemoteParticipant>} */
  #participants = new Map();
  /** @type {Set<LocalParticipant>} */
  #own = new Set();
  /** By the viewer's uid and the stream's sid. @type {Map<string, Subscriber>} */
  #subscribers = new Map();
  /** As told last. @type {boolean | undefined} */
  #mayPublish;
  #talking = false;
  /** Whether we are to be in the room, and whether we are about to. */
  #wanted = false;
  #entering = false;

  /**
   * @param {Mesibo} mesibo
   * @param {{gid?: number, listener?: object}} [later]
   */
  constructor(mesibo, { gid = 0, listener } = {}) {
    this.mesibo = mesibo;
    this.#gid = gid;
    this.#listener = listener;
  }

  get client() {
    return this.mesibo.client;
  }

  get gid() {
    return this.#gid;
  }

  /** Gets `MesiboGroupcall_On…`: the call's own listener, or that of everything. */
  get listener() {
    return this.#listener ?? this.mesibo.listener;
  }

  /** What others publish. */
  get streams() {
    return [...this.#participants.keys()];
  }

  /** The earlier surface: which room it is; it is entered as soon as we are online. @param {number | string} gid */
  setRoom(gid) {
    this.#gid = Number(gid);
    this.#wanted = true;
    this.#enterIt();
  }

  /** The later surface: enters the room. @param {object} [listener] */
  join(listener) {
    if (listener) this.#listener = listener;
    this.#wanted = true;
    if (!this.room) return this.#enterIt();
    for (const participant of this.#participants.values()) notify(this.listener, 'MesiboGroupcall_OnPublisher', participant, true);
  }

  /** Hangs up, and leaves the room. */
  leave() {
    this.#wanted = false;
    this.end(MESIBOCALL_HANGUP_REASON_USER);
    this.mesibo.leave(this.#gid);
  }

  /**
   * A publisher of ours: `getLocalParticipant(sid, name, address)` or `getLocalParticipant(name, address)`.
   * @param {...(number | string)} values
   */
  getLocalParticipant(...values) {
    const sid = typeof values[0] === 'number' ? values.shift() : 0;
    return this.#publisher({ sid: Number(sid), name: String(values[0] ?? ''), address: String(values[1] ?? '') });
  }

  /** The later surface: a publisher of ours. @param {number} [sid] */
  createPublisher(sid = 0) {
    return this.#publisher({ sid });
  }

  /** @param {{sid: number, name?: string, address?: string}} init */
  #publisher(init) {
    const own = new LocalParticipant(this, init);
    this.#own.add(own);
    return own;
  }

  /** Hangs up everything; the room stays. @param {number} reason */
  hangup(reason) {
    for (const participant of [...this.#own, ...this.#participants.values()]) participant.end(reason);
  }

  /** Hangs up everything, and knows nothing of the room any more. @param {number} reason */
  end(reason) {
    this.hangup(reason);
    this.#participants.clear();
    this.#subscribers.clear();
    this.room = undefined;
    this.#mayPublish = undefined;
  }

  /** `start()` was called, perhaps again. */
  begin() {
    if (this.#wanted && !this.room && !this.#entering) this.#enterIt();
  }

  #enterIt() {
    if (!this.#gid) return;
    this.#entering = true;
    const entered = this.enter(this.#gid).catch((error) => this.mesibo.notify('Mesibo_OnError', error));
    entered.then(() => { this.#entering = false; });
  }

  /**
   * Joins a room, the call's or another one to publish in, once; it waits until we are online.
   * @param {number} gid
   * @returns {Promise<Room>}
   */
  async enter(gid) {
    const room = await this.mesibo.enter(gid);
    if (gid === this.#gid && room !== this.room) this.#follow(room);
    return room;
  }

  /** Somebody began or ceased to view a stream of ours. @param {{gid: number, uid: number, sid: number, name: string, watching: boolean}} viewer */
  onViewer({ gid, uid, sid, name, watching }) {
    const key = `${gid}/${uid}/${sid}`;
    const address = this.client?.rooms.get(gid)?.people.get(uid)?.address ?? '';
    const subscriber = this.#subscribers.get(key) ?? new Subscriber(this, { uid, sid, name, address });
    if (watching) this.#subscribers.set(key, subscriber);
    else this.#subscribers.delete(key);
    if (watching) this.mesibo.notify('Mesibo_OnSubscriber', subscriber);
    notify(this.listener, 'MesiboGroupcall_OnSubscriber', subscriber, watching);
  }

  /** @param {Room} room */
  #follow(room) {
    this.room = room;
    this.#onRights(room.rights);
    room.on('rights', (rights) => room === this.room && this.#onRights(rights));
    room.on('joined', () => room === this.room && this.#onRights(room.rights));
    room.on('roster', ({ joined, left, changed }) => room === this.room && this.#onRoster(joined, left, changed));
    room.on('talking', () => room === this.room && this.#onTalking(room.selfTalking));
    room.on('muted', ({ sid }) => this.#own.forEach((own) => own.mutedByAdmin(sid)));
    room.on('moved', ({ to }) => {
      if (room === this.room) this.#gid = to;
    });
    room.on('removed', () => room === this.room && this.#onRemoved());
    this.#onRoster([...room.streams.values()], [], []);
  }

  /** @param {Rights} rights */
  #onRights({ publish, subscribe }) {
    if (publish !== this.#mayPublish) {
      this.#mayPublish = publish;
      this.mesibo.notify('Mesibo_OnPermission', publish);
    }
    if (subscribe) return;
    for (const participant of this.#participants.values()) participant.end(MESIBOCALL_HANGUP_REASON_REMOTE, MESIBO_CALLSTATUS_NOTALLOWED);
  }

  /**
   * @param {Stream[]} joined
   * @param {Stream[]} left
   * @param {Stream[]} changed
   */
  #onRoster(joined, left, changed) {
    const gone = left.map((stream) => this.#participants.get(stream));
    for (const stream of left) this.#participants.delete(stream);
    const latest = joined.filter((stream) => !this.#participants.has(stream)).map((stream) => {
      const participant = new RemoteParticipant(this, stream);
      this.#participants.set(stream, participant);
      stream.on('talking', () => this.#onUpdated(participant));
      return participant;
    });
    if (latest.length || left.length) this.#tellOfAll(latest, gone);
    for (const stream of changed) {
      const participant = this.#participants.get(stream);
      participant?.changed();
      if (participant) this.#onUpdated(participant);
    }
  }

  /**
   * @param {RemoteParticipant[]} latest
   * @param {(RemoteParticipant | undefined)[]} gone
   */
  #tellOfAll(latest, gone) {
    this.mesibo.notify('Mesibo_OnParticipants', [...this.#participants.values()], latest);
    for (const participant of gone) if (participant) notify(this.listener, 'MesiboGroupcall_OnPublisher', participant, false);
    for (const participant of latest) notify(this.listener, 'MesiboGroupcall_OnPublisher', participant, true);
  }

  /** @param {RemoteParticipant} participant */
  #onUpdated(participant) {
    this.mesibo.notify('Mesibo_OnParticipantUpdated', [...this.#participants.values()], participant);
  }

  /** @param {boolean} talking whether we ourselves do */
  #onTalking(talking) {
    if (talking || this.#talking) this.selfTalkedAt = Date.now();
    if (talking === this.#talking) return;
    this.#talking = talking;
    for (const own of this.#own) own.talks(talking);
  }

  /** We were put out of the room. */
  #onRemoved() {
    const gone = [...this.#participants.values()];
    this.end(MESIBOCALL_HANGUP_REASON_REMOTE);
    this.#tellOfAll([], gone);
  }
}
