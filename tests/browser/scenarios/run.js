// SPDX-License-Identifier: Apache-2.0
// Network scenarios with real Chromium behind a real relay. Called by `tools/scenarios --browser`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchChromium } from '../lib/browsers.js';
import { Person } from '../lib/people.js';
import { Server } from '../lib/server.js';
import { list } from './list.js';
import { writeNoise } from './noise.js';
import { redirect, Relay } from './relay.js';
import { freezes, longestGap, noteFrames, switches } from './watcher.js';

const HELP = `Plays the first four network scenarios in real time: Chromium publishes a noisy picture in three layers, another
page watches it through a relay that impairs.

Usage: tools/scenarios --browser [OPTIONS]

  --only NAME   this one alone; may be given several times
  --seed N      other losses [default: 1]
  --trace       every second: link, estimate, sent, longest queueing, width of the picture

The last line is JSON: an array of objects with \`name\`, the figures, the bounds, and \`holds\`.`;

const options = { only: /** @type {string[]} */ ([]), seed: 1, trace: false };
for (let args = process.argv.slice(2); args.length > 0;) {
  const [name, ...rest] = args;
  args = rest;
  if (name === '--help') console.log(HELP), process.exit(0);
  else if (name === '--trace') options.trace = true;
  else if (name === '--only') options.only.push(args.shift() ?? '');
  else if (name === '--seed') options.seed = Number(args.shift());
  else console.error(`scenarios: what is ${name}? See --browser --help.`), process.exit(2);
}
const unknown = options.only.find((name) => !list.some((scenario) => scenario.name === name));
if (unknown !== undefined) console.error(`scenarios: no scenario is called ${unknown}`), process.exit(2);
const chosen = list.filter(({ name }) => options.only.length === 0 || options.only.includes(name));

process.env.MILLRACE_LOG ??= 'info,millrace::control::rooms::quality=debug';
const folder = mkdtempSync(join(tmpdir(), 'millrace-scenarios-'));
const film = join(folder, 'noise.y4m');
writeNoise(film, { width: 1280, height: 720, fps: 20, frames: 40 });
const server = await Server.start({ name: 'scenarios' });
const estimates = readEstimates(server);
const publishing = await launchChromium([`--use-file-for-fake-video-capture=${film}`]);
const watching = await launchChromium();
const publisher = await new Person(publishing, server, 'Ada').bare();
const results = [];
try {
  await publisher.enter();
  await publisher.publish({ source: 'camera', codec: 'vp8' });
  console.log('scenario       use estimate queue p95   lost freezes  switches  bounds');
  for (const scenario of chosen) {
    const seen = await play(scenario);
    const result = judge(scenario, seen);
    results.push(result);
    print(scenario, result, seen);
  }
} finally {
  await Promise.all([publishing.close(), watching.close()]);
  await server.remove();
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(results));

/** Estimates as the server logs them, once a second for each viewer: when, and bit/s. @param {Server} server */
function readEstimates(server) {
  /** @type {{at: number, bps: number}[]} */
  const seen = [];
  let rest = '';
  server.child.stderr.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const bps = /measured.* estimate_bps=(\d+)/.exec(line)?.[1];
      if (bps) seen.push({ at: Date.now(), bps: Number(bps) });
    }
  });
  return seen;
}

