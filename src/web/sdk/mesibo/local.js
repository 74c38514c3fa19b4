// SPDX-License-Identifier: Apache-2.0

import {
  MESIBOCALL_HANGUP_REASON_DURATION, MESIBOCALL_HANGUP_REASON_ERROR, MESIBOCALL_HANGUP_REASON_REMOTE, MESIBOCALL_HANGUP_REASON_USER,
  MESIBOCALL_VIDEOSOURCE_CAMERAREAR, MESIBO_CALLSTATUS_CANCEL, MESIBO_CALLSTATUS_COMPLETE, MESIBO_CALLSTATUS_NOTALLOWED,
  MESIBO_CALLSTATUS_QUALITY, STREAM_CAMERA, STREAM_SCREEN,
} from '../constants.js';
import { Failure } from '../failure.js';
import { GroupCallParticipant } from './participant.js';

/** @import { Publisher } from '../publisher.js' */
/** @import { Format, Media } from '../types.js' */
/** @import { GroupCall } from './groupcall.js' */
/** @import { Who, Wish } from './participant.js' */

/**
 * How a stream of ours ended that we did not hang up. `closed`: with the browser's own button for a screen.
 * @type {Record<string, number>}
 */
const STATUS_OF = { closed: MESIBO_CALLSTATUS_CANCEL, notallowed: MESIBO_CALLSTATUS_NOTALLOWED };
/** @type {Record<string, number>} */
const REASON_OF = { closed: MESIBOCALL_HANGUP_REASON_USER, duration: MESIBOCALL_HANGUP_REASON_DURATION };

/**
 * A publisher of ours. It is one stream: of a camera, or of a screen. Where a page calls it for another source as well (which the earlier
 * surface allows), that source is a stream of its own beside it, with a participant of its own, which its callbacks are given. What is done to
 * the publisher reaches all of its streams; what is done to the other one reaches that alone.
 */
export class LocalParticipant extends GroupCallParticipant {
  #sid;
  #name;
  #address;
  #source = STREAM_CAMERA;
  /** @type {Format} */
  #format = {};
  /** What starts muted. @type {Media} */
  #muted = { audio: false, video: false };
  /** Our streams of other sources. @type {Map<number, LocalParticipant>} */
  #others = new Map();
  /** @type {Publisher | undefined} */
  #publisher;
  /** Ends with the call, the one that is under way included. @type {AbortController | undefined} */
  #called;
  /** @type {Wish | undefined} */
  #wish;
  /** @type {HTMLMediaElement | undefined} */
  #element;
  #connected = false;
  #mutedByAdmin = false;

  /**
   * @param {GroupCall} group
   * @param {{sid?: number, name?: string, address?: string}} init
   */
  constructor(group, { sid = 0, name = '', address = '' }) {
    super(group);
    this.#sid = sid;
    this.#name = name;
    this.#address = address;
  }

