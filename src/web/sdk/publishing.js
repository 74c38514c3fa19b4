// SPDX-License-Identifier: Apache-2.0
// What one may say of a stream that is published, and what is told of it.

/** @import { Codec, Format, Media, Quality, Watching } from './types.js' */

/**
 * @typedef {object} PublishOptions
 * @property {number[]} [gids] the groups that see the stream
 * @property {number} [sid] 0 for the camera, 1 for the screen unless told otherwise
 * @property {'camera' | 'screen'} [source]
 * @property {string} [name]
 * @property {boolean} [audio] whether the stream has audio
 * @property {boolean} [video] whether the stream has video
 * @property {Partial<Media>} [muted] what starts muted
 * @property {Codec} [codec] vp8 unless told otherwise
 * @property {boolean} [simulcast] several layers: on for a camera in vp8 or h264
 * @property {string} [scalabilityMode] how each encoding is divided (W3C webrtc-svc); for a camera in vp9 or av1 L3T3_KEY unless
 *   told otherwise
 * @property {boolean} [redundancy] sound twice, the second time with the next packet: for a bad uplink or bad listeners
 * @property {number} [resolution] a `STREAM_RESOLUTION_`
 * @property {Format} [format] the picture's size and rate, as nearly as the device has them; goes before `resolution`
 * @property {'user' | 'environment'} [facing] which camera of a telephone
 * @property {string} [audioDevice]
 * @property {string} [videoDevice]
 * @property {MediaStream} [stream] one's own media in place of a capture
 * @property {MediaStream} [preview] what is captured already: its tracks are taken over
 * @property {AbortSignal} [signal] gives it up until it is published
 */

/**
 * @typedef {'idle' | 'connecting' | 'connected' | 'reconnecting' | 'ended'} PublisherState
 * @typedef {'closed' | 'error' | 'notallowed' | 'complete' | 'duration'} EndReason `duration`: the call lasted as long as it may
 * @typedef {{state: PublisherState, muted: Media, ended: {reason: EndReason, error?: unknown}, viewer: Watching, quality: Quality,
 *   media: MediaStream, device: DeviceChange, source: {source: 'camera' | 'screen', before: 'camera' | 'screen'}}} PublisherEvents
 * @typedef {{kind: 'audio' | 'video', lost?: string, deviceId?: string, label?: string, error?: unknown}} DeviceChange what is captured
 *   from now on, nothing where `error` says why; `lost` is the label of a device that went away
 */

export {};
