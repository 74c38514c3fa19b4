// SPDX-License-Identifier: Apache-2.0
// Runs in the bare page: short verbs over the SDK for the tests.

import { Millrace } from '/sdk/millrace.js';

const h = {
  Millrace,
  client: undefined,
  room: undefined,
  view: undefined,
  box: undefined,
  rosterAt: [],

  async enter({ gid, pin, token, name }) {
    const own = token ?? (await Millrace.guest({ gid, pin, name })).token;
    h.client = new Millrace({ token: own });
    await h.client.connect();
    h.room = await h.client.join(gid, { pin });
    h.room.on('roster', (news) => h.rosterAt.push({ at: Date.now(), joined: news.joined.length, changed: news.changed.length, left: news.left.length }));
    return { rights: h.room.rights, uid: h.client.self.uid };
  },

  async publish(options) {
    h.publisher = await h.client.publish(options);
    await h.until(() => h.publisher.pc.connectionState === 'connected');
    return h.publisher.sid;
  },

  async until(condition, ms = 30_000) {
    const end = performance.now() + ms;
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`Not within ${ms} ms: ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  },

  async stream() {
    await h.until(() => h.room.streams.size > 0);
    return [...h.room.streams.values()][0];
  },

  resize({ width, height }) {
    h.box.style.width = `${width}px`;
    h.box.style.height = `${height}px`;
  },

  async watch({ width, height, muted = true }) {
    const stream = await h.stream();
    const started = performance.now();
    h.box = document.createElement('video');
    h.box.style.cssText = 'display:block;object-fit:contain;background:#000';
    h.box.playsInline = true;
    h.box.muted = muted;
    h.resize({ width, height });
    document.body.append(h.box);
    h.view = h.room.watch(stream, { tile: h.box });
    h.layers = [];
    h.view.on('layer', (layer) => h.layers.push(layer));
    const frame = new Promise((resolve) => h.box.requestVideoFrameCallback(resolve));
    await h.view.attach(h.box);
    await Promise.race([frame, new Promise((_, reject) => setTimeout(() => reject(new Error('No frame within 30 s')), 30_000))]);
    return performance.now() - started;
  },

  async inbound(kind) {
    const ids = h.view.media.getTracks().map(({ id }) => id);
    const all = await h.client.viewer.pc.getStats();
    const entry = [...all.values()].find((s) => s.type === 'inbound-rtp' && s.kind === kind && ids.includes(s.trackIdentifier));
    if (!entry) return null;
    const codec = all.get(entry.codecId);
    return { ...entry, codec: codec?.mimeType };
  },

  /** When what is heard and what is seen now was captured, by the sender's clock in ms. */
  async playout() {
    const ids = h.view.media.getTracks().map(({ id }) => id);
    const all = [...(await h.client.viewer.pc.getStats()).values()];
    const of = (kind) => all.find((s) => s.type === 'inbound-rtp' && s.kind === kind && ids.includes(s.trackIdentifier));
    return ['audio', 'video'].map((kind) => of(kind)?.estimatedPlayoutTimestamp);
  },

  /** What the receivers of the watched stream know of who sends, sound and picture. */
  sources() {
    const tracks = h.view.media.getTracks();
    const of = (kind) => h.client.viewer.pc.getReceivers().find(({ track }) => track.kind === kind && tracks.includes(track));
    return ['audio', 'video'].map((kind) => {
      const source = of(kind)?.getSynchronizationSources()[0];
      if (!source) return undefined;
      const { timestamp, rtpTimestamp, captureTimestamp, senderCaptureTimeOffset } = source;
      return { timestamp, rtpTimestamp, captureTimestamp, senderCaptureTimeOffset };
    });
  },

  /** The time until frames of this width are decoded. */
  async untilWidth(width, ms) {
    const started = performance.now();
    await h.until(() => h.box.videoWidth === width, ms);
    return performance.now() - started;
  },

  async cipher(pc) {
    const transport = [...(await pc.getStats()).values()].find(({ type }) => type === 'transport');
    return { srtp: transport?.srtpCipher, tls: transport?.tlsVersion };
  },
};
document.body.style.margin = '0';
document.body.replaceChildren();
window.h = h;