  /** @returns {Who} @override @protected */
  get who() {
    const self = this.group.client?.self;
    return { uid: self?.uid ?? 0, sid: this.#sid, name: this.#name || (self?.name ?? ''), address: this.#address || (self?.address ?? '') };
  }

  /** @override */
  isLocal() {
    return true;
  }

  /** @override */
  isTalking() {
    return this.#called !== undefined && (this.group.room?.selfTalking ?? false);
  }

  /** @override */
  getTalkTimestamp() {
    return this.isTalking() ? Date.now() : this.group.selfTalkedAt;
  }

  /** @param {string} name what others see, from the next call on */
  setName(name) {
    this.#name = name;
  }

  hasAudio() {
    return (this.#publisher?.media.getAudioTracks().length ?? 0) > 0;
  }

  hasVideo() {
    return (this.#publisher?.media.getVideoTracks().length ?? 0) > 0;
  }

  getAspectRatio() {
    const { width = 0, height = 0 } = this.#publisher?.media.getVideoTracks()[0]?.getSettings() ?? {};
    return height && width / height;
  }

  isCallInProgress() {
    return this.#called !== undefined;
  }

  isCallConnected() {
    return this.#connected;
  }

  /** @override */
  hangup() {
    this.end(MESIBOCALL_HANGUP_REASON_USER);
  }

  /** @param {number} reason */
  end(reason) {
    for (const part of this.#parts()) part.#stop(reason);
  }

  /**
   * Toggles what we send.
   * @override
   * @param {boolean} video
   * @param {boolean} [remote]
   */
  toggleMute(video, remote = false) {
    const muted = !this.muteStatus(video, remote);
    for (const part of this.#parts()) part.#mute(video ? 'video' : 'audio', muted);
    return muted;
  }

  /**
   * Whether nothing of it is sent.
   * @override
   * @param {boolean} video
   * @param {boolean} [_remote]
   */
  muteStatus(video, _remote = false) {
    const kind = video ? 'video' : 'audio';
    const live = this.#parts().filter((part) => part.#sends(kind));
    return (live.length ? live : [this]).every((part) => part.#media[kind]);
  }

  getVideoSource() {
    return this.#source;
  }

  /**
   * What the picture is of; sound stays as it is. In a call it is switched at once, and viewers go on watching.
   * @param {number} source a `MESIBOCALL_VIDEOSOURCE_` or `STREAM_`
   */
  setVideoSource(source) {
    const before = this.#source;
    const next = source || STREAM_CAMERA;
    this.#source = next;
    if (before === next || !this.#publisher) return;
    this.#publisher.setSource(sourceOf(next), { facing: facingOf(next) }).catch((error) => {
      // What is shown goes on.
      this.#source = before;
      this.group.mesibo.notify('Mesibo_OnError', error);
    });
  }

  /** Switches between camera and screen. */
  switchSource() {
    this.setVideoSource(this.#source === STREAM_SCREEN ? STREAM_CAMERA : STREAM_SCREEN);
  }

  /**
   * Captures and sends the picture in this format, from now on: as near to it as the device can.
   * @param {number} width
   * @param {number} height
   * @param {number} [fps]
   */
  changeVideoFormat(width, height, fps) {
    this.#format = { width, height, ...(fps && { frameRate: fps }) };
    for (const part of this.#parts()) {
      part.#format = this.#format;
      part.#publisher?.setFormat(this.#format).catch((error) => this.group.mesibo.notify('Mesibo_OnError', error));
    }
  }

  /** What an admin muted is told as the other side's doing. @param {number} sid */
  mutedByAdmin(sid) {
    for (const part of this.#parts()) if (part.#sid === sid) part.#mutedByAdmin = true;
  }

  /** We began or ceased to talk. @param {boolean} talking */
  talks(talking) {
    if (this.#sends('audio')) this.tell('Talking', talking);
  }

  /** @override @param {HTMLMediaElement} element @protected */
  show(element) {
    const live = this.#parts().filter((one) => one.#shown);
    const part = live.find((one) => element.id && one.#elementId === element.id) ?? live[0];
    if (!part) return undefined;
    const media = part.#shown;
    if (!media) return undefined;
    part.#element = element;
    element.muted = true;
    if (element.srcObject !== media) element.srcObject = media;
    const played = element.play().catch(() => {});
    // Nothing is played while what is muted is not captured, but it is in its place.
    return media.getTracks().length ? played : Promise.resolve();
  }

  /** @override @protected */
  hide() {
    if (this.#element) this.#element.srcObject = null;
    this.#element = undefined;
  }

  /** @override @param {Wish} wish @protected */
  begin(wish) {
    const source = wish.later ? this.#source : wish.options.source || STREAM_CAMERA;
    const part = wish.later ? this : this.#partOf(source);
    part.#source = source;
    part.#publish(wish);
  }

  /** This stream of ours, and those of other sources. */
  #parts() {
    return [this, ...this.#others.values()];
  }

  /** Which of them a source is. @param {number} source */
  #partOf(source) {
    const other = this.#others.get(source);
    if (other) return other;
    const free = !this.#called || this.#source === source;
    if (free && (this.#sid > 0 || source !== STREAM_SCREEN)) return this;
    const beside = new LocalParticipant(this.group, { sid: this.#sid + 1, name: this.#name, address: this.#address });
    beside.listener = this.listener;
    beside.#format = this.#format;
    this.#others.set(source, beside);
    return beside;
  }

  /** What the page called it for. */
  get #elementId() {
    return this.#wish?.elementId;
  }

  get #shown() {
    return this.#publisher?.media;
  }

  /** What is muted of it. */
  get #media() {
    return this.#publisher?.muted ?? this.#muted;
  }

  /** @param {'audio' | 'video'} kind */
  #sends(kind) {
    if (!this.#called) return false;
    if (!(this.#wish?.options[kind] ?? true)) return false;
    // Whether a screen has sound is known when it is captured.
    return this.#source !== STREAM_SCREEN || !this.#publisher || this.#publisher.media.getTracks().some((track) => track.kind === kind);
  }

  /**
   * @param {'audio' | 'video'} kind
   * @param {boolean} muted
   */
  #mute(kind, muted) {
    if (!this.#publisher) this.#muted = { ...this.#muted, [kind]: muted };
    else if (this.#sends(kind)) this.#publisher.mute({ [kind]: muted }).catch((error) => this.group.mesibo.notify('Mesibo_OnError', error));
  }

  /** Publishes; what was live here is replaced, and says no more. @param {Wish} wish */
  #publish(wish) {
    this.#called?.abort();
    const called = (this.#called = new AbortController());
    this.#wish = wish;
    this.#connected = false;
    this.#start(wish, called).catch((error) => {
      if (this.#over(called)) this.failed(wish, error);
    });
  }

  /**
   * @param {Wish} wish
   * @param {AbortController} called
   */
  async #start(wish, called) {
    const { options, onStream, onStatus } = wish;
    const { audio = true, video = true } = options;
    const gids = [options.groupid ?? this.group.gid].flat().map(Number);
    await Promise.all(gids.map((gid) => this.group.enter(gid)));
    const { client } = this.group;
    if (called.signal.aborted) return;
    if (!client) throw new Failure('OFFLINE', 'Call start() first.');
    const publisher = client.publisher({
      gids,
      sid: this.#sid,
      source: sourceOf(this.#source),
      facing: facingOf(this.#source),
      format: this.#format,
      name: options.name || this.#name || undefined,
      audio,
      video,
      muted: this.#muted,
    });
    this.#publisher = publisher;
    publisher.on('state', (state) => {
      if (state !== 'connected' && state !== 'reconnecting') return;
      this.#connected = state === 'connected';
      this.connected(wish, this.#connected, video);
    }, called);
    publisher.on('quality', ({ level }) => onStatus?.(this, MESIBO_CALLSTATUS_QUALITY, video, level), called);
    publisher.on('media', () => {
      this.arrived();
      onStream?.(this);
      if (this.hasAudio()) this.tell('Audio');
      this.tell('Video', this.getAspectRatio(), this.hasVideo());
    }, called);
    publisher.on('muted', () => queueMicrotask(() => {
      const { audio: noAudio, video: noVideo } = publisher.muted;
      this.tell('Mute', noAudio, noVideo, this.#mutedByAdmin);
      this.#mutedByAdmin = false;
    }), called);
    publisher.on('source', ({ source, before }) => {
      // The browser's own button may have ended the screen.
      if (sourceOf(this.#source) !== source) this.#source = source === 'screen' ? STREAM_SCREEN : STREAM_CAMERA;
      this.tell('VideoSourceChanged', this.#source, before === 'screen' ? STREAM_SCREEN : STREAM_CAMERA);
    }, called);
    publisher.on('ended', ({ reason, error }) => {
      if (!this.#over(called)) return;
      if (reason === 'error') return this.failed(wish, error);
      onStatus?.(this, STATUS_OF[reason] ?? MESIBO_CALLSTATUS_COMPLETE, video);
      const lost = client.state === 'closed' ? MESIBOCALL_HANGUP_REASON_ERROR : MESIBOCALL_HANGUP_REASON_REMOTE;
      this.tell('Hangup', REASON_OF[reason] ?? lost);
    }, called);
    await publisher.start();
  }

  /** @param {number} reason */
  #stop(reason) {
    const [called, publisher, wish] = [this.#called, this.#publisher, this.#wish];
    if (!called || !wish) return;
    this.#over(called);
    publisher?.close();
    wish.onStatus?.(this, MESIBO_CALLSTATUS_COMPLETE, wish.options.video ?? true);
    this.tell('Hangup', reason);
  }

  /**
   * A call ended. False if it was ended before.
   * @param {AbortController} called
   */
  #over(called) {
    if (this.#called !== called) return false;
    called.abort();
    this.#called = undefined;
    this.#publisher = undefined;
    this.#connected = false;
    this.#muted = { audio: false, video: false };
    return true;
  }
}

/** @param {number} source @returns {'camera' | 'screen'} */
function sourceOf(source) {
  return source === STREAM_SCREEN ? 'screen' : 'camera';
}

/** @param {number} source */
function facingOf(source) {
  return source === MESIBOCALL_VIDEOSOURCE_CAMERAREAR ? 'environment' : undefined;
}
