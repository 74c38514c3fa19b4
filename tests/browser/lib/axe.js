// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** A script that a page runs before its own. */
export const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * What axe calls serious or critical, in dark and light, as lines.
 * @param {import('playwright-core').Page} page
 * @param {string} view
 */
export async function findings(page, view) {
  const found = [];
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    for (const { id, impact, nodes } of violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')) {
      for (const { target, any } of nodes) found.push(`${view}, ${colorScheme}: ${impact} ${id} at ${target} ${any[0]?.message ?? ''}`);
    }
  }
  return found;
}
