// SPDX-License-Identifier: Apache-2.0

import {
  MESIBOCALL_HANGUP_REASON_DURATION, MESIBOCALL_HANGUP_REASON_ERROR, MESIBOCALL_HANGUP_REASON_REMOTE, MESIBOCALL_HANGUP_REASON_USER,
  MESIBO_CALLSTATUS_COMPLETE, MESIBO_CALLSTATUS_QUALITY,
} from '../constants.js';
import { GroupCallParticipant, talkTimestamp } from './participant.js';

/** @import { Room } from '../room.js' */
/** @import { Stream } from '../stream.js' */
/** @import { View } from '../view.js' */
/** @import { GroupCall } from './groupcall.js' */
/** @import { Wish } from './participant.js' */

const MOST_PRIORITY = 255;

/** A stream of somebody else's, which we may view. */
export class RemoteParticipant extends GroupCallParticipant {
  #stream;
  /** @type {View | undefined} */
  #view;
  /** Ends with the call, the one that is under way included. @type {AbortController | undefined} */
  #called;
  /** How it ends where it is us who end it. */
  #end = { reason: MESIBOCALL_HANGUP_REASON_USER, status: MESIBO_CALLSTATUS_COMPLETE };
  /** @type {HTMLMediaElement | undefined} */
  #element;
  /** What the page says of its place on the screen. @type {{visible: boolean, fullscreen: boolean, priority: number} | undefined} */
  #visibility;
  /** As told last. */
  #muted;
  #source;

  /**
   * @param {GroupCall} group
   * @param {Stream} stream
   */
  constructor(group, stream) {
    super(group);
    this.#stream = stream;
    this.#muted = stream.muted;
    this.#source = stream.source;
    stream.on('talking', (talking) => this.tell('Talking', talking));
  }

  /** @override @protected */
  get who() {
    return this.#stream;
  }

  /** @override */
  isTalking() {
    return this.#stream.talking;
  }

