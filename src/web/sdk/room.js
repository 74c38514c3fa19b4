// SPDX-License-Identifier: Apache-2.0

import { Chat } from './chat.js';
import { Emitter } from './emitter.js';
import { Failure } from './failure.js';
import { Stream } from './stream.js';
import { View } from './view.js';

/** @import { Action, Admin, Asked, Joined, LimitChanges, Media, Person, Rights, StreamId, StreamInfo } from './types.js' */
/** @import { Signal } from './signal.js' */
/** @import { Viewer } from './viewer.js' */
/** @import { ViewOptions } from './view.js' */

/** @type {Admin} */
const NO_ADMIN = { modify: false, pins: false, members: false, moderate: false, remove: false };
/** How long a publisher has to come back after the server was restarted before we count it as gone. */
const GRACE_MS = 8000;

/**
 * @typedef {{joined: Stream[], changed: Stream[], left: Stream[]}} RosterNews
 * @typedef {{roster: RosterNews, people: {count: number, joined: Person[], left: number[]}, talking: Stream[], rights: Rights,
 *   limits: LimitChanges, settings: void, ends: void, asked: Asked, muted: {sid: number, by: number} & Media, joined: void, moved: {from: number, to: number},
 *   removed: {reason: string}}} RoomEvents
 */

/**
 * A group that we are in.
 *
 * Events: `roster` ({joined, changed, left}: Streams), `people` ({count, joined, left}), `talking` (Streams, loudest first),
 * `rights`, `limits`, `settings` (name, type, resolution or call flags changed), `ends` (when our call ends is known, or changed), `asked` (an Asked: an admin wants something of us),
 * `muted` ({sid, by, audio, video}: an admin muted us), `joined` (again, after a restart), `moved` ({from, to}: an admin sent us to
 * another group, and this room is that one now), `removed` ({reason}).
 * @extends {Emitter<RoomEvents>}
 */
export class Room extends Emitter {
  gid;
  name = '';
  /** 0 conference, 1 webinar, 2 classroom. */
  type = 0;
  resolution = 0;
  callFlags = 0;
  /** @type {Rights} */
  rights = { send: false, receive: false, publish: false, subscribe: false, list: false };
  /** What we may do to others. */
  admin = NO_ADMIN;
  /** What we may send and get at most; what is absent is without limit. @type {LimitChanges} */
  limits = {};
  /** Members present. */
  count = 0;
  /** Streams that others publish, by `uid/sid`. @type {Map<string, Stream>} */
  streams = new Map();
  /** Members present, by uid; empty in a webinar. @type {Map<number, Person>} */
  people = new Map();
  /** What is said here. @type {Chat} */
  chat;
  /** Why we were put out, if we were: a reason of `removed`. @type {string | undefined} */
  removed;
  /** When our call here ends, by `performance.now()`; undefined while it has no end. @type {number | undefined} */
  endsAt;
  /** Whether we ourselves are heard to talk. */
  selfTalking = false;

  #signal;
  #viewer;
  #pin;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #grace;
  #left = false;

  /** @param {{signal: Signal, viewer: Viewer, gid: number, pin?: string}} init */
  constructor({ signal, viewer, gid, pin }) {
    super();
    this.#signal = signal;
    this.#viewer = viewer;
    this.gid = gid;
    this.#pin = pin;
    this.chat = new Chat({ signal, gid, mayReceive: () => this.rights.receive });
  }

