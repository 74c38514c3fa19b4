// SPDX-License-Identifier: Apache-2.0
// The shapes that travel in signalling messages; docs/signalling.md explains them.

/**
 * @typedef {{send: boolean, receive: boolean, publish: boolean, subscribe: boolean, list: boolean}} Rights
 * @typedef {{modify: boolean, pins: boolean, members: boolean, moderate: boolean, remove: boolean}} Admin
 * @typedef {'mute' | 'hangup' | 'remove' | 'lower' | 'unmute' | 'publish' | 'stop' | 'subscribe' | 'fullscreen' | 'leave'} Action
 * @typedef {{gid: number, by: number, name: string, action: Action, sid?: number, audio?: boolean, video?: boolean,
 *   stream?: StreamId}} Asked
 * @typedef {{maxPublishKbps?: number, maxSubscribeKbps?: number, maxResolution?: number, maxVoices?: number, maxFps?: number,
 *   audioKbps?: number, codecs?: Codec[], maxStreams?: number, maxSubscriptions?: number, simulcastLayers?: number, priority?: number}} LimitChanges
 * @typedef {{audio: boolean, video: boolean}} Media
 * @typedef {{uid: number, name: string, address: string}} Person
 * @typedef {{id: number, at: number, uid: number, name: string, to?: number, text: string, file?: SentFile}} Said
 * @typedef {{id: string, name: string, type: string, size: number}} SentFile
 * @typedef {{uid: number, sid: number, name: string, address: string, source: number,
 *   audio: boolean, video: boolean, muted: Media}} StreamInfo
 * @typedef {{uid: number, sid: number}} StreamId
 * @typedef {{mid: string, kind: 'audio' | 'video', gid: number, uid: number, sid: number}} Slot
 * @typedef {'tile' | 'cap' | 'source' | 'bandwidth' | 'paused' | 'loudness' | 'keyframe' | 'inactive' | 'silent' | 'codec'} Why
 * @typedef {{width: number, height: number, why: Why}} Layer
 * @typedef {{width?: number, height?: number, frameRate?: number}} Format
 * @typedef {{rttMs: number, lossPercent: number, level: number}} Quality
 * @typedef {{uid: number, address: string, name: string, resume: string, resumed: boolean}} Hello
 * @typedef {{gid: number, name: string, type: number, resolution: number, callFlags: number, rights: Rights, admin?: Admin, limits?: LimitChanges, people: number}} Joined
 * @typedef {{gid: number, sid: number, uid: number, name: string, watching: boolean}} Watching
 * @typedef {{gid: number, group: string, uid: number, name: string, address: string}} Ring
 * @typedef {Quality & {sid?: number, watching?: boolean}} ConnectionQuality
 * @typedef {{width: number, height: number, visible: boolean}} TileSize
 * @typedef {'vp8' | 'h264' | 'vp9' | 'av1'} Codec
 */

export {};
