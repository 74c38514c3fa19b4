// SPDX-License-Identifier: Apache-2.0

import { RESOLUTIONS, STREAM_RESOLUTION_DEFAULT } from './constants.js';

/**
 * @typedef {{audio?: boolean, video?: boolean, resolution?: number, audioDevice?: string, videoDevice?: string}} CameraOptions
 */

/**
 * Opens microphone and camera. What cannot be opened is left out and said in `errors`; only when nothing opens it throws.
 * @param {CameraOptions} options
 * @returns {Promise<{stream: MediaStream, errors: {audio?: DOMException, video?: DOMException}}>}
 */
export async function captureCamera(options) {
  const audio = options.audio ? audioConstraints(options) : false;
  const video = options.video ? videoConstraints(options) : false;
  try {
    return { stream: await navigator.mediaDevices.getUserMedia({ audio, video }), errors: {} };
  } catch (error) {
    if (!audio || !video) throw error;
  }
  // One of the two is missing, taken or refused: have the other.
  const stream = new MediaStream();
  /** @type {{audio?: DOMException, video?: DOMException}} */
  const errors = {};
  for (const [kind, constraints] of /** @type {const} */ ([['audio', audio], ['video', video]])) {
    try {
      const one = await navigator.mediaDevices.getUserMedia({ [kind]: constraints });
      for (const track of one.getTracks()) stream.addTrack(track);
    } catch (error) {
      errors[kind] = /** @type {DOMException} */ (error);
    }
  }
  if (!stream.getTracks().length) throw errors.video ?? errors.audio;
  return { stream, errors };
}

/**
 * Asks for a screen, window or tab.
 * @param {{audio?: boolean}} options
 */
export async function captureScreen({ audio }) {
  const stream = await navigator.mediaDevices.getDisplayMedia({
    video: { frameRate: { ideal: 15, max: 30 } },
    audio: audio ?? false,
  });
  for (const track of stream.getVideoTracks()) track.contentHint = 'detail';
  return { stream, errors: {} };
}

/** @param {CameraOptions} options */
function audioConstraints({ audioDevice }) {
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    ...(audioDevice && { deviceId: { exact: audioDevice } }),
  };
}

/** @param {CameraOptions} options */
function videoConstraints({ resolution = STREAM_RESOLUTION_DEFAULT, videoDevice }) {
  const [width, height] = RESOLUTIONS[resolution] ?? RESOLUTIONS[STREAM_RESOLUTION_DEFAULT] ?? [];
  return {
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: 30 },
    ...(videoDevice && { deviceId: { exact: videoDevice } }),
  };
}
