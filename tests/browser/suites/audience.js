// SPDX-License-Identifier: Apache-2.0
// A browser in front of many: what a crowd costs its publisher, and how soon it sees something.

import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { assert, note, test, time, until } from '../lib/check.js';
import { BINARY } from '../lib/server.js';
import { world } from '../lib/world.js';

const VIEWERS = 100;
/** For so long a keyframe serves those who join, and a little later surely no more. */
const SERVES_MS = 1500;
const GONE_MS = 2000;

/** Keyframes that the publisher made, by layer. */
async function keyframes(a) {
  const all = await a.page.evaluate(() => window.h.publisher.stats());
  return Object.fromEntries(all.filter(({ kind }) => kind === 'video').map((s) => [s.rid, s.keyFramesEncoded ?? 0]));
}

/** What Bob got of the large layer, once nothing about it changes any more. */
async function settled(b) {
  let calm = { keyframes: -1, since: Date.now() };
  return until(async () => {
    const { keyFramesDecoded, frameWidth } = await b.inbound() ?? {};
    if (frameWidth !== 1280 || keyFramesDecoded !== calm.keyframes) calm = { keyframes: keyFramesDecoded, since: Date.now() };
    return Date.now() - calm.since > GONE_MS;
  }, { what: 'Bob sees 720p, and no keyframe came for a while', ms: 60_000 });
}

test('a hundred viewers who join at once cost the publisher two keyframes at most', () => world({ name: 'audience' }, async ({ server, person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  await a.publish({ source: 'camera' });
  await b.watch(1280, 720);
  await settled(b);

  const before = await keyframes(a);
  const load = join(dirname(BINARY), 'millrace-load');
  const { stdout } = await promisify(execFile)(load, [
    'webinar', '--watch-only', '--link', server.link.href, '--viewers', String(VIEWERS), '--joins', String(VIEWERS), '--threads', '2', '--seconds', '1',
  ]);
  const report = JSON.parse(stdout.trim().split('\n').at(-1));
  const after = await keyframes(a);
  const made = Object.fromEntries(Object.entries(after).map(([rid, count]) => [rid, count - (before[rid] ?? 0)]));
  note(`keyframes made: ${JSON.stringify(made)}, asked for by viewers: ${report.keyframeRequests}`);
  time('from asking for the stream to its first keyframe, connection and handshake included: median', report.subscribedMs.p50, 300);
  time('slowest', report.subscribedMs.max);
  assert.equal(report.viewers, VIEWERS);
  // One serves for a second and a half; on a busy machine the last may come later than that.
  const allowed = Math.max(2, 1 + Math.ceil(report.firstFrameMs.max / SERVES_MS));
  for (const [rid, count] of Object.entries(made)) assert.ok(count <= allowed, `${count} keyframes of layer ${rid}`);
}));
