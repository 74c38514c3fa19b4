// SPDX-License-Identifier: Apache-2.0
// The browser SDK. One import, no build step:
//
//   import { Millrace } from 'https://HOST/sdk/millrace.js';
//   const client = new Millrace({ token });
//   await client.connect();
//   const room = await client.join(1000, { pin: '12345678' });
//   room.on('roster', ({ joined }) => joined.forEach((stream) => room.watch(stream).attach(videoElement)));
//   await client.publish({ source: 'camera' });

import { Chat } from './chat.js';
import { Devices } from './devices.js';
import { Emitter } from './emitter.js';
import { Failure } from './failure.js';
import { strictest } from './limits.js';
import { Playback } from './playback.js';
import { Publisher } from './publisher.js';
import { Room } from './room.js';
import { Signal } from './signal.js';
import { Viewer } from './viewer.js';
import { View } from './view.js';

/** @import { ConnectionQuality, Hello, Ring, Watching } from './types.js' */
/** @typedef {import('./chat.js').Message} Message */
/** @import { PublishOptions } from './publishing.js' */

export * from './constants.js';
export { Chat, Devices, Failure, Playback, Publisher, Room, View };
export { Stream } from './stream.js';
export { Tile } from './tile.js';
export { Mesibo, Mesibo as mesibo } from './mesibo/api.js';
export { GroupCall } from './mesibo/groupcall.js';

/** Where this module came from is where the server is. */
const HOME = new URL('..', import.meta.url);

/**
 * @typedef {{state: {state: Signal['state'], error?: Failure}, failed: {attempt: number}, call: Ring, viewer: Watching,
 *   quality: ConnectionQuality}} ClientEvents
 */

/**
 * A person at a server: one signalling session, the rooms joined, the streams published and watched.
 *
 * Events: `state` ({state: 'connecting' | 'online' | 'reconnecting' | 'closed', error}), `call` ({gid, group, uid, name, address}: a call begins in a group of ours that we are not in),
 * `viewer` (somebody began or ceased to watch one of our streams), `quality` (of one connection), `failed` ({attempt}: a connection did not come about).
 * @extends {Emitter<ClientEvents>}
 */
export class Millrace extends Emitter {
  /** @type {Map<number, Room>} */
  rooms = new Map();
  /** @type {Map<number, Publisher>} */
  publishers = new Map();
  /** Microphones, cameras and loudspeakers. */
  devices = new Devices();

  #signal;
  #viewer;

  /** @param {{token: string, server?: URL | string}} options */
  constructor({ token, server = HOME }) {
    super();
    this.#signal = new Signal({ server: new URL(server, location.href), token });
    this.#viewer = new Viewer(this.#signal);
    this.#signal.on('state', (detail) => this.#onState(detail));
    this.#signal.on('message', (message) => this.#onMessage(message));
    this.#signal.on('restarted', () => this.#onRestarted());
    this.#signal.on('failed', (detail) => this.emit('failed', detail));
    this.devices.on('changed', ({ removed }) => {
      const { output } = this.playback;
      if (removed.some(({ kind, deviceId }) => kind === 'output' && deviceId === output)) this.playback.setOutput('').catch(() => {});
    });
  }

  /**
   * A token for a guest of a group that allows guests.
   * @param {{gid: number, pin: string, name: string, server?: URL | string, signal?: AbortSignal}} guest
   * @returns {Promise<{token: string, uid: number, name: string, address: string}>}
   */
  static async guest({ gid, pin, name, server = HOME, signal }) {
    const url = new URL('api', new URL(server, location.href));
    url.search = new URLSearchParams({ op: 'guest', gid: String(gid), pin, name }).toString();
    const response = await fetch(url, { cache: 'no-store', signal });
    const answer = await response.json();
    if (answer.result !== 'OK') throw new Failure(answer.error ?? 'FAIL', 'This room does not exist, or its pin is another.');
    return answer;
  }

  get state() {
    return this.#signal.state;
  }

  /** Who we are, once connected. */
  get self() {
    return this.#signal.hello;
  }