  /** @override */
  getTalkTimestamp() {
    return talkTimestamp(this.#stream);
  }

  getVideoSource() {
    return this.#stream.source;
  }

  hasAudio() {
    return (this.#view?.media.getAudioTracks().length ?? 0) > 0;
  }

  hasVideo() {
    return (this.#view?.media.getVideoTracks().length ?? 0) > 0;
  }

  /** Width by height of what arrives; 0 while nothing does. */
  getAspectRatio() {
    const { width = 0, height = 0 } = this.#view?.layer ?? {};
    return height && width / height;
  }

  isCallInProgress() {
    return this.#called !== undefined;
  }

  isCallConnected() {
    return this.hasAudio() || this.hasVideo();
  }

  /** The roster says something else of the stream. */
  changed() {
    const { muted, source } = this.#stream;
    const before = { muted: this.#muted, source: this.#source };
    this.#muted = muted;
    this.#source = source;
    if (muted.audio !== before.muted.audio || muted.video !== before.muted.video) this.tell('Mute', muted.audio, muted.video, true);
    if (source !== before.source) this.tell('VideoSourceChanged', source, before.source);
  }

  /** @override */
  hangup() {
    this.end(MESIBOCALL_HANGUP_REASON_USER);
  }

  /**
   * @param {number} reason
   * @param {number} [status]
   */
  end(reason, status = MESIBO_CALLSTATUS_COMPLETE) {
    if (!this.#called) return;
    this.#end = { reason, status };
    if (this.#view) this.#view.close();
    else this.#over(this.#called, reason);
  }

  /**
   * Toggles our side: what we receive. With `remote` it asks the other end, which is an admin's right.
   * @override
   * @param {boolean} video
   * @param {boolean} [remote]
   */
  toggleMute(video, remote = false) {
    const kind = video ? 'video' : 'audio';
    const muted = this.muteStatus(video, remote);
    if (remote) {
      const { uid, sid } = this.#stream;
      const action = muted ? 'unmute' : 'mute';
      const asked = this.group.room?.moderate(action, { people: [uid], sid, [kind]: true });
      asked?.catch((error) => this.group.mesibo.notify('Mesibo_OnError', error));
      return muted;
    }
    if (!this.#view) return muted;
    this.#view.update({ [kind]: muted });
    this.tell('Mute', this.muteStatus(false), this.muteStatus(true), false);
    return !muted;
  }

  /**
   * @override
   * @param {boolean} video
   * @param {boolean} [remote]
   */
  muteStatus(video, remote = false) {
    const kind = video ? 'video' : 'audio';
    if (remote) return this.#stream.muted[kind];
    return this.#view ? !this.#view.wanted[kind] : false;
  }

  /**
   * What the page says of the stream's place on the screen. What is not visible is not sent; what fills the screen is sent as
   * large as the screen, whatever its element measures.
   * @param {boolean} visible
   * @param {boolean} [fullscreen]
   * @param {number} [priority] 0 to 255: where bandwidth is short, higher ones get more
   * @returns {boolean} whether it is in a call, and acts at once
   */
  setVisibility(visible, fullscreen = false, priority = 1) {
    this.#visibility = { visible, fullscreen, priority: Math.min(MOST_PRIORITY, Math.max(0, Math.round(priority))) };
    this.#view?.setVisibility(this.#visibility);
    return this.#view !== undefined;
  }

  /** @override @param {HTMLMediaElement} element @protected */
  show(element) {
    if (!this.#view) return undefined;
    if (this.#element && this.#element !== element) this.#view.detach(this.#element);
    this.#element = element;
    this.#view.setVisibility(this.#visibility ?? { visible: true });
    return this.#view.attach(element);
  }

  /** @override @protected */
  hide() {
    if (this.#element) this.#view?.detach(this.#element);
    this.#element = undefined;
    this.#view?.setVisibility({ ...this.#visibility, visible: false });
  }

  /** @override @param {Wish} wish @protected */
  begin(wish) {
    this.#called?.abort();
    const called = (this.#called = new AbortController());
    this.#end = { reason: MESIBOCALL_HANGUP_REASON_USER, status: MESIBO_CALLSTATUS_COMPLETE };
    this.group.enter(this.group.gid).then((room) => called.signal.aborted || this.#watch(wish, room, called)).catch((error) => {
      if (called.signal.aborted) return;
      this.#called = undefined;
      this.failed(wish, error);
    });
  }

  /**
   * @param {Wish} wish
   * @param {Room} room
   * @param {AbortController} called
   */
  #watch(wish, room, called) {
    const { options, elementId, onStream, onStatus } = wish;
    const stream = this.#stream;
    const tile = (elementId && document.getElementById(elementId)) || undefined;
    const view = room.watch(stream, { audio: options.audio ?? true, video: options.video ?? true, tile });
    this.#view = view;
    if (this.#visibility) view.setVisibility(this.#visibility);
    const had = { audio: false, video: false, any: false };
    const arrives = () => {
      const has = { audio: this.hasAudio(), video: this.hasVideo(), any: this.isCallConnected() };
      const first = has.any && !had.any;
      const news = { audio: has.audio && !had.audio, video: has.video !== had.video };
      Object.assign(had, { ...has, any: had.any || has.any });
      if (first) {
        this.arrived();
        onStream?.(this);
        this.connected(wish, true, stream.video);
      }
      if (news.audio) this.tell('Audio');
      if (news.video) this.tell('Video', this.getAspectRatio(), has.video);
    };
    view.on('media', arrives, called);
    let shape = 0;
    view.on('layer', () => {
      const now = this.getAspectRatio();
      if (!now || now === shape) return;
      shape = now;
      if (had.video) this.tell('Video', now, true);
    }, called);
    view.on('error', (error) => {
      called.abort();
      view.close();
      this.#called = undefined;
      this.#view = undefined;
      this.failed(wish, error);
    }, called);
    view.on('closed', () => {
      onStatus?.(this, stream.gone ? MESIBO_CALLSTATUS_COMPLETE : this.#end.status, stream.video);
      this.#over(called, this.#why());
    }, called);
    const { viewer } = this.group.client ?? {};
    viewer?.on('quality', ({ level }) => onStatus?.(this, MESIBO_CALLSTATUS_QUALITY, stream.video, level), called);
    viewer?.on('state', (state) => {
      if (state === 'disconnected' || state === 'failed') this.connected(wish, false, stream.video);
      if (state === 'connected' && had.any) this.connected(wish, true, stream.video);
    }, called);
    arrives();
  }

  /** Why the view was closed. */
  #why() {
    if (!this.#stream.gone) return this.#end.reason;
    if (this.group.client?.state === 'closed') return MESIBOCALL_HANGUP_REASON_ERROR;
    if (this.group.room?.removed === 'DURATION') return MESIBOCALL_HANGUP_REASON_DURATION;
    return MESIBOCALL_HANGUP_REASON_REMOTE;
  }

  /**
   * @param {AbortController} called
   * @param {number} reason
   */
  #over(called, reason) {
    called.abort();
    if (this.#called !== called) return;
    this.#called = undefined;
    this.#view = undefined;
    this.tell('Hangup', reason);
  }
}
