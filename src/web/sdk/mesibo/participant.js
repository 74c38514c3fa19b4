// SPDX-License-Identifier: Apache-2.0

import {
  MESIBOCALL_HANGUP_REASON_ERROR, MESIBO_CALLSTATUS_CANCEL, MESIBO_CALLSTATUS_CHANNELUP, MESIBO_CALLSTATUS_COMPLETE,
  MESIBO_CALLSTATUS_NOTALLOWED, MESIBO_CALLSTATUS_RECONNECTING,
} from '../constants.js';
import { notify } from './listener.js';

/** @import { GroupCall } from './groupcall.js' */

/**
 * @typedef {object} CallOptions
 * @property {number} [peer]
 * @property {string} [name]
 * @property {number | number[]} [groupid] the same stream is shown in several groups
 * @property {number} [source] `STREAM_CAMERA` or `STREAM_SCREEN`
 * @property {boolean} [audio]
 * @property {boolean} [video]
 */
/**
 * @typedef {(participant: GroupCallParticipant) => void} OnStream
 * @typedef {(participant: GroupCallParticipant, status: number, video: boolean, quality?: number) => void} OnStatus
 * @typedef {{uid: number, sid: number, name: string, address: string}} Who
 * @typedef {{options: CallOptions, elementId?: string, onStream?: OnStream, onStatus?: OnStatus, later: boolean}} Wish
 */

/**
 * When somebody talked last, in milliseconds since 1970; 0 for never.
 * @param {{talking: boolean, talkedAt: number}} stream `talkedAt` by `performance.now()`
 */
export function talkTimestamp({ talking, talkedAt }) {
  if (talking) return Date.now();
  // The two clocks differ by what the system's was set meanwhile.
  return talkedAt && Math.min(Date.now(), Math.round(performance.timeOrigin + talkedAt));
}

/**
 * Somebody's stream in a call: what all kinds of participants have in common. Both surfaces are on it, the earlier one
 * with callbacks (`call(options, elementId, onStream, onStatus)`, `attach`), and the later one with a listener
 * (`call(audio, video, listener)`, `setVideoView`).
 */
export class GroupCallParticipant {
  /** @protected */
  group;
  /** Gets what becomes of the stream; without one the call's does. @type {object | undefined} @protected */
  listener;
  /** @type {unknown} */
  #data;
  /** @type {string | HTMLMediaElement | undefined} */
  #place;

  /** @param {GroupCall} group */
  constructor(group) {
    this.group = group;
  }

  /** @returns {Who} @protected */
  get who() {
    return { uid: 0, sid: 0, name: '', address: '' };
  }

  isLocal() {
    return false;
  }

  isMe() {
    return this.isLocal();
  }

  getId() {
    return this.who.uid;
  }

  getUid() {
    return this.who.uid;
  }

  /** The stream's `sid`. */
  getType() {
    return this.who.sid;
  }

  getSid() {
    return this.who.sid;
  }

  getName() {
    return this.who.name;
  }

  getAddress() {
    return this.who.address;
  }

  isTalking() {
    return false;
  }

  /** When it talked last, in milliseconds since 1970; 0 if it never did. */
  getTalkTimestamp() {
    return 0;
  }

  /** @param {unknown} data anything of the page's own */
  setUserData(data) {
    this.#data = data;
  }

  getUserData() {
    return this.#data;
  }

  /** @param {object} listener gets `MesiboGroupcall_On…` of this stream */
  setListener(listener) {
    this.listener = listener;
  }

  /**
   * Publishes (ours) or views (another's), in either way of speaking. Before we are online it waits.
   *
   * @overload
   * @param {CallOptions | null} options
   * @param {string | null} elementId
   * @param {OnStream} [onStream]
   * @param {OnStatus} [onStatus]
   * @returns {void}
   *
   * @overload
   * @param {boolean} [audio]
   * @param {boolean} [video]
   * @param {object} [listener]
   * @returns {void}
   *
   * @param {...any} values
   */
  call(...values) {
    const [first, second, third, fourth] = values;
    const later = typeof second !== 'string' && typeof first !== 'object';
    /** @type {Wish} */
    const wish = later
      ? { options: { audio: first ?? true, video: second ?? true }, later }
      : { options: first ?? {}, elementId: second ?? undefined, onStream: third, onStatus: fourth, later };
    if (later && third) this.listener = third;
    this.begin(wish);
  }

