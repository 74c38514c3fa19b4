// SPDX-License-Identifier: Apache-2.0
// What goes with sound and picture: when they were captured, how far it is, and redundancy.

import { assert, note, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** From 1900 to 1970, in ms. */
const NTP_BEFORE_UNIX = 2_208_988_800_000;
const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/** What is negotiated on a connection, by kind: the names of the header extensions in both descriptions. */
const negotiated = (pc) => Object.fromEntries(['audio', 'video'].map((kind) => {
  const lines = (sdp) => {
    const media = sdp.split(/^m=/m).find((part) => part.startsWith(kind)) ?? '';
    return [...media.matchAll(/^a=extmap:\d+(?:\/\w+)? (\S+)/gm)].map(([, uri]) => uri);
  };
  const remote = lines(pc.remoteDescription.sdp);
  return [kind, lines(pc.localDescription.sdp).filter((uri) => remote.includes(uri))];
}));

test('when sound and picture were captured reaches the viewer', () => world({ name: 'capture-time' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera', codec: 'vp8' });
  await b.watch(320, 180, { muted: false });
  const [sends, gets] = await Promise.all([
    a.page.evaluate(`(${negotiated})(window.h.publisher.pc)`),
    b.page.evaluate(`(${negotiated})(window.h.client.viewer.pc)`),
  ]);
  for (const kind of ['audio', 'video']) {
    assert.ok(sends[kind].includes(CAPTURE_TIME), `A offers ${sends[kind]} with ${kind}`);
    assert.ok(gets[kind].includes(CAPTURE_TIME), `B takes ${gets[kind]} with ${kind}`);
  }
  const sources = await until(async () => {
    const all = await b.page.evaluate(() => window.h.sources());
    return all.every((source) => source?.captureTimestamp) && all;
  }, { ms: 10_000, what: 'B is told of capture times' }).catch(async () => {
    throw new Error(`B knows of ${JSON.stringify(await b.page.evaluate(() => window.h.sources()))}`);
  });
  for (const { timestamp, captureTimestamp, senderCaptureTimeOffset } of sources) {
    // All clocks are this machine's; what the router estimates of A's is late by A's way, which is short here.
    const age = timestamp - (captureTimestamp - NTP_BEFORE_UNIX);
    note(`captured ${age} ms before it came, by a clock ${senderCaptureTimeOffset} ms ahead of the server's`);
    assert.ok(age >= 0 && age < 2000, `${age} ms`);
    assert.ok(Math.abs(senderCaptureTimeOffset) < 500, `${senderCaptureTimeOffset} ms`);
  }
}), { chromium: 'Firefox does not know the extension' });

test('a viewer learns its round trip, after which it asks again for what is lost', () => world({ name: 'round-trip' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera', codec: 'vp8' });
  await b.watch(320, 180);
  const told = await until(async () => {
    const all = await b.page.evaluate(async () => [...(await window.h.client.viewer.pc.getStats()).values()]);
    return all.find((s) => s.type === 'remote-outbound-rtp' && s.kind === 'video' && s.roundTripTimeMeasurements > 1);
  }, { ms: 15_000, what: 'B measures its round trip' });
  note(`${told.roundTripTimeMeasurements} measurements, ${(told.roundTripTime * 1000).toFixed(1)} ms`);
  assert.ok(told.roundTripTime < 0.2);
}), { chromium: 'Firefox does not tell of it' });

for (const redundancy of [false, true]) {
  test(`sound ${redundancy ? 'with redundancy arrives with it (RFC 2198)' : 'without redundancy asks for in-band FEC'}`, () => world({ name: `redundancy-${redundancy}` }, async ({ person }) => {
    const a = await person('Ada').bare();
    const b = await person('Bob').bare();
    await Promise.all([a.enter(), b.enter()]);
    await a.publish({ source: 'camera', redundancy });
    await b.watch(320, 180, { muted: false });
    const sound = (pc, which) => pc[which].sdp.split(/^m=/m).find((part) => part.startsWith('audio'));
    const [asked, taken] = await Promise.all([
      a.page.evaluate(`(${sound})(window.h.publisher.pc, 'remoteDescription')`),
      b.page.evaluate(`(${sound})(window.h.client.viewer.pc, 'localDescription')`),
    ]);
    for (const sdp of [asked, taken]) assert.match(sdp, /useinbandfec=1/);
    for (const sdp of [asked, taken]) assert.match(sdp, /red\/48000\/2/);
    await until(async () => (await b.inbound('audio'))?.packetsReceived > 200, { what: 'B hears A' });
    const heard = await b.inbound('audio');
    // Chromium's statistics name Opus either way; what is sent twice shows in its length.
    const length = heard.bytesReceived / heard.packetsReceived;
    note(`${heard.packetsReceived} packets of ${Math.round(length)} bytes each`);
    assert.equal(length > 85, redundancy);
    assert.ok(heard.totalAudioEnergy > 0);
  }), { chromium: 'Firefox has no redundant sound' });
}
