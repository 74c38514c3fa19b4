// SPDX-License-Identifier: Apache-2.0

import { captureCamera } from '../sdk/capture.js';
import { deviceProblem, fillDevices, meterOf } from './devices.js';
import { element, setSwitch } from './dom.js';
import { browser } from './storage.js';

/**
 * @typedef {{gid: number, pin: string, name: string, mic: boolean, cam: boolean, audioDevice?: string,
 *   videoDevice?: string, preview?: MediaStream}} Wish
 */

/** The dialog before a room: who one is, which devices, and a look at oneself. */
export class JoinDialog {
  #form = /** @type {HTMLFormElement} */ (element('join-form'));
  #video = /** @type {HTMLVideoElement} */ (element('preview-video'));
  #name = /** @type {HTMLInputElement} */ (element('name'));
  #gid = /** @type {HTMLInputElement} */ (element('gid'));
  #pin = /** @type {HTMLInputElement} */ (element('pin'));
  #button = /** @type {HTMLButtonElement} */ (element('join-button'));
  #audio = /** @type {HTMLSelectElement} */ (element('audio-device'));
  #camera = /** @type {HTMLSelectElement} */ (element('video-device'));
  #mic = true;
  #cam = true;
  /** @type {MediaStream | undefined} */
  #preview;
  #stopMeter = () => {};
  #onJoin;

  /**
   * @param {{gid?: number, pin?: string}} link
   * @param {(wish: Wish) => void} onJoin
   */
  constructor({ gid, pin }, onJoin) {
    this.#onJoin = onJoin;
    this.#name.value = browser.get('name') ?? '';
    this.#gid.value = gid ? String(gid) : '';
    this.#pin.value = pin ?? '';
    for (const [known, field] of [[gid, 'gid-field'], [pin, 'pin-field']]) {
      element(String(field)).hidden = Boolean(known);
      /** @type {HTMLInputElement} */ (element(String(field).replace('-field', ''))).required = !known;
    }
    element('join-title').textContent = gid ? `Join room ${gid}` : 'Join a room';
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    element('preview-start').addEventListener('click', () => this.#look());
    element('preview-mic').addEventListener('click', () => this.#switch('mic'));
    element('preview-cam').addEventListener('click', () => this.#switch('cam'));
    for (const select of [this.#audio, this.#camera]) select.addEventListener('change', () => this.#look());
  }

  /** Shows itself, with what was chosen last. */
  open() {
    this.#mic = browser.get('mic') ?? true;
    this.#cam = browser.get('cam') ?? true;
    this.setError('');
    this.#paint();
    if (!this.#preview) this.#lookIfAllowed();
    this.#name.focus();
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.#button.disabled = busy;
    this.#button.textContent = busy ? 'Joining…' : 'Join';
  }

  /** @param {string} text */
  setError(text) {
    this.setBusy(false);
    element('join-error').textContent = text;
  }

  /** @param {string} text */
  setNote(text) {
    element('join-error').textContent = text;
  }

  /** Closes what the call does not take over. */
  close() {
    this.#stopMeter();
    this.#video.srcObject = null;
    for (const track of this.#preview?.getTracks() ?? []) track.stop();
    this.#preview = undefined;
    element('preview').classList.remove('live');
    element('preview-start').hidden = false;
  }

  #submit() {
    const name = this.#name.value.trim();
    if (!name) return;
    browser.set('name', name);
    element('join-error').textContent = '';
    this.setBusy(true);
    const preview = this.#preview;
    this.#onJoin({
      gid: Number(this.#gid.value),
      pin: this.#pin.value.trim(),
      name,
      mic: this.#mic,
      cam: this.#cam,
      audioDevice: this.#audio.value || undefined,
      videoDevice: this.#camera.value || undefined,
      // Clones, so that a refused attempt leaves the preview as it is.
      preview: preview?.clone(),
    });
  }

  /** @param {'mic' | 'cam'} which */
  #switch(which) {
    if (which === 'mic') this.#mic = !this.#mic;
    else this.#cam = !this.#cam;
    browser.set('mic', this.#mic);
    browser.set('cam', this.#cam);
    this.#paint();
    if (this.#preview) this.#look();
  }

  /** Where the browser has been allowed before, the preview needs no question. */
  async #lookIfAllowed() {
    try {
      const camera = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('camera') });
      const microphone = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('microphone') });
      if (camera.state === 'granted' && microphone.state === 'granted') await this.#look();
    } catch {
      // This browser does not say; the button is there.
    }
  }

  async #look() {
    this.#stopMeter();
    for (const track of this.#preview?.getTracks() ?? []) track.stop();
    this.#preview = undefined;
    const note = element('preview-note');
    if (this.#mic || this.#cam) {
      try {
        const { stream, errors } = await captureCamera({
          audio: this.#mic,
          video: this.#cam,
          audioDevice: this.#audio.value || undefined,
          videoDevice: this.#camera.value || undefined,
        });
        if (document.body.dataset.view !== 'join') return stream.getTracks().forEach((track) => track.stop());
        this.#preview = stream;
        note.textContent = errors.video ? deviceProblem(errors.video, 'camera') : '';
      } catch (error) {
        note.textContent = deviceProblem(error, 'camera and microphone');
      }
    }
    const video = this.#preview?.getVideoTracks()[0];
    if (!this.#cam) note.textContent = 'Your camera is off.';
    this.#video.srcObject = video ? new MediaStream([video]) : null;
    element('preview').classList.toggle('live', Boolean(video));
    element('preview-start').hidden = Boolean(this.#preview);
    const meter = /** @type {HTMLMeterElement} */ (element('preview-level'));
    meter.hidden = !this.#preview?.getAudioTracks().length;
    if (this.#preview) this.#stopMeter = meterOf(this.#preview, (level) => { meter.value = level; });
    for (const [select, track] of /** @type {const} */ ([
      [this.#audio, this.#preview?.getAudioTracks()[0]], [this.#camera, video]])) {
      const count = await fillDevices(select, track?.getSettings().deviceId);
      /** @type {HTMLElement} */ (select.parentElement).hidden = count < 2;
    }
  }

  #paint() {
    setSwitch(element('preview-mic'), this.#mic, { icon: this.#mic ? 'mic' : 'mic-off', label: this.#mic ? 'Turn microphone off' : 'Turn microphone on' });
    setSwitch(element('preview-cam'), this.#cam, { icon: this.#cam ? 'cam' : 'cam-off', label: this.#cam ? 'Turn camera off' : 'Turn camera on' });
  }
}