  /** @param {AbortSignal} [signal] */
  async join(signal) {
    const members = { gid: this.gid, ...(this.#pin && { pin: this.#pin }) };
    /** @type {Joined} */
    const joined = await this.#signal.request('join', members, { signal });
    this.#settle(joined);
    this.emit('joined');
    return this;
  }

  /**
   * Goes on in another group, of which we are a member now.
   * @param {number} to
   */
  async move(to) {
    const from = this.gid;
    this.gid = to;
    this.#pin = undefined;
    clearTimeout(this.#grace);
    // What was published in the first group is not in this one.
    const left = [...this.streams.values()];
    this.streams.clear();
    for (const stream of left) stream.leave();
    if (left.length) this.emit('roster', { joined: [], changed: [], left });
    this.onPeople({ all: true, count: 0 });
    this.chat.move(to);
    this.onEnds();
    await this.join();
    this.emit('settings');
    this.emit('rights', this.rights);
    this.emit('limits', this.limits);
    this.emit('moved', { from, to });
  }

  /** @param {Joined} settings */
  #settle({ name, type, resolution, callFlags, rights, admin = NO_ADMIN, limits = {}, people }) {
    Object.assign(this, { name, type, resolution, callFlags, rights, admin, limits, count: people });
  }

  /** @param {Joined} settings */
  onSettings(settings) {
    this.#settle(settings);
    this.emit('settings');
  }

  /** @param {LimitChanges} limits */
  onLimits(limits) {
    this.limits = limits;
    this.emit('limits', limits);
  }

  /** Joins again and watches again what was watched. */
  async rejoin() {
    for (const stream of this.streams.values()) stream.setStale(true);
    await this.join();
    this.chat.catchUp().catch(() => {});
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => this.#forgetStale(), GRACE_MS);
  }

  /**
   * Watches a stream; watching it again changes how.
   * @param {Stream} stream
   * @param {ViewOptions} [options]
   * @returns {View}
   */
  watch(stream, options = {}) {
    options.signal?.throwIfAborted();
    if (stream.gone) throw new Failure('NOSTREAM', 'This stream has ended.');
    if (stream.view) {
      const { view } = stream;
      const { tile, signal, ...rest } = options;
      view.update(rest);
      if (tile) view.setTile(tile);
      signal?.addEventListener('abort', () => view.close(), { once: true });
      return view;
    }
    const key = View.key(this.gid, stream.uid, stream.sid);
    const view = new View({
      signal: this.#signal,
      gid: this.gid,
      stream,
      options,
      playback: this.#viewer.playback,
      stats: () => this.#viewer.stats(),
      forget: () => {
        this.#viewer.views.delete(key);
        stream.view = undefined;
      },
    });
    this.#viewer.views.set(key, view);
    stream.view = view;
    return view;
  }

  /**
   * Does something to others, or asks it of them: to those in `people` (uids), or to everyone else. What is done ('mute',
   * 'hangup', 'remove', 'lower' a hand) the server enforces; for the rest people are asked, and see to it themselves.
   * @param {Action} action
   * @param {{people?: number[], sid?: number, stream?: StreamId, signal?: AbortSignal} & Partial<Media>} [options]
   */
  async moderate(action, { people, signal, ...rest } = {}) {
    await this.#signal.request('moderate', { gid: this.gid, action, ...(people && { uids: people }), ...rest }, { signal });
  }

  /**
   * Gives or takes rights, limits and, for the owner, admin bits. It acts at once, and stays.
   * @param {number[]} people
   * @param {{rights?: Partial<Rights>, limits?: LimitChanges, admin?: Partial<Admin>, signal?: AbortSignal}} changes
   */
  async edit(people, { signal, ...changes }) {
    await this.#signal.request('edit', { gid: this.gid, uids: people, ...changes }, { signal });
  }

  /** Leaves the room; what we publish in it ends there. */
  async leave() {
    if (this.#left) return;
    this.close();
    if (this.#signal.state !== 'closed') await this.#signal.request('leave', { gid: this.gid }).catch(() => {});
  }

  close() {
    this.#left = true;
    this.chat.close();
    clearTimeout(this.#grace);
    for (const stream of [...this.streams.values()]) stream.leave();
    this.streams.clear();
  }

  /** @param {{all?: boolean, joined?: StreamInfo[], changed?: StreamInfo[], left?: StreamId[]}} roster */
  onRoster({ all = false, joined = [], changed = [], left = [] }) {
    /** @type {RosterNews} */
    const news = { joined: [], changed: [], left: [] };
    for (const info of [...joined, ...changed]) {
      const known = this.streams.get(`${info.uid}/${info.sid}`);
      if (known) {
        const returned = known.stale;
        known.update(info);
        if (returned) known.view?.renew();
        news.changed.push(known);
      } else {
        const stream = new Stream(info);
        this.streams.set(stream.key, stream);
        news.joined.push(stream);
      }
    }
    if (all) {
      const present = new Set(joined.map(({ uid, sid }) => `${uid}/${sid}`));
      for (const stream of [...this.streams.values()]) {
        if (!present.has(stream.key) && !stream.stale) this.#remove(stream, news.left);
      }
    }
    for (const { uid, sid } of left) {
      const stream = this.streams.get(`${uid}/${sid}`);
      if (stream) this.#remove(stream, news.left);
    }
    this.emit('roster', news);
  }

  /** @param {{all?: boolean, count: number, joined?: Person[], left?: number[]}} people */
  onPeople({ all = false, count, joined = [], left = [] }) {
    this.count = count;
    if (all) this.people.clear();
    for (const person of joined) this.people.set(person.uid, person);
    for (const uid of left) this.people.delete(uid);
    this.emit('people', { count, joined, left });
  }

  /** @param {StreamId[]} talking */
  onTalking(talking) {
    const keys = new Set(talking.map(({ uid, sid }) => `${uid}/${sid}`));
    for (const stream of this.streams.values()) stream.setTalking(keys.has(stream.key));
    this.selfTalking = talking.some(({ uid }) => uid === this.#signal.hello?.uid);
    this.emit('talking', talking.map(({ uid, sid }) => this.streams.get(`${uid}/${sid}`)).filter((stream) => stream !== undefined));
  }

  /**
   * @param {Rights} rights
   * @param {Admin} [admin]
   */
  onRights(rights, admin = NO_ADMIN) {
    this.rights = rights;
    this.admin = admin;
    this.emit('rights', rights);
  }

  /** @param {number} [seconds] from now on */
  onEnds(seconds) {
    const known = this.endsAt;
    this.endsAt = seconds === undefined ? undefined : performance.now() + seconds * 1000;
    if (known !== this.endsAt) this.emit('ends');
  }

  /** @param {Asked} asked */
  onAsked(asked) {
    this.emit('asked', asked);
  }

  /** @param {{sid: number, by: number} & Media} muted */
  onMuted({ sid, by, audio, video }) {
    this.emit('muted', { sid, by, audio, video });
  }

  /** @param {string} reason */
  onRemoved(reason) {
    this.removed = reason;
    this.close();
    this.emit('removed', { reason });
  }

  #forgetStale() {
    /** @type {Stream[]} */
    const left = [];
    for (const stream of [...this.streams.values()]) if (stream.stale) this.#remove(stream, left);
    if (left.length) this.emit('roster', { joined: [], changed: [], left });
  }

  /**
   * @param {Stream} stream
   * @param {Stream[]} left
   */
  #remove(stream, left) {
    this.streams.delete(stream.key);
    stream.leave();
    left.push(stream);
  }
}
