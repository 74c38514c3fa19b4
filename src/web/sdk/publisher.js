// SPDX-License-Identifier: Apache-2.0

import { captureCamera, captureScreen, formatConstraints } from './capture.js';
import { connection, statsOf } from './connection.js';
import { STREAM_CAMERA, STREAM_SCREEN } from './constants.js';
import { enumerate } from './devices.js';
import { Emitter } from './emitter.js';
import { layersOf, sameLayers, sizeOf } from './encodings.js';
import { Failure } from './failure.js';
import { codecWithin } from './limits.js';
import { Steering } from './steering.js';
import { sendPicture, sendSound } from './uplink.js';

/** @import { Layers } from './encodings.js' */
/** @import { EndReason, PublisherEvents, PublisherState, PublishOptions } from './publishing.js' */
/** @import { Codec, Format, LimitChanges, Media, Quality, Watching } from './types.js' */
/** @import { Signal } from './signal.js' */

/** @type {('audio' | 'video')[]} */
const KINDS = ['audio', 'video'];

/**
 * A stream that we publish, on a connection of its own.
 *
 * Events: `state` ('connecting', 'connected', 'reconnecting', 'ended'), `muted` (Media), `ended` ({reason, error}),
 * `viewer`, `quality`, `media` (MediaStream: it changed), `device` (a DeviceChange: another is captured, by `setDevice` or since the
 * last one went away), `source` ({source, before}: what the picture is of).
 * @extends {Emitter<PublisherEvents>}
 */
export class Publisher extends Emitter {
  sid;
  source;
  /** @type {PublisherState} */
  state = 'idle';
  /** What is captured, for a preview. */
  media = new MediaStream();
  /** @type {Media} */
  muted;
  /** What could not be opened. @type {{audio?: DOMException, video?: DOMException}} */
  errors = {};
  /** @type {Quality | undefined} */
  quality;
  /** @type {number[]} */
  gids;

  #signal;
  #options;
  /** What limits say of a stream in these groups. @type {(gids: number[]) => LimitChanges} */
  #limits;
  /** What was published last was in this codec ... @type {Codec} */
  #codec;
  /** ... and these layers. @type {Layers} */
  #layers = [];
  /** @type {RTCPeerConnection | undefined} */
  #pc;
  #steering = new Steering(() => ({ limits: this.#limitsNow(), media: this.media }));
  #ownsMedia = true;
  /** What is sent now; `muted` is what is asked for. @type {Media} */
  #on = { audio: true, video: true };
  /** @type {Promise<void>} */
  #settled = Promise.resolve();
  /** Whether the server was asked to publish it. */
  #asked = false;

  /**
   * @param {Signal} signal
   * @param {PublishOptions} options
   * @param {(gids: number[]) => LimitChanges} [limits]
   */
  constructor(signal, options, limits = () => ({})) {
    super();
    this.#signal = signal;
    this.#limits = limits;
    this.#options = { audio: true, video: true, ...options };
    this.#codec = options.codec ?? 'vp8';
    this.source = options.source ?? 'camera';
    this.sid = options.sid ?? (this.source === 'camera' ? 0 : 1);
    this.gids = options.gids ?? [];
    this.muted = { audio: false, video: false, ...options.muted };
  }

  /** The connection, for statistics. */
  get pc() {
    return this.#pc;
  }

  /** Captures and publishes. */
  start() {
    const started = this.#start();
    // What is muted meanwhile waits for the capture.
    this.#settled = started.then(() => this.#settle()).catch(() => {});
    return started;
  }

  async #start() {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    this.#enter('connecting');
    try {
      await this.#capture();
      signal?.throwIfAborted();
      await this.#publish();
    } catch (error) {
      // After a restart of the server every stream is published again anyway.
      if (error instanceof Failure && error.code === 'RESTARTED') return this;
      // Who gives up does not know how far the server got.
      if (signal?.aborted && this.#asked) await this.close();
      else this.#end('error', error);
      throw error;
    }
    return this;
  }

  /** Publishes anew on a fresh connection, with what is captured already. */
  async republish() {
    if (this.state === 'ended') return;
    this.#enter('reconnecting');
    try {
      await this.#publish();
    } catch (error) {
      if (error instanceof Failure && error.code === 'RESTARTED') return;
      this.#end('error', error);
    }
  }