  /** The connection on which we watch. */
  get viewer() {
    return this.#viewer;
  }

  /** How what we watch is played: whether the browser lets it be heard, and where it comes out. */
  get playback() {
    return this.#viewer.playback;
  }

  /** The lowest quality level of all connections, 0 to 4; 4 while nothing is known. */
  get level() {
    const all = [this.#viewer.quality, ...[...this.publishers.values()].map(({ quality }) => quality)];
    return Math.min(4, ...all.map((quality) => quality?.level ?? 4));
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Hello>}
   */
  async connect({ signal } = {}) {
    signal?.throwIfAborted();
    const giveUp = () => this.close();
    signal?.addEventListener('abort', giveUp);
    try {
      return await this.#signal.start();
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /**
   * @param {number} gid
   * @param {{pin?: string, signal?: AbortSignal}} [options]
   */
  async join(gid, { pin, signal } = {}) {
    // It is listed before the answer, since the roster follows the answer at once.
    const room = new Room({ signal: this.#signal, viewer: this.#viewer, gid, pin });
    const before = this.rooms.get(gid);
    this.rooms.set(gid, room);
    try {
      await room.join(signal);
    } catch (error) {
      if (this.rooms.get(gid) === room) this.rooms.delete(gid);
      // The server may have let us in already.
      if (signal?.aborted && !before) await room.leave();
      throw error;
    }
    before?.close();
    room.on('removed', () => this.rooms.delete(room.gid));
    return room;
  }

  /** @param {number} gid */
  async leave(gid) {
    const room = this.rooms.get(gid);
    this.rooms.delete(gid);
    await room?.leave();
  }

  /**
   * Publishes a stream, in all rooms joined unless `gids` says otherwise. A live stream of the same `sid` is replaced.
   * @param {PublishOptions} [options]
   */
  async publish(options = {}) {
    const publisher = this.publisher(options);
    return publisher.start();
  }

  /**
   * The same in two steps, for those who want its events from the start: call `start()` on the answer.
   * @param {PublishOptions} [options]
   */
  publisher(options = {}) {
    const limits = (/** @type {number[]} */ gids) => strictest(gids.map((gid) => this.rooms.get(gid)?.limits ?? {}));
    const publisher = new Publisher(this.#signal, { gids: [...this.rooms.keys()], ...options }, limits);
    const before = this.publishers.get(publisher.sid);
    publisher.on('state', (state) => {
      if (state === 'connecting') before?.endedByServer('complete');
    });
    this.publishers.set(publisher.sid, publisher);
    // What a page may see of devices depends on what it was allowed to open.
    publisher.on('media', () => this.devices.list());
    publisher.on('ended', ({ reason }) => {
      // What it was to replace is not to stay at the server.
      if (reason === 'error' && before) this.#signal.request('unpublish', { sid: publisher.sid }).catch(() => {});
      if (this.publishers.get(publisher.sid) === publisher) this.publishers.delete(publisher.sid);
    });
    return publisher;
  }

  /** Leaves everything at once. */
  close() {
    this.#signal.stop();
  }

  /**
   * A request of docs/signalling.md, for what has no method here.
   * @param {string} t
   * @param {object} members
   * @param {{signal?: AbortSignal}} [options]
   */
  request(t, members, options) {
    return this.#signal.request(t, members, options);
  }

  /** @param {{state: Signal['state'], error?: Failure}} detail */
  #onState(detail) {
    // What was said while nobody could tell us.
    if (detail.state === 'online') for (const { chat } of this.rooms.values()) chat.catchUp().catch(() => {});
    if (detail.state === 'closed') {
      for (const publisher of [...this.publishers.values()]) publisher.endedByServer('complete');
      for (const room of this.rooms.values()) room.close();
      this.#viewer.close();
      this.devices.close();
    }
    this.emit('state', detail);
  }

  async #onRestarted() {
    this.#viewer.restart();
    const rooms = [...this.rooms.values()];
    await Promise.all(rooms.map((room) => room.rejoin().catch((error) => {
      if (error instanceof Failure && error.code === 'RESTARTED') return;
      this.rooms.delete(room.gid);
      room.onRemoved(error.code ?? 'ERROR');
    })));
    await Promise.all([...this.publishers.values()].map((publisher) => publisher.republish()));
  }

  /**
   * An admin sent us from one group to another: the room goes on as that one, and so does what we publish.
   * @param {number} gid
   * @param {number} to
   */
  async #onMoved(gid, to) {
    const room = this.rooms.get(gid);
    if (!room) return;
    this.rooms.delete(gid);
    const before = this.rooms.get(to);
    this.rooms.set(to, room);
    const ours = [...this.publishers.values()].filter(({ gids }) => gids.includes(gid));
    const moved = ours.map((publisher) => publisher.move(gid, to));
    try {
      await room.move(to);
      before?.close();
    } catch (error) {
      if (error instanceof Failure && error.code === 'RESTARTED') return;
      this.rooms.delete(to);
      room.onRemoved('MOVED');
    }
    await Promise.all(moved.map((follow) => follow()));
  }

  /** @param {any} message */
  #onMessage(message) {
    const room = this.rooms.get(message.gid);
    switch (message.t) {
      case 'roster': return room?.onRoster(message);
      case 'people': return room?.onPeople(message);
      case 'talking': return room?.onTalking(message.streams);
      case 'rights': return room?.onRights(message.rights, message.admin);
      case 'settings': return room?.onSettings(message);
      case 'limits':
        room?.onLimits(message.limits);
        for (const publisher of this.publishers.values()) publisher.limitsChanged();
        return undefined;
      case 'ends': return room?.onEnds(message.seconds);
      case 'asked': return room?.onAsked(message);
      case 'muted': {
        // The server drops it already; we fall silent too, and a click unmutes as ever.
        const { sid, audio, video } = message;
        this.publishers.get(sid)?.mute({ ...(audio && { audio }), ...(video && { video }) }).catch(() => {});
        return room?.onMuted(message);
      }
      case 'message': return room?.chat.onMessage(said(message));
      case 'status': return room?.chat.onStatus(message);
      case 'hands': return room?.chat.onHands(message);
      case 'reaction': return room?.chat.onReaction(message);
      case 'call': {
        const { gid, group, uid, name, address } = message;
        return this.emit('call', { gid, group, uid, name, address });
      }
      case 'removed': {
        // What we publish there ended with it.
        const why = message.reason === 'DURATION' ? 'duration' : 'complete';
        for (const publisher of [...this.publishers.values()]) if (publisher.gids.includes(message.gid)) publisher.endedByServer(why, message.gid);
        return room?.onRemoved(message.reason);
      }
      case 'moved': return this.#onMoved(message.gid, message.to);
      case 'offer': return this.#viewer.onOffer(message);
      case 'slots': return this.#viewer.onSlots(message.slots);
      case 'layer':
        return this.#viewer.views.get(View.key(message.gid, message.uid, message.sid))
          ?.setLayer({ width: message.width, height: message.height, why: message.why });
      case 'sound':
        for (const { gid, uid, sid, why } of message.streams) this.#viewer.views.get(View.key(gid, uid, sid))?.setSound(why);
        return undefined;
      case 'quality':
        if (message.watching) this.#viewer.setQuality(message);
        else this.publishers.get(message.sid)?.setQuality(message);
        return this.emit('quality', message);
      case 'layers': return this.publishers.get(message.sid)?.setLayers(message.active);
      case 'viewer': {
        this.publishers.get(message.sid)?.onViewer(message);
        return this.emit('viewer', message);
      }
      case 'ended':
        return this.publishers.get(message.sid)?.endedByServer(message.status === 0x4a ? 'notallowed' : 'complete', message.gid);
      default:
    }
  }
}

/** @param {any} message @returns {import('./types.js').Said} */
function said({ id, at, uid, name, to, text, file }) {
  return { id, at, uid, name, to, text, ...(file && { file }) };
}
