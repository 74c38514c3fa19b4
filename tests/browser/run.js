// SPDX-License-Identifier: Apache-2.0
// Browser tests against the real binary: `npm test`, or `node run.js WORDS` for those whose name has these words.

import { rmSync } from 'node:fs';
import { runAll } from './lib/check.js';
import { OUTPUT } from './lib/server.js';
import { closeChromium } from './lib/world.js';

rmSync(OUTPUT, { recursive: true, force: true });
await import('./suites/media.js');
await import('./suites/layers.js');
await import('./suites/rooms.js');
await import('./suites/recovery.js');
await import('./suites/blocked.js');
await import('./suites/publisher.js');
await import('./suites/devices.js');
await import('./suites/autoplay.js');
await import('./suites/abort.js');
await import('./suites/several.js');
await import('./suites/moved.js');
await import('./suites/notices.js');
await import('./suites/audience.js');
await import('./suites/sound.js');
await import('./suites/chat.js');
await import('./suites/files.js');
await import('./suites/moderation.js');
await import('./suites/rights.js');
await import('./suites/limits.js');
await import('./suites/mesibo.js');
await import('./suites/samples.js');
await import('./suites/documents.js');
await import('./suites/bundler.js');
await import('./suites/stats.js');
await import('./suites/stage.js');
await import('./suites/looks.js');
await import('./suites/landing.js');
await import('./suites/accessible.js');
await import('./suites/console.js');
await import('./suites/firefox.js');
await import('./suites/mixed.js');

const good = await runAll(new RegExp(process.argv.slice(2).join(' ') || '.', 'i'));
await closeChromium();
process.exit(good ? 0 : 1);
