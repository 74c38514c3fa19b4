// SPDX-License-Identifier: Apache-2.0
// Browser tests against the real binary, in Chromium: `npm test`, or `node run.js WORDS` for those whose name has these words.
// `node run.js --browser firefox` runs them in Firefox, but for those that say why not.

import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runAll } from './lib/check.js';
import { OUTPUT } from './lib/server.js';
import { closeBrowser, use } from './lib/world.js';

const { values: { browser }, positionals } = parseArgs({ options: { browser: { type: 'string', default: 'chromium' } }, allowPositionals: true });
if (browser !== 'chromium' && browser !== 'firefox') throw new Error(`--browser ${browser}: say chromium or firefox.`);
use(browser);

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

const good = await runAll(new RegExp(positionals.join(' ') || '.', 'i'), browser);
await closeBrowser();
process.exit(good ? 0 : 1);