  /**
   * Mutes or unmutes our side; what is not named stays as it is. What is asked for last holds, also while a device opens.
   * @param {Partial<Media>} wanted
   */
  async mute(wanted) {
    this.muted = { ...this.muted, ...wanted };
    this.emit('muted', this.muted);
    // Who falls silent is seen to at once; who speaks again, once the device is open.
    /** @type {Partial<Media>} */
    const silent = {};
    for (const kind of KINDS) if (wanted[kind]) silent[kind] = true;
    const told = this.#tell(silent);
    await Promise.all([told, this.#after(() => this.#settle())]);
  }

  /**
   * Changes the microphone or camera while the stream goes on: the one that is used stays until the other is open, and if that
   * cannot be opened. What is muted is opened when it is unmuted.
   * @param {'audio' | 'video'} kind
   * @param {string} deviceId
   * @param {{signal?: AbortSignal}} [options]
   */
  async setDevice(kind, deviceId, { signal } = {}) {
    signal?.throwIfAborted();
    if (!this.#ownsMedia) throw new Failure('BADARG', 'This media is your own: replace its tracks.');
    await this.#after(() => this.#switchDevice(kind, deviceId, signal));
  }

  /**
   * What the picture is of, from now on. The stream goes on, and its sound as it was; viewers need do nothing.
   * @param {'camera' | 'screen'} source
   * @param {{facing?: 'user' | 'environment', signal?: AbortSignal}} [options]
   */
  async setSource(source, { facing, signal } = {}) {
    signal?.throwIfAborted();
    if (!this.#ownsMedia) throw new Failure('BADARG', 'This media is your own: replace its tracks.');
    await this.#after(() => this.#switchSource(source, facing, signal));
  }

  /**
   * Captures and sends another size or rate of the picture from now on, as near to it as the device can.
   * @param {Format} format what is not named stays
   */
  async setFormat(format) {
    this.#options.format = { ...this.#options.format, ...format };
    await this.#after(() => this.#reformat());
  }

  /** What this stream sends: one entry a layer. */
  async stats() {
    return statsOf(this.#pc, 'outbound-rtp');
  }

  /** Ends the stream, everywhere. */
  async close() {
    if (this.state === 'ended') return;
    this.#end('closed');
    if (this.#signal.state !== 'closed') await this.#signal.request('unpublish', { sid: this.sid }).catch(() => {});
  }

  /**
   * Shows the stream in further groups: the same connection carries it to all of them.
   * @param {number[]} gids
   * @param {{signal?: AbortSignal}} [options]
   */
  async share(gids, options) {
    await this.#signal.request('share', { sid: this.sid, gids }, options);
    this.gids = [...new Set([...this.gids, ...gids])];
    this.limitsChanged();
  }

  /**
   * Ends the stream in one group; with the last one it ends.
   * @param {number} gid
   * @param {{signal?: AbortSignal}} [options]
   */
  async unshare(gid, options) {
    if (this.gids.every((other) => other === gid)) return this.close();
    this.gids = this.gids.filter((other) => other !== gid);
    await this.#signal.request('unpublish', { sid: this.sid, gid }, options);
    this.limitsChanged();
    return undefined;
  }

  /**
   * One of its groups is another one now. Answers what shows it there, once we are in it.
   * @param {number} from
   * @param {number} to
   * @returns {() => Promise<void>}
   */
  move(from, to) {
    const others = this.gids.filter((gid) => gid !== from);
    this.gids = [...new Set([...others, to])];
    if (others.includes(to)) return async () => {};
    // With its only group the server has ended the stream.
    return () => (others.length ? this.share([to]).catch(() => this.endedByServer('complete', to)) : this.republish());
  }

  /**
   * The server ended it, or knows nothing of it: in one group, or everywhere.
   * @param {'notallowed' | 'complete' | 'duration'} reason
   * @param {number} [gid]
   */
  endedByServer(reason, gid) {
    if (gid !== undefined) this.gids = this.gids.filter((other) => other !== gid);
    if (gid !== undefined && this.gids.length) this.limitsChanged();
    else this.#end(reason);
  }

  /** Limits of a group changed, or the groups did: the encoders follow. */
  limitsChanged() {
    if (this.state === 'ended') return;
    if (this.#steering.senders.video && codecWithin(this.#options.codec ?? 'vp8', this.#limits(this.gids)) !== this.#codec) {
      this.republish().catch(() => {});
      return;
    }
    this.#steering.steer();
  }

  /**
   * Which layers somebody wants, from the smallest: the others rest, and cost neither encoder nor uplink.
   * @param {boolean[]} active
   */
  setLayers(active) {
    this.#steering.wanted = active;
    this.#steering.steer();
  }

  /** Somebody began to watch this stream, or ceased to. @param {Watching} viewer */
  onViewer(viewer) {
    this.emit('viewer', viewer);
  }

  /** @param {Quality} quality */
  setQuality(quality) {
    this.quality = quality;
    this.emit('quality', quality);
  }

  async #capture() {
    const { stream, audio, video, signal } = this.#options;
    if (stream) {
      this.#ownsMedia = false;
      this.#options.audio = stream.getAudioTracks().length > 0;
      this.#options.video = stream.getVideoTracks().length > 0;
      for (const track of stream.getTracks()) this.#add(track);
      return;
    }
    // A muted camera is not opened: its lamp stays off.
    const wanted = { audio: audio && !this.muted.audio, video: video && !this.muted.video };
    if (this.source === 'screen') {
      const captured = await captureScreen({ audio, format: this.#options.format, signal });
      for (const track of captured.stream.getTracks()) this.#add(track);
      this.#options.audio = captured.stream.getAudioTracks().length > 0;
      this.emit('media', this.media);
      return;
    }
    this.#on = { audio: !this.muted.audio, video: !this.muted.video };
    for (const track of this.#options.preview?.getTracks() ?? []) {
      const kind = /** @type {'audio' | 'video'} */ (track.kind);
      if (!wanted[kind] || track.readyState === 'ended') {
        track.stop();
        continue;
      }
      this.#add(track);
      wanted[kind] = false;
    }
    if (wanted.audio || wanted.video) {
      const captured = await this.#openCamera(wanted, signal);
      this.errors = captured.errors;
      for (const track of captured.stream.getTracks()) this.#add(track);
      for (const kind of KINDS) {
        if (!captured.errors[kind]) continue;
        this.muted[kind] = true;
        this.#on[kind] = false;
      }
    }
    this.emit('media', this.media);
  }

  /**
   * @param {{audio?: boolean, video?: boolean}} wanted
   * @param {AbortSignal} [signal]
   */
  #openCamera(wanted, signal) {
    const { resolution, format, facing, audioDevice, videoDevice } = this.#options;
    return captureCamera({ ...wanted, resolution, format, facing, audioDevice, videoDevice, signal });
  }

  /** @param {MediaStreamTrack} track */
  #add(track) {
    // Who closes the stream while a device opens does not want it any more.
    if (this.state === 'ended' && this.#ownsMedia) return track.stop();
    this.media.addTrack(track);
    track.addEventListener('ended', () => this.#onTrackEnded(track));
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    this.media.removeTrack(track);
    if (this.#ownsMedia) track.stop();
  }

  /** @param {MediaStreamTrack} track */
  #onTrackEnded(track) {
    if (this.state === 'ended' || !this.media.getTracks().includes(track)) return;
    if (this.source === 'screen' && this.#options.source === 'screen') this.close().then(() => {});
    // A screen that took the camera's place gives it back.
    else if (this.source === 'screen' && track.kind === 'video') this.setSource('camera').catch(() => this.close());
    else if (!this.#ownsMedia) this.mute({ [track.kind]: true }).catch(() => {});
    else this.#after(() => this.#onDeviceLost(track)).catch(() => {});
  }

  /** A device went away: another takes its place. Where there is none we are muted, and the page is told. @param {MediaStreamTrack} track */
  async #onDeviceLost(track) {
    const kind = /** @type {'audio' | 'video'} */ (track.kind);
    if (this.state === 'ended' || !this.media.getTracks().includes(track)) return;
    this.#remove(track);
    const lost = track.label;
    if (this.muted[kind]) return this.emit('device', { kind, lost });
    const { deviceId } = track.getSettings();
    const option = kind === 'audio' ? 'audioDevice' : 'videoDevice';
    const there = await enumerate();
    // A device that is still there only failed, and may be had again.
    if (!there.some((device) => device.kind === kind && device.deviceId === deviceId)) this.#options[option] = undefined;
    try {
      await this.#open(kind, { lost });
    } catch (error) {
      this.#options[option] = undefined;
      this.errors[kind] = /** @type {DOMException} */ (error);
      this.emit('device', { kind, lost, error });
      // What waits behind us in line is not waited for.
      this.mute({ [kind]: true }).catch(() => {});
    }
  }

  async #publish() {
    if (this.state === 'ended') throw new Failure('CLOSED', 'The stream was closed.');
    this.#pc?.close();
    const pc = connection({
      state: (state) => {
        if (pc !== this.#pc) return;
        if (state === 'connected') this.#enter('connected');
        else if (state === 'disconnected' || state === 'failed') this.#enter('reconnecting');
      },
      lost: (times) => pc === this.#pc && this.#onLost(times),
    });
    this.#pc = pc;
    this.#steering.reset();
    const { audio, video } = this.#options;
    if (audio) this.#steering.senders.audio = sendSound(pc, this.media, this.#options.redundancy);
    if (video) {
      this.#codec = codecWithin(this.#options.codec ?? 'vp8', this.#limits(this.gids));
      const { encodings, layers } = this.#plan();
      this.#layers = layers;
      this.#steering.planned = encodings;
      this.#steering.senders.video = sendPicture(pc, this.media, { encodings, codec: this.#codec });
    }
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    this.#asked = true;
    const answer = await this.#signal.request('publish', {
      gids: this.gids,
      sid: this.sid,
      source: this.source === 'camera' ? STREAM_CAMERA : STREAM_SCREEN,
      ...(this.#options.name && { name: this.#options.name }),
      sdp: offer.sdp,
      muted: this.muted,
      ...(this.#layers.length && { layers: this.#layers }),
    }, { signal: this.state === 'connecting' ? this.#options.signal : undefined });
    if (pc !== this.#pc) return;
    await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    this.#steering.steer();
  }

  /** The layers of what is captured now, or will be. */
  #plan() {
    const { resolution, simulcast, scalabilityMode } = this.#options;
    const [track] = this.media.getVideoTracks();
    return layersOf({ ...sizeOf(track, resolution), simulcast, scalabilityMode, codec: this.#codec, camera: this.source === 'camera' });
  }

  /** @param {number} times */
  async #onLost(times) {
    if (this.#signal.state !== 'online') return;
    this.#enter('reconnecting');
    if (times > 1) return this.republish();
    const pc = this.#pc;
    if (!pc) return;
    try {
      const offer = await pc.createOffer({ iceRestart: true });
      await pc.setLocalDescription(offer);
      const answer = await this.#signal.request('restart', { sid: this.sid, sdp: offer.sdp });
      if (pc === this.#pc) await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    } catch {
      if (pc === this.#pc) await this.republish();
    }
  }

  /** @param {Partial<Media>} muted */
  async #tell(muted) {
    // Before it is published nobody has it; publishing says what is muted.
    if (this.state !== 'ended' && this.#asked && Object.keys(muted).length) await this.#signal.request('mute', { sid: this.sid, ...muted });
  }

  /** What limits say of this stream now. */
  #limitsNow() {
    const limits = this.#limits(this.gids);
    const { frameRate } = this.#options.format ?? {};
    return frameRate ? { ...limits, maxFps: Math.min(frameRate, limits.maxFps ?? Infinity) } : limits;
  }

  /**
   * Changes of devices come one after the other.
   * @template T
   * @param {() => Promise<T>} change
   */
  #after(change) {
    const changed = this.#settled.then(change);
    this.#settled = changed.then(() => {}, () => {});
    return changed;
  }

  /** Brings the devices to what was asked for last. */
  async #settle() {
    const failed = [];
    for (const kind of KINDS) {
      const on = !this.muted[kind];
      if (this.#on[kind] === on || this.state === 'ended') continue;
      try {
        await (kind === 'video' ? this.#switchVideo(on) : this.#switchAudio(on));
        this.#on[kind] = on;
        if (on && !this.muted[kind]) await this.#tell({ [kind]: false });
      } catch (error) {
        failed.push(error);
        if (this.#on[kind] === on) continue;
        // A device that cannot be had leaves us muted, as the others have it already.
        this.muted = { ...this.muted, [kind]: true };
        this.emit('muted', this.muted);
      }
    }
    if (failed.length) throw failed[0];
  }

  /** @param {boolean} on */
  async #switchVideo(on) {
    const track = this.media.getVideoTracks()[0];
    if (on) {
      if (!track) await this.#open('video');
      else await this.#steering.senders.video?.replaceTrack(track);
      return;
    }
    await this.#steering.senders.video?.replaceTrack(null);
    // A camera is let go; a screen or a stream of the caller's stays, since it cannot be had again without asking.
    if (track && this.#ownsMedia && this.source === 'camera') this.#remove(track);
    this.emit('media', this.media);
  }

  /** @param {boolean} on */
  async #switchAudio(on) {
    const track = this.media.getAudioTracks()[0];
    if (on && !track) return this.#open('audio');
    if (track) track.enabled = on;
    await this.#steering.senders.audio?.replaceTrack(on && track ? track : null);
  }

  /**
   * @param {'audio' | 'video'} kind
   * @param {string} deviceId
   * @param {AbortSignal} [signal]
   */
  async #switchDevice(kind, deviceId, signal) {
    const option = kind === 'audio' ? 'audioDevice' : 'videoDevice';
    const { [option]: before, facing } = this.#options;
    this.#options[option] = deviceId;
    // A camera that is named is not one that faces somewhere.
    if (kind === 'video') this.#options.facing = undefined;
    const restore = () => Object.assign(this.#options, { [option]: before, facing });
    const old = this.media.getTracks().find((track) => track.kind === kind);
    if (!old || this.source === 'screen') return;
    if (this.muted[kind]) return this.#remove(old);
    try {
      await this.#open(kind, { old, signal });
    } catch (error) {
      if (!signal?.aborted && /** @type {Error} */ (error).name === 'NotReadableError') {
        // Telephones open one camera at a time.
        this.#remove(old);
        try {
          return await this.#open(kind, { signal });
        } catch {
          restore();
          await this.#open(kind).catch(() => void this.mute({ [kind]: true }).catch(() => {}));
          throw error;
        }
      }
      restore();
      throw error;
    }
  }

  /**
   * @param {'camera' | 'screen'} source
   * @param {'user' | 'environment'} [facing]
   * @param {AbortSignal} [signal]
   */
  async #switchSource(source, facing, signal) {
    if (this.state === 'ended') return;
    const [before, faced] = [this.source, this.#options.facing];
    if (source === 'camera') this.#options.facing = facing;
    const opening = source === 'screen' ? captureScreen({ format: this.#options.format, signal }) : this.#openCamera({ video: true }, signal);
    const { stream } = await opening.catch((error) => {
      this.#options.facing = faced;
      throw error;
    });
    const old = this.media.getVideoTracks()[0];
    if (old) this.#remove(old);
    for (const track of stream.getVideoTracks()) this.#add(track);
    this.source = source;
    this.#options.video = true;
    this.#on.video = true;
    this.muted = { ...this.muted, video: false };
    this.emit('media', this.media);
    // The encodings of the other, and what the roster says of it.
    await this.republish();
    this.emit('source', { source, before });
  }

  async #reformat() {
    const track = this.media.getVideoTracks()[0];
    if (!track || this.state === 'ended') return;
    const before = track.getSettings();
    await track.applyConstraints(formatConstraints(this.#options.format ?? {}));
    const { width, height } = track.getSettings();
    // Another size has other layers, which are negotiated.
    if (width !== before.width || height !== before.height) await this.republish();
    else this.limitsChanged();
  }

  /**
   * Captures and sends; what was sent before goes once this one does.
   * @param {'audio' | 'video'} kind
   * @param {{old?: MediaStreamTrack, lost?: string, signal?: AbortSignal}} [instead]
   */
  async #open(kind, { old, lost, signal } = {}) {
    const { stream } = await this.#openCamera({ [kind]: true }, signal);
    const track = stream.getTracks()[0];
    if (!track) return;
    await this.#steering.senders[kind]?.replaceTrack(track);
    if (old) this.#remove(old);
    this.#add(track);
    delete this.errors[kind];
    this.emit('media', this.media);
    const { deviceId } = track.getSettings();
    if (old || lost !== undefined) this.emit('device', { kind, deviceId, label: track.label, ...(lost !== undefined && { lost }) });
    if (kind === 'audio') return;
    // The layers are of the picture's size; those of another are negotiated.
    if (this.#asked && !sameLayers(this.#layers, this.#plan().layers)) await this.republish();
    else this.#steering.steer();
  }

  /** @param {Publisher['state']} state */
  #enter(state) {
    if (this.state === state || this.state === 'ended') return;
    this.state = state;
    this.emit('state', state);
  }

  /**
   * @param {EndReason} reason
   * @param {unknown} [error]
   */
  #end(reason, error) {
    if (this.state === 'ended') return;
    this.#enter('ended');
    this.#pc?.close();
    if (this.#ownsMedia) for (const track of this.media.getTracks()) track.stop();
    this.emit('ended', { reason, error });
  }
}
