// SPDX-License-Identifier: Apache-2.0
// A test runner in a page: tests run one after the other, since they share two cores with their browsers.

export { default as assert } from 'node:assert/strict';

const LIMIT_MS = 180_000;
/** @type {{name: string, run: () => Promise<void>, chromium?: string}[]} */
const tests = [];
/** @type {string[]} */
let times = [];
/** What a test that ran out of time left behind. @type {Set<() => Promise<unknown>>} */
export const leftovers = new Set();

/**
 * @param {string} name
 * @param {() => Promise<void>} run
 * @param {{chromium?: string}} [only] `chromium`: why this is nothing for another browser
 */
export function test(name, run, only = {}) {
  tests.push({ name, run, ...only });
}

/**
 * Remembers a time, to be printed with the test; goals are told, not asserted: the machine may be busy.
 * @param {string} what
 * @param {number} ms
 * @param {number} [goal]
 */
export function time(what, ms, goal) {
  times.push(`${what} ${Math.round(ms)} ms${goal ? ` (goal ${goal})` : ''}`);
}

/** @param {string} text */
export function note(text) {
  times.push(text);
}

/**
 * @template T
 * @param {() => Promise<T> | T} condition
 * @param {{ms?: number, what?: string, every?: number}} [options]
 * @returns {Promise<T>} its first answer that is true
 */
export async function until(condition, { ms = 30_000, what = String(condition), every = 50 } = {}) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`Not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** @param {RegExp} wanted @param {string} browser */
export async function runAll(wanted, browser) {
  const failed = [];
  let passed = 0;
  let skipped = 0;
  for (const { name, run, chromium } of tests.filter(({ name }) => wanted.test(name))) {
    if (chromium && browser !== 'chromium') {
      skipped += 1;
      console.log(`-     ${name}: Chromium only, ${chromium}`);
      continue;
    }
    times = [];
    const started = Date.now();
    let timer;
    try {
      await Promise.race([run(), new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`Not done within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
      })]);
      passed += 1;
      console.log(`ok    ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed.push(name);
      console.log(`FAIL  ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)\n${indent(error.stack ?? String(error))}`);
    } finally {
      clearTimeout(timer);
      for (const remove of leftovers) await remove().catch(() => {});
      leftovers.clear();
    }
    for (const line of times) console.log(`      ${line}`);
  }
  console.log(`${passed} passed, ${failed.length} failed${skipped ? `, ${skipped} skipped` : ''}`);
  // Words that no test has are a mistake, and no success.
  return failed.length === 0 && passed > 0;
}

/** @param {string} text */
function indent(text) {
  return text.split('\n').slice(0, 14).map((line) => `      ${line}`).join('\n');
}
