// SPDX-License-Identifier: Apache-2.0

/** @import { Codec } from './types.js' */

/**
 * @typedef {RTCRtpEncodingParameters & {scalabilityMode?: string}} Encoding
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
 * @param {{width: number, height: number, simulcast: boolean, codec: Codec, camera: boolean, scalabilityMode?: string}} picture
 * @returns {{encodings: Encoding[], layers: {rid: string, width: number, height: number}[]}}
 */
export function layersOf({ width, height, simulcast, codec, camera, scalabilityMode }) {
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

/** Where a codec comes in several profiles, the one that most receivers decode. */
const PROFILES = {
  vp8: /./,
  vp9: /profile-id=0/,
  h264: /packetization-mode=1.*profile-level-id=42e01f|profile-level-id=42e01f.*packetization-mode=1/i,
  av1: /./,
};

/**
 * All codecs of this browser, the wanted one first.
 * @param {Codec} wanted
 * @returns {RTCRtpCodec[]}
 */
export function codecsBy(wanted) {
  const all = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ codec) => {
    if (codec.mimeType.toLowerCase() !== `video/${wanted}`) return 2;
    const fmtp = codec.sdpFmtpLine ?? '';
    return fmtp === '' || PROFILES[wanted].test(fmtp) ? 0 : 1;
  };
  return [...all].sort((a, b) => rank(a) - rank(b));
}

/**
 * Sends each packet of sound again with the next ones (RFC 2198), where the browser can.
 * @param {RTCRtpTransceiver} transceiver
 */
export function preferRedundancy(transceiver) {
  const all = RTCRtpSender.getCapabilities('audio')?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ { mimeType }) => Number(mimeType.toLowerCase() !== 'audio/red');
  if (all.length) transceiver.setCodecPreferences([...all].sort((a, b) => rank(a) - rank(b)));
}

const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/**
 * Tells viewers when a picture or sound was captured, where the browser can but does not by itself (W3C webrtc-extensions).
 * @param {RTCRtpTransceiver} transceiver
 */
export function offerCaptureTime(transceiver) {
  const able = /** @type {any} */ (transceiver);
  const extensions = able.getHeaderExtensionsToNegotiate?.();
  const captured = extensions?.find((/** @type {{uri: string}} */ { uri }) => uri === CAPTURE_TIME);
  if (!captured) return;
  captured.direction = 'sendrecv';
  try {
    able.setHeaderExtensionsToNegotiate(extensions);
  } catch {
    // It is a help, not a need.
  }
}
