// SPDX-License-Identifier: Apache-2.0
// The first four scenarios of core/tests/sim/scenario/list.rs, in real time.

import { freezes, longestGap } from './watcher.js';

/**
 * @typedef {{what: string, value: number, holds: boolean}} Bound
 * @typedef {{report: {samples: [number, number, number, number][]}, estimate: {second: number, kbps: number}[],
 *   shown: [number, number][], before: any, after: any}} Seen in seconds since the story began
 * @typedef {{name: string, story: string, seconds: number, settled: number, relay: string[],
 *   link: (second: number) => number, bounds: (seen: Seen) => Bound[]}} Scenario
 */

const QUEUE = 'delay=20,queue=300';
const UP = ['--up', 'delay=20'];

/** @param {string} what @param {number} value @param {number} most @returns {Bound} */
const atMost = (what, value, most) => ({ what, value, holds: value <= most });
/** @param {string} what @param {number} value @param {number} least @returns {Bound} */
const atLeast = (what, value, least) => ({ what, value, holds: value >= least });

/** What came to the link between two seconds, in kbit/s. @param {Seen} seen @param {number} from @param {number} to */
function sent(seen, from, to) {
  const samples = seen.report.samples.slice(from * 10, to * 10);
  return samples.reduce((sum, [kbps]) => sum + kbps, 0) / Math.max(1, samples.length);
}

/** @param {Seen} seen @param {number} from @param {number} to */
function estimate(seen, from, to) {
  const within = seen.estimate.filter(({ second }) => second > from && second <= to);
  return within.reduce((sum, { kbps }) => sum + kbps, 0) / Math.max(1, within.length);
}

/**
 * Seconds from `from` until the estimate satisfies; infinite if it does not before `to`.
 * @param {Seen} seen @param {number} from @param {number} to @param {(kbps: number) => boolean} is
 */
function untilEstimate(seen, from, to, is) {
  const first = seen.estimate.find(({ second, kbps }) => second > from && second <= to && is(kbps));
  return first ? first.second - from : Infinity;
}

/** @param {Seen} seen @param {number} from */
function late(seen, from) {
  return seen.shown.filter(([at]) => at >= from).map(([at, width]) => /** @type {[number, number]} */ ([at * 1000, width]));
}

/** @param {Seen} seen @param {number} from @param {(second: number) => boolean} [when] */
function freezesOver200(seen, from, when = () => true) {
  return freezes(late(seen, from)).filter(({ at, ms }) => ms > 200 && when(at / 1000)).length;
}

/** @type {Scenario[]} */
export const list = [
  {
    name: 'drop',
    story: '3 Mbit/s, from 20 s 600 kbit/s, from 40 s 3 Mbit/s',
    seconds: 70,
    settled: 10,
    relay: ['--down', QUEUE, ...UP, '--schedule', '0:3000,20:600,40:3000'],
    link: (second) => (second >= 20 && second < 40 ? 600 : 3000),
    bounds: (seen) => [
      // The estimate is told once a second.
      atMost('estimate under the link after the drop, s <= 3, told once a second', untilEstimate(seen, 20, 40, (kbps) => kbps <= 600), 3),
      atMost('sent in the third second after it, kbit/s <= 600', sent(seen, 22, 23), 600),
      atMost('freezes over 200 ms <= 1', freezesOver200(seen, 10), 1),
      atMost('estimate back at 85 % of the link, s <= 10', untilEstimate(seen, 40, 70, (kbps) => kbps >= 2550), 10),
    ],
  },
  {
    name: 'periodic',
    story: '4 and 1 Mbit/s in turn, 15 s each',
    seconds: 120,
    settled: 10,
    relay: ['--down', QUEUE, ...UP, '--schedule', [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `${n * 15}:${n % 2 ? 1000 : 4000}`).join(',')],
    link: (second) => (Math.floor(second / 15) % 2 ? 1000 : 4000),
    bounds: (seen) => [
      atMost('freezes over 200 ms that begin later than 1 s after a drop <= 0', freezesOver200(seen, 15, (at) => (at + 15) % 30 > 1), 0),
      atMost('longest time without a new frame, ms <= 1000', longestGap(late(seen, 10)), 1000),
      atLeast('estimate in the last 5 s of 4 Mbit/s, kbit/s >= 2000: what there is to send', estimate(seen, 100, 105), 2000),
    ],
  },
  ...[[5, 1000], [20, 200]].map(([loss, least]) => ({
    name: `loss-${loss}`,
    story: `2 Mbit/s, ${loss} % random loss`,
    seconds: 60,
    settled: 10,
    relay: ['--down', `rate=2000,loss=${loss},${QUEUE}`, ...UP],
    link: () => 2000,
    bounds: (/** @type {Seen} */ seen) => [
      ...(loss === 5 ? [atLeast('estimate, kbit/s >= 1000', estimate(seen, 10, 60), 1000)] : []),
      atLeast(`sent, kbit/s >= ${least}`, sent(seen, 10, 60), least),
      atMost('longest time without a new frame, ms <= 1000', longestGap(late(seen, 10)), 1000),
    ],
  })),
];
