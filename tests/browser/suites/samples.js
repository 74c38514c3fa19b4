// SPDX-License-Identifier: Apache-2.0
// The sample pages, served from an origin of their own and changed in nothing but where the SDK is loaded from.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

const SAMPLES = join(fileURLToPath(new URL('.', import.meta.url)), '..', '..', '..', 'docs', 'samples');

/** @param {string} file */
function sample(file) {
  test(`the sample ${file}: participants, camera and screen, mute on both sides, messages`, async () => {
    let millrace = '';
    const web = createServer((request, response) => {
      const { pathname } = new URL(request.url, 'http://localhost');
      if (pathname !== '/call.js' && pathname !== `/${file}`) return response.writeHead(404).end();
      response.setHeader('content-type', pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8');
      return response.end(readFileSync(join(SAMPLES, pathname), 'utf8').replaceAll('https://meet.example', millrace));
    });
    await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
    const origin = `http://localhost:${web.address().port}`;
    try {
      await world({ name: `sample-${file}`, args: ['--origin', origin] }, async ({ server, person }) => {
        millrace = server.link.origin;
        const tokens = [await server.token('Olga'), await server.token('Otto')];
        const group = await server.api({ op: 'setgroup', token: tokens[0], name: 'Call', resolution: 0, type: 0 });
        await server.api({ op: 'joingroup', token: tokens[1], gid: group.gid, pin: group.pin });
        const [olga, otto] = await Promise.all(['Olga', 'Otto'].map(async (name, index) => {
          const page = await person(name).open();
          await page.goto(`${origin}/${file}?${new URLSearchParams({ gid: group.gid, name, token: tokens[index] })}`);
          await page.click('#camera:enabled');
          return page;
        }));
        const plays = (page, selector) => until(() => page.evaluate((wanted) => document.querySelector(wanted)?.videoWidth > 0, selector), { what: `${selector} plays` });
        await olga.click('#share');
        for (const page of [olga, otto]) await plays(page, '#own');
        await plays(olga, '#own-screen');
        await plays(olga, '#others video');
        await until(() => otto.evaluate(() => [...document.querySelectorAll('#others video')].filter((video) => video.videoWidth > 0).length === 2), { what: 'Otto sees both' });
        const camera = otto.locator('#participants li', { hasNotText: '(screen)' });
        const screen = otto.locator('#participants li', { hasText: '(screen)' });

        await olga.click('#mute-video');
        assert.match(await olga.textContent('#own-mute'), /video true/);
        for (const entry of [camera, screen]) await until(async () => (await entry.textContent()).includes('no video'), { what: 'muted is seen' });
        await olga.click('#mute-video');
        for (const entry of [camera, screen]) await until(async () => !(await entry.textContent()).includes('no video'), { what: 'unmuted is seen' });
        await camera.getByText('Toggle audio', { exact: true }).click();
        await until(async () => (await camera.textContent()).includes('hidden audio'), { what: 'his own side' });
        // The owner may ask it of others, and the server sees to it.
        await olga.getByText('Ask to toggle audio').first().click();
        await until(async () => (await olga.textContent('#participants')).includes('no audio'), { what: 'Otto is muted' });

        await olga.fill('#text', 'Good morning');
        await olga.press('#text', 'Enter');
        await until(async () => (await otto.textContent('#messages')) === 'Olga: Good morning', { what: 'the message' });
        await olga.click('#hangup');
        await until(async () => (await otto.locator('#participants li').count()) === 0 && (await otto.locator('#others video').count()) === 0, { what: 'Olga is gone' });
        assert.equal(await olga.textContent('#error'), '');
      });
    } finally {
      web.close();
    }
  }, { chromium: 'without a display Firefox has no screen to share' });
}

sample('call.html');
sample('call-module.html');
