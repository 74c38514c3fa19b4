// SPDX-License-Identifier: Apache-2.0

import { RESOLUTIONS, STREAM_RESOLUTION_DEFAULT } from './constants.js';

/** @import { Codec } from './types.js' */

/**
 * @typedef {RTCRtpEncodingParameters & {scalabilityMode?: string}} Encoding
 * @typedef {{rid: string, width: number, height: number}[]} Layers from the smallest; none where there is one encoding
 */

/** What a picture of at least this height is worth, in bit/s. */
const BITRATES = /** @type {const} */ ([
  [2160, 8_000_000], [1080, 4_000_000], [720, 2_000_000], [480, 1_200_000], [320, 500_000], [160, 150_000], [0, 100_000],
]);

/** @param {number} height */
function bitrate(height) {
  return BITRATES.find(([least]) => height >= least)?.[1] ?? 150_000;
}

/**
 * How an encoding is divided, in the words of W3C webrtc-svc, unless told: a camera's picture in VP9 or AV1 into spatial layers of
 * one stream, all else into temporal layers. H264 says nothing of its layers on the wire, so it is left whole.
 * @param {{codec: Codec, simulcast: boolean, camera: boolean, count: number}} picture
 */
function modeOf({ codec, simulcast, camera, count }) {
  if (codec === 'h264' || (codec === 'vp8' && !camera)) return undefined;
  return codec !== 'vp8' && camera && !simulcast && count > 1 ? `L${count}T3_KEY` : 'L1T3';
}

/**
 * The layers of a picture of this size, from the smallest: each half as wide as the next, none so small that nobody would want it.
 * @param {{width: number, height: number, simulcast?: boolean, codec: Codec, camera: boolean, scalabilityMode?: string}} picture
 *   `simulcast`: unless told, a camera's in a codec without spatial layers
 * @returns {{encodings: Encoding[], layers: Layers}}
 */
export function layersOf({ width, height, codec, camera, scalabilityMode, simulcast = camera && (codec === 'vp8' || codec === 'h264') }) {
  const count = width >= 960 ? 3 : width >= 480 ? 2 : 1;
  const told = scalabilityMode ?? modeOf({ codec, simulcast, camera, count });
  const mode = told ? { scalabilityMode: told } : {};
  if (!simulcast) return { encodings: [{ maxBitrate: bitrate(height) * 1.25, ...mode }], layers: [] };
  const rids = ['q', 'h', 'f'].slice(3 - count);
  const encodings = [];
  const layers = [];
  for (const [index, rid] of rids.entries()) {
    const scale = 2 ** (count - 1 - index);
    const layer = { rid, width: Math.floor(width / scale), height: Math.floor(height / scale) };
    layers.push(layer);
    encodings.push({ rid, scaleResolutionDownBy: scale, maxBitrate: bitrate(layer.height), active: true, ...mode });
  }
  return { encodings, layers };
}

/**
 * The size of a picture: as it is captured, or as it was asked for.
 * @param {MediaStreamTrack | undefined} track
 * @param {number} [resolution] a `STREAM_RESOLUTION_`
 */
export function sizeOf(track, resolution = STREAM_RESOLUTION_DEFAULT) {
  const { width, height } = track?.getSettings() ?? {};
  const [wide = 1280, high = 720] = RESOLUTIONS[resolution] ?? [];
  return { width: width || wide, height: height || high };
}

/**
 * @param {Layers} a
 * @param {Layers} b
 */
export function sameLayers(a, b) {
  return a.length === b.length && a.every(({ rid, width, height }, nth) => b[nth]?.rid === rid && b[nth]?.width === width && b[nth]?.height === height);
}
