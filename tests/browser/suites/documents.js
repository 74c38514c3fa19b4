// SPDX-License-Identifier: Apache-2.0
// The pages that the documents show, run as they stand there, from an origin of their own.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

const DOCS = join(fileURLToPath(new URL('.', import.meta.url)), '..', '..', '..', 'docs');

/** A page out of a document. @param {string} file @param {string} name */
function example(file, name) {
  const text = readFileSync(join(DOCS, file), 'utf8');
  const [, page] = new RegExp(`<!-- example: ${name} -->\\n\`\`\`html\\n([^]*?)\n\`\`\``).exec(text) ?? [];
  assert.ok(page, `docs/${file} has an example ${name}`);
  return page;
}

/**
 * Serves a page of a document at its own origin, and gives its address to `run`.
 * @param {string} file
 * @param {string} name
 * @param {(test: {url: string, server: import('../lib/server.js').Server, person: (name: string) => import('../lib/people.js').Person}) => Promise<void>} run
 */
async function elsewhere(file, name, run) {
  let html = example(file, name);
  const web = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(request.url === '/' ? html : '');
  });
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  const url = `http://localhost:${web.address().port}`;
  try {
    await world({ name: `docs-${name}`, args: ['--origin', url] }, async ({ server, person }) => {
      for (const [what, here] of [['https://meet.example', server.link.origin], ['1000', String(server.gid)], ["'12345678'", `'${server.pin}'`]]) {
        assert.ok(html.includes(what), `the page names ${what}`);
        html = html.replaceAll(what, here);
      }
      await run({ url, server, person });
    });
  } finally {
    web.close();
  }
}

/** @param {import('../lib/people.js').Person} one @param {string} url */
async function visit(one, url) {
  await one.open();
  await one.page.goto(url);
  return one.page;
}

/** @param {import('playwright-core').Page} page @param {string} selector */
const plays = (page, selector) => until(
  () => page.evaluate((wanted) => [...document.querySelectorAll(wanted)].some((video) => video.videoWidth > 0), selector),
  { what: `${selector} plays` },
);

test('the document on embedding: its page for watching', () => elsewhere('embedding.md', 'watch', async ({ url, person }) => {
  const ada = await person('Ada').bare();
  await ada.enter();
  await ada.publish({ source: 'camera' });
  const page = await visit(person('Bob'), url);
  await plays(page, 'main video');
  await ada.page.close();
  await until(() => page.evaluate(() => !document.querySelector('main video')), { what: 'the stream is gone' });
}));

test('the document on embedding: its page for a meeting', () => elsewhere('embedding.md', 'publish', async ({ url, person }) => {
  const ada = await visit(person('Ada'), url);
  const bob = await visit(person('Bob'), url);
  for (const page of [ada, bob]) {
    await plays(page, '#own');
    await plays(page, 'video:not(#own)');
  }
  await ada.click('#mic');
  await ada.waitForFunction(() => document.getElementById('mic').textContent === 'Unmute');
  await ada.fill('input', 'Good morning');
  await ada.press('input', 'Enter');
  await bob.waitForFunction(() => document.querySelector('li')?.textContent === 'Ada: Good morning');
}));

test('the document on migrating: its page', () => elsewhere('migrating.md', 'migrate', async ({ url, person }) => {
  const pages = [await visit(person('Ada'), url), await visit(person('Bob'), url)];
  for (const page of pages) {
    await plays(page, '#own');
    await plays(page, '#others video');
    assert.equal(await page.title(), 'Group call (1)');
  }
}));
