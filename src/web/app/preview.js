// SPDX-License-Identifier: Apache-2.0

import { captureCamera } from '../sdk/capture.js';
import { deviceProblem, fillDevices, meterOf } from './devices.js';
import { element, setSwitch } from './dom.js';
import { browser } from './storage.js';

/** @typedef {'audio' | 'video'} Kind */
const KINDS = /** @type {const} */ (['audio', 'video']);
const WORDS = { audio: 'microphone', video: 'camera' };

/** A look at oneself before others have it: the picture, how loud one is, and which devices. */
export class Preview {
  #video = /** @type {HTMLVideoElement} */ (element('preview-video'));
  #level = element('preview-level');
  #selects = {
    audio: /** @type {HTMLSelectElement} */ (element('audio-device')),
    video: /** @type {HTMLSelectElement} */ (element('video-device')),
  };
  /** What shall be on. */
  #on = { audio: true, video: true };
  /** What is captured. @type {Partial<Record<Kind, MediaStreamTrack>>} */
  #tracks = {};
  /** What could not be. @type {Partial<Record<Kind, unknown>>} */
  #errors = {};
  /** Whether the browser may be asked for devices: once somebody wanted to look, or it was allowed before. */
  #looking = false;
  /** One capture after the other: browsers give a device to one at a time. */
  #queue = Promise.resolve();
  #open = false;
  /** @type {MediaStreamTrack | undefined} */
  #metered;
  #stopMeter = () => {};

  constructor() {
    element('preview-start').addEventListener('click', () => {
      this.#looking = true;
      this.#errors = {};
      this.#renew();
    });
    element('preview-mic').addEventListener('click', () => this.#switch('audio', 'mic'));
    element('preview-cam').addEventListener('click', () => this.#switch('video', 'cam'));
    for (const kind of KINDS) {
      this.#selects[kind].addEventListener('change', () => {
        browser.set(`${kind}-device`, this.#selects[kind].value);
        this.#stop(kind);
        delete this.#errors[kind];
        this.#renew();
      });
    }
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#open && this.#looking && this.#renew());
  }

  open() {
    this.#open = true;
    this.#on = { audio: browser.get('mic') ?? true, video: browser.get('cam') ?? true };
    this.#errors = {};
    this.#paint();
    this.#lookIfAllowed();
  }

  /** Ends the capture. */
  close() {
    this.#open = false;
    for (const kind of KINDS) this.#stop(kind);
    this.#paint();
  }

  /** What was chosen; the tracks are clones, so that a refused attempt leaves the preview as it is. */
  chosen() {
    const live = Object.values(this.#tracks).filter(({ readyState }) => readyState === 'live');
    return {
      mic: this.#on.audio,
      cam: this.#on.video,
      audioDevice: this.#selects.audio.value || undefined,
      videoDevice: this.#selects.video.value || undefined,
      preview: live.length ? new MediaStream(live.map((track) => track.clone())) : undefined,
    };
  }

  /**
   * @param {Kind} kind
   * @param {'mic' | 'cam'} key
   */
  #switch(kind, key) {
    this.#on[kind] = !this.#on[kind];
    browser.set(key, this.#on[kind]);
    delete this.#errors[kind];
    this.#paint();
    if (this.#looking) this.#renew();
  }

  /** Where the browser has been allowed before, the preview needs no question. */
  async #lookIfAllowed() {
    try {
      const asked = ['camera', 'microphone'].map((name) => navigator.permissions.query({ name: /** @type {PermissionName} */ (name) }));
      if ((await Promise.all(asked)).every(({ state }) => state === 'granted')) this.#looking = true;
    } catch {
      // This browser does not say; the button is there.
    }
    if (this.#looking && this.#open) this.#renew();
  }

  #renew() {
    this.#queue = this.#queue.then(() => this.#match()).catch(() => {});
  }

  /** Opens what shall be on and is not, and closes what shall not. */
  async #match() {
    for (const kind of KINDS) if (!this.#open || !this.#on[kind]) this.#stop(kind);
    const missing = KINDS.filter((kind) => this.#open && this.#on[kind] && !this.#errors[kind] && this.#tracks[kind]?.readyState !== 'live');
    if (missing.length) {
      const { stream, errors } = await this.#capture(missing);
      for (const track of stream?.getTracks() ?? []) {
        const kind = /** @type {Kind} */ (track.kind);
        if (!this.#open || !this.#on[kind]) track.stop();
        else this.#tracks[kind] = track;
      }
      this.#errors = { ...this.#errors, ...errors };
      for (const kind of KINDS) {
        const select = this.#selects[kind];
        const count = await fillDevices(select, this.#tracks[kind]?.getSettings().deviceId);
        // It keeps its place either way: a button that moves is missed.
        if (!count) select.replaceChildren(new Option('None found', ''));
        select.disabled = !count;
      }
    }
    this.#paint();
  }

  /**
   * @param {Kind[]} kinds
   * @returns {Promise<{stream?: MediaStream, errors: Partial<Record<Kind, unknown>>}>}
   */
  async #capture(kinds) {
    const wanted = { audio: kinds.includes('audio'), video: kinds.includes('video') };
    const device = (/** @type {Kind} */ kind) => this.#selects[kind].value || browser.get(`${kind}-device`) || undefined;
    try {
      return await captureCamera({ ...wanted, audioDevice: device('audio'), videoDevice: device('video') });
    } catch (error) {
      // A device chosen once may be gone: then any other.
      if (/** @type {Error} */ (error).name === 'OverconstrainedError') {
        for (const kind of kinds) browser.set(`${kind}-device`, null);
        for (const kind of kinds) this.#selects[kind].replaceChildren();
        return captureCamera(wanted).catch((again) => ({ errors: Object.fromEntries(kinds.map((kind) => [kind, again])) }));
      }
      return { errors: Object.fromEntries(kinds.map((kind) => [kind, error])) };
    }
  }

  /** @param {Kind} kind */
  #stop(kind) {
    this.#tracks[kind]?.stop();
    delete this.#tracks[kind];
  }

  #paint() {
    const { audio, video } = this.#tracks;
    setSwitch(element('preview-mic'), this.#on.audio, { icon: this.#on.audio ? 'mic' : 'mic-off', label: this.#on.audio ? 'Turn microphone off' : 'Turn microphone on' });
    setSwitch(element('preview-cam'), this.#on.video, { icon: this.#on.video ? 'cam' : 'cam-off', label: this.#on.video ? 'Turn camera off' : 'Turn camera on' });
    const shown = /** @type {MediaStream | null} */ (this.#video.srcObject)?.getVideoTracks()[0];
    if (shown !== video) this.#video.srcObject = video ? new MediaStream([video]) : null;
    element('preview').classList.toggle('live', Boolean(video));

    const failed = KINDS.filter((kind) => this.#on[kind] && this.#errors[kind]);
    const both = failed.length === 2 && /** @type {Error} */ (this.#errors.audio)?.name === /** @type {Error} */ (this.#errors.video)?.name;
    const problems = both ? [deviceProblem(this.#errors.video, 'camera and microphone')] : failed.map((kind) => deviceProblem(this.#errors[kind], WORDS[kind]));
    element('device-error').textContent = problems.join(' ');
    const note = element('preview-note');
    note.textContent = !this.#on.video ? 'Your camera is off.' : failed.includes('video') ? '' : this.#looking ? 'Your camera starts…' : 'Your camera starts when you join.';
    const start = element('preview-start');
    start.hidden = this.#looking && !failed.length;
    start.textContent = failed.length ? 'Try again' : 'Check devices';

    this.#level.hidden = !audio;
    if (audio === this.#metered) return;
    this.#metered = audio;
    this.#stopMeter();
    this.#stopMeter = audio ? meterOf(new MediaStream([audio]), (level) => this.#setLevel(level)) : () => {};
  }

  /** @param {number} level */
  #setLevel(level) {
    const bars = Math.min(5, Math.round(level * 8));
    this.#level.dataset.level = String(bars);
    this.#level.setAttribute('aria-valuenow', String(bars));
  }
}
