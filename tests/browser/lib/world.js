// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { launchChromium, launchFirefox } from './browsers.js';
import { assert, leftovers } from './check.js';
import { Person } from './people.js';
import { OUTPUT, Server } from './server.js';

/** One browser for all tests; each test has its own people. @type {Promise<import('./browsers.js').Browser> | undefined} */
let browser;
let launch = () => launchChromium();

/** The browser that people have from now on. @param {'chromium' | 'firefox'} name */
export function use(name) {
  launch = name === 'firefox' ? launchFirefox : () => launchChromium();
}

export async function closeBrowser() {
  await (await browser)?.close();
  browser = undefined;
}

/**
 * Runs a test with a server and people of its own; at its end nobody's page may have thrown, and the server lives.
 * @param {{args?: string[], name?: string, chromium?: string[]}} options `chromium`: arguments, for a browser of its own
 * @param {(world: {server: Server, person: (name: string) => Person}) => Promise<void>} run
 */
export async function world({ args, name, chromium: more }, run) {
  const server = await Server.start({ args, name });
  const people = [];
  const own = more && await launchChromium(more);
  const used = own ?? await (browser ??= launch());
  const person = (/** @type {string} */ who) => {
    const one = new Person(used, server, who);
    people.push(one);
    return one;
  };
  const remove = async () => {
    leftovers.delete(remove);
    await Promise.all(people.map((one) => one.close().catch(() => {})));
    await own?.close();
    await server.remove();
  };
  leftovers.add(remove);
  try {
    await run({ server, person });
    for (const one of people) assert.deepEqual(one.errors, [], `${one.name}'s page threw`);
    assert.ok(server.alive, 'the server ended');
  } catch (error) {
    for (const [index, one] of people.entries()) {
      await one.page?.screenshot({ path: join(OUTPUT, `failed-${name ?? 'test'}-${index}.png`) }).catch(() => {});
    }
    throw error;
  } finally {
    if (leftovers.has(remove)) await remove();
  }
}
