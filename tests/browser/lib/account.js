// SPDX-License-Identifier: Apache-2.0
// Who signs in on the first page, and has rooms there.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './check.js';
import { runBefore } from './people.js';
import { OUTPUT } from './server.js';

/** @import { Page } from 'playwright-core' */

/** Asks for a code on the first page. @param {import('./people.js').Person} person */
export async function askForCode({ page, name, server }) {
  await page.goto(new URL('/', server.link).href);
  await page.fill('#sign-name', name);
  await page.fill('#sign-email', `${name.toLowerCase()}@example.org`);
  await page.click('#sign-button');
  await page.waitForSelector('#code-form:not([hidden])');
}

/**
 * Gives the code: without a mail server, on a server that nobody else reaches, it is in the log.
 * @param {import('./people.js').Person} person
 * @param {string} [then] what is there then
 */
export async function giveCode({ page, server }, then = '#rooms:not([hidden])') {
  const code = await until(() => {
    const log = readFileSync(join(OUTPUT, `${server.name}.log`), 'utf8');
    return [...log.matchAll(/the code that signs \S+ in is (\d{6})/g)].at(-1)?.[1];
  }, { what: 'a code in the log' });
  await page.fill('#code', code);
  await page.waitForSelector(then);
}

/** @param {import('./people.js').Person} person */
export async function signIn(person) {
  await person.open({ permissions: ['clipboard-read', 'clipboard-write', 'camera', 'microphone'] });
  await askForCode(person);
  await giveCode(person);
  return person.page;
}

/** Makes a room, and is on its page then. @param {Page} page @param {string} name */
export async function makeRoom(page, name) {
  await page.click('#room-first:visible, #room-new:visible');
  await page.fill('#create [name=name]', name);
  await page.click('#create [type=submit]');
  await page.waitForSelector('#room .invite[data-for=viewers] .primary');
}

/** What the button of an invitation copies. @param {Page} page @param {'participants' | 'viewers'} whom */
export async function copied(page, whom) {
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await page.click(`.invite[data-for=${whom}]:visible .primary`);
  return until(() => page.evaluate(() => navigator.clipboard.readText()), { what: 'a text in the clipboard' });
}

/** @param {string | null} text */
export const linkIn = (text) => /https?:\/\/\S+gid=\S+/.exec(text ?? '')?.[0] ?? '';

/** Comes by a link, with the camera off: pictures are not what is tested. @param {import('./people.js').Person} person @param {string} link */
export async function come(person, link) {
  const page = await person.open();
  await runBefore(page, () => localStorage.setItem('millrace:cam', 'false'));
  await page.goto(link);
  await page.fill('#name', person.name);
  await page.click('#join-button');
  return person;
}
