// SPDX-License-Identifier: Apache-2.0

import { RESOLUTIONS, STREAM_RESOLUTION_DEFAULT } from './constants.js';

/** @import { Format } from './types.js' */

/**
 * @typedef {{audio?: boolean, video?: boolean, resolution?: number, format?: Format, facing?: 'user' | 'environment', audioDevice?: string,
 *   videoDevice?: string, signal?: AbortSignal}} CameraOptions `format` goes before `resolution`, and `facing` before `videoDevice`
 */

/**
 * Opens microphone and camera. What cannot be opened is left out and said in `errors`; only when nothing opens it throws.
 * @param {CameraOptions} options
 * @returns {Promise<{stream: MediaStream, errors: {audio?: DOMException, video?: DOMException}}>}
 */
export async function captureCamera(options) {
  const { signal } = options;
  signal?.throwIfAborted();
  const audio = options.audio ? audioConstraints(options) : false;
  const video = options.video ? videoConstraints(options) : false;
  try {
    return { stream: await opened(navigator.mediaDevices.getUserMedia({ audio, video }), signal), errors: {} };
  } catch (error) {
    if (!audio || !video || signal?.aborted) throw error;
  }
  // One of the two is missing, taken or refused: have the other.
  const stream = new MediaStream();
  /** @type {{audio?: DOMException, video?: DOMException}} */
  const errors = {};
  for (const [kind, constraints] of /** @type {const} */ ([['audio', audio], ['video', video]])) {
    try {
      const one = await opened(navigator.mediaDevices.getUserMedia({ [kind]: constraints }), signal);
      for (const track of one.getTracks()) stream.addTrack(track);
    } catch (error) {
      if (signal?.aborted) {
        stop(stream);
        throw error;
      }
      errors[kind] = /** @type {DOMException} */ (error);
    }
  }
  if (!stream.getTracks().length) throw errors.video ?? errors.audio;
  return { stream, errors };
}

/**
 * Asks for a screen, window or tab.
 * @param {{audio?: boolean, format?: Format, signal?: AbortSignal}} options
 */
export async function captureScreen({ audio, format, signal }) {
  signal?.throwIfAborted();
  const stream = await opened(navigator.mediaDevices.getDisplayMedia({
    video: { frameRate: { ideal: 15, max: 30 }, ...(format && formatConstraints(format)) },
    audio: audio ?? false,
  }), signal);
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
function videoConstraints({ resolution = STREAM_RESOLUTION_DEFAULT, format, facing, videoDevice }) {
  const [width, height] = RESOLUTIONS[resolution] ?? RESOLUTIONS[STREAM_RESOLUTION_DEFAULT] ?? [];
  return {
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: 30 },
    ...(format && formatConstraints(format)),
    ...(facing ? { facingMode: facing } : videoDevice && { deviceId: { exact: videoDevice } }),
  };
}

/**
 * What asks a device for a format.
 * @param {Format} format
 * @returns {MediaTrackConstraints}
 */
export function formatConstraints({ width, height, frameRate }) {
  return {
    ...(width && { width: { ideal: width } }),
    ...(height && { height: { ideal: height } }),
    ...(frameRate && { frameRate: { ideal: frameRate } }),
  };
}

/**
 * A capture that can be given up: the browser goes on asking, and what it opens then is closed at once.
 * @param {Promise<MediaStream>} opening
 * @param {AbortSignal} [signal]
 * @returns {Promise<MediaStream>}
 */
function opened(opening, signal) {
  if (!signal) return opening;
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      reject(signal.reason);
      opening.then(stop, () => {});
    };
    signal.addEventListener('abort', giveUp, { once: true });
    opening.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