  /** @param {Wish} _wish @protected */
  begin(_wish) {}

  /** Ends what was called. */
  hangup() {}

  /**
   * @param {boolean} _video
   * @param {boolean} [_remote]
   * @returns {boolean} whether it is muted now
   */
  toggleMute(_video, _remote = false) {
    return false;
  }

  /**
   * @param {boolean} _video
   * @param {boolean} [_remote] the other end's side
   * @returns {boolean}
   */
  muteStatus(_video, _remote = false) {
    return false;
  }

  toggleAudioMute() {
    return this.toggleMute(false);
  }

  toggleVideoMute() {
    return this.toggleMute(true);
  }

  /**
   * Whether nothing is to be heard (or seen), whichever side muted it.
   * @param {boolean} video
   */
  getMuteStatus(video) {
    return this.muteStatus(video) || this.muteStatus(video, true);
  }

  /**
   * Shows the stream in an element, trying again until there are both.
   * @param {string | HTMLMediaElement} view the element, or its id
   * @param {(ok: boolean) => void} [onAttached]
   * @param {number} [retryMs]
   * @param {number} [maxRetries]
   */
  attach(view, onAttached, retryMs = 100, maxRetries = 50) {
    const element = typeof view === 'string' ? document.getElementById(view) : view;
    const shown = element instanceof HTMLMediaElement ? this.show(element) : undefined;
    if (shown) shown.then(() => onAttached?.(true));
    else if (maxRetries <= 0) onAttached?.(false);
    else setTimeout(() => this.attach(view, onAttached, retryMs, maxRetries - 1), retryMs);
  }

  /**
   * The element for the stream, from now on: it is shown there as soon as there is something to show. Without one it is
   * shown nowhere, and nothing is sent for it.
   * @param {string | HTMLMediaElement | null} view the element, or its id
   * @param {(ok: boolean) => void} [onSet]
   * @param {number} [retryMs]
   * @param {number} [maxRetries]
   */
  setVideoView(view, onSet, retryMs, maxRetries) {
    this.#place = view ?? undefined;
    if (view) this.attach(view, onSet, retryMs, maxRetries);
    else this.hide();
  }

  /** There is something to show. @protected */
  arrived() {
    if (this.#place) this.attach(this.#place);
  }

  /**
   * Plays the stream in an element, if there is a stream.
   * @param {HTMLMediaElement} _element
   * @returns {Promise<unknown> | undefined}
   * @protected
   */
  show(_element) {
    return undefined;
  }

  /** Shows it nowhere. @protected */
  hide() {}

  /**
   * Tells the participant's listener, or the call's.
   * @param {string} name
   * @param {...unknown} values
   * @protected
   */
  tell(name, ...values) {
    notify(this.listener ?? this.group.listener, `MesiboGroupcall_On${name}`, this, ...values);
  }

  /**
   * What connects, is lost, and is found again is told both ways.
   * @param {Wish} wish
   * @param {boolean} up
   * @param {boolean} video
   * @protected
   */
  connected({ onStatus }, up, video) {
    onStatus?.(this, up ? MESIBO_CALLSTATUS_CHANNELUP : MESIBO_CALLSTATUS_RECONNECTING, video);
    this.tell('Connected', up);
  }

  /**
   * What could not begin, or broke.
   * @param {Wish} wish
   * @param {any} error
   * @protected
   */
  failed({ onStatus }, error) {
    const denied = error?.code === 'NOTALLOWED';
    const cancelled = error?.name === 'NotAllowedError' || error?.name === 'NotFoundError';
    onStatus?.(this, denied ? MESIBO_CALLSTATUS_NOTALLOWED : cancelled ? MESIBO_CALLSTATUS_CANCEL : MESIBO_CALLSTATUS_COMPLETE, false);
    this.tell('Hangup', MESIBOCALL_HANGUP_REASON_ERROR);
    this.group.mesibo.notify('Mesibo_OnError', error);
  }
}