/** @param {import('./list.js').Scenario} scenario */
async function play(scenario) {
  const from = Number(server.args[1].split(':').pop());
  const relay = await Relay.start(from, ['--seed', String(options.seed), ...scenario.relay]);
  const viewer = new Person(watching, server, 'Bob');
  const page = await viewer.open();
  await page.addInitScript(redirect, { from, to: relay.port });
  await viewer.bareIn(page);
  try {
    await viewer.enter();
    await viewer.watch(1280, 720);
    await page.evaluate(noteFrames);
    const before = await viewer.inbound();
    relay.begin();
    const zero = Date.now();
    await new Promise((resolve) => setTimeout(resolve, scenario.settled * 1000));
    relay.settled();
    await new Promise((resolve) => setTimeout(resolve, (scenario.seconds - scenario.settled) * 1000));
    const report = await relay.report();
    const after = await viewer.inbound();
    const [began, shown] = await page.evaluate((ms) => [performance.now() - ms, window.h.shown], Date.now() - zero);
    const estimate = estimates.filter(({ at }) => at >= zero).map(({ at, bps }) => ({ second: (at - zero) / 1000, kbps: bps / 1000 }));
    return {
      scenario, report, estimate, before, after,
      shown: shown.map(([at, width]) => [(at - began) / 1000, width]),
    };
  } finally {
    await viewer.close();
    relay.stop();
  }
}

/** @param {import('./list.js').Scenario} scenario @param {import('./list.js').Seen} seen */
function judge(scenario, seen) {
  const from = scenario.settled;
  const samples = seen.report.samples.slice(from * 10, scenario.seconds * 10);
  const capacity = samples.reduce((sum, _, n) => sum + scenario.link(from + n / 10), 0);
  const passed = samples.reduce((sum, [, kbps]) => sum + kbps, 0);
  const estimates = seen.estimate.filter(({ second }) => second >= from);
  const shown = seen.shown.filter(([at]) => at >= from).map(([at, width]) => /** @type {[number, number]} */ ([at * 1000, width]));
  const bounds = scenario.bounds(seen).map(({ what, value, holds }) => ({ bound: what, value: Number.isFinite(value) ? Number(value.toFixed(3)) : null, holds }));
  return {
    name: scenario.name,
    utilisation: round(passed / capacity),
    estimate_share: round(estimates.reduce((sum, e) => sum + e.kbps / scenario.link(e.second), 0) / Math.max(1, estimates.length)),
    queue_p95_ms: seen.report.queue_p95_ms,
    frames_lost: seen.after.framesDropped - seen.before.framesDropped,
    freezes: freezes(shown).length,
    switches_per_minute: round((switches(shown) * 60) / (scenario.seconds - from)),
    longest_gap_ms: Math.round(longestGap(shown)),
    bounds,
    holds: bounds.every(({ holds }) => holds),
  };
}

/** @param {number} value */
function round(value) {
  return Number(value.toFixed(3));
}

/** @param {import('./list.js').Scenario} scenario @param {ReturnType<typeof judge>} result @param {import('./list.js').Seen} seen */
function print(scenario, result, seen) {
  if (options.trace) {
    for (let second = 0; second < scenario.seconds; second += 1) {
      const samples = seen.report.samples.slice(second * 10, second * 10 + 10);
      const sent = samples.reduce((sum, [kbps]) => sum + kbps, 0) / 10;
      const estimate = seen.estimate.findLast((e) => e.second <= second + 1)?.kbps ?? 0;
      const frames = seen.shown.filter(([at]) => at >= second && at < second + 1);
      console.log([
        `${second} s:`, `link ${scenario.link(second)}`, `estimate ${Math.round(estimate)}`, `sent ${Math.round(sent)}`,
        `queue ${Math.max(0, ...samples.map(([, , ms]) => ms))} ms`, `${frames.length} frames`, `${frames.at(-1)?.[1] ?? '-'} wide`,
      ].join('  '));
    }
  }
  const percent = (/** @type {number} */ share) => `${Math.round(share * 100)}%`;
  console.log([
    result.name.padEnd(12), percent(result.utilisation).padStart(5), percent(result.estimate_share).padStart(8),
    `${result.queue_p95_ms} ms`.padStart(9), String(result.frames_lost).padStart(6), String(result.freezes).padStart(7),
    `${result.switches_per_minute.toFixed(1)}/min`.padStart(9), ` ${scenario.story}`,
  ].join(' '));
  for (const { bound, value, holds } of result.bounds) {
    console.log(`${''.padStart(62)}  ${holds ? 'holds' : 'FAILS'}: ${bound}: ${value}`);
  }
}
