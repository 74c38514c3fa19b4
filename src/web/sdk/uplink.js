// SPDX-License-Identifier: Apache-2.0
// What a publisher's connection sends.

/** @import { Encoding } from './encodings.js' */
/** @import { Codec } from './types.js' */

/**
 * @param {RTCPeerConnection} pc
 * @param {MediaStream} media
 * @param {boolean} [redundancy]
 */
export function sendSound(pc, media, redundancy) {
  const [track] = media.getAudioTracks();
  const transceiver = pc.addTransceiver(track ?? 'audio', { direction: 'sendonly', streams: [media] });
  if (redundancy) preferRedundancy(transceiver);
  offerCaptureTime(transceiver);
  return transceiver.sender;
}

/**
 * @param {RTCPeerConnection} pc
 * @param {MediaStream} media
 * @param {{encodings: Encoding[], codec: Codec}} how
 */
export function sendPicture(pc, media, { encodings, codec }) {
  const [track] = media.getVideoTracks();
  const transceiver = pc.addTransceiver(track ?? 'video', { direction: 'sendonly', streams: [media], sendEncodings: encodings });
  transceiver.setCodecPreferences(codecsBy(codec));
  offerCaptureTime(transceiver);
  return transceiver.sender;
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
function codecsBy(wanted) {
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
function preferRedundancy(transceiver) {
  const all = RTCRtpSender.getCapabilities('audio')?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ { mimeType }) => Number(mimeType.toLowerCase() !== 'audio/red');
  if (all.length) transceiver.setCodecPreferences([...all].sort((a, b) => rank(a) - rank(b)));
}

const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/**
 * Tells viewers when a picture or sound was captured, where the browser can but does not by itself (W3C webrtc-extensions).
 * @param {RTCRtpTransceiver} transceiver
 */
function offerCaptureTime(transceiver) {
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
