// SPDX-License-Identifier: Apache-2.0

/**
 * The element of this id; the page is broken without it.
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return /** @type {any} */ (found);
}

/**
 * @param {Element} parent
 * @param {string} selector
 * @returns {any}
 */
export function within(parent, selector) {
  const found = parent.querySelector(selector);
  if (!found) throw new Error(`The page has no ${selector}.`);
  return found;
}

/**
 * A new icon of the page's sprite.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'use'));
  setIcon(svg, name);
  return svg;
}

/**
 * @param {Element} parent an element with an icon in it, or an icon
 * @param {string} name
 */
export function setIcon(parent, name) {
  within(parent, 'use').setAttribute('href', `#i-${name}`);
}

/**
 * A switch: pressed is on.
 * @param {Element} button
 * @param {boolean} on
 * @param {{icon?: string, label: string}} look
 */
export function setSwitch(button, on, look) {
  button.setAttribute('aria-pressed', String(on));
  button.setAttribute('aria-label', look.label);
  button.setAttribute('title', look.label);
  if (look.icon) setIcon(button, look.icon);
}

/** @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => [...(word ?? '')][0] ?? '').join('').toUpperCase() || '?';
}

/** The same colour for the same person everywhere. @param {string} text */
export function hue(text) {
  let hash = 7;
  for (const character of text) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  // The golden angle keeps neighbours apart.
  return String(Math.round(hash * 137.508) % 360);
}
