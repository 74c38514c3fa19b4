// SPDX-License-Identifier: Apache-2.0
// Chromium and Firefox in one room, over the SDK: each publishes in layers and gets of the other's what its tile needs.

import { launchFirefox } from '../lib/browsers.js';
import { assert, note, test, time, until } from '../lib/check.js';
import { Person } from '../lib/people.js';
import { world } from '../lib/world.js';

/** The other's stream in a small tile, a large one, and a small one again. */
async function growAndShrink(viewer) {
  const widths = [];
  const decodes = async (fits, what) => {
    const found = await until(async () => {
      const stats = await viewer.inbound();
      return stats?.frameWidth > 0 && fits(stats.frameWidth) && stats;
    }, { ms: 60_000, what: `${viewer.name} gets ${what}` });
    await until(async () => (await viewer.inbound()).framesDecoded > found.framesDecoded + 10, { what: `${viewer.name} decodes ${what}` });
    widths.push(found.frameWidth);
  };
  time(`${viewer.name}: first frame in a small tile`, await viewer.watch(160, 90));
  await decodes((width) => width <= 320, 'a small layer');
  await viewer.resize(1280, 720);
  await decodes((width) => width > 320, 'a larger layer');
  await viewer.resize(160, 90);
  await decodes((width) => width <= 320, 'the small layer again');
  note(`${viewer.name}: ${widths.join(', ')} wide`);
}

/** How many layers this one's encoder sends. */
async function layersOf(publisher) {
  const sent = (await publisher.page.evaluate(() => window.h.publisher.stats())).filter((s) => s.kind === 'video' && s.framesEncoded > 0);
  note(`${publisher.name} sends ${sent.map((s) => `${s.rid ?? ''} ${s.frameWidth}x${s.frameHeight}`).join(', ')}`);
  return sent.length;
}

test('Chromium and Firefox publish in layers and watch each other, small and large', () => world({ name: 'mixed' }, async ({ server, person }) => {
  const firefox = await launchFirefox();
  try {
    const ada = await person('Ada').bare();
    const fox = await new Person(firefox, server, 'Fox').bare();
    await Promise.all([ada.enter(), fox.enter()]);
    await ada.publish({ source: 'camera', codec: 'vp8', simulcast: true });
    await growAndShrink(fox);
    assert.ok(await layersOf(ada) > 1);
    await fox.publish({ source: 'camera', codec: 'vp8', simulcast: true });
    await growAndShrink(ada);
    assert.ok(await layersOf(fox) > 1);
    assert.deepEqual(fox.errors, [], "Fox's page threw");
  } finally {
    await firefox.close();
  }
}), { chromium: 'and Firefox' });
