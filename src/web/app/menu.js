// SPDX-License-Identifier: Apache-2.0

import { element, icon } from './dom.js';

const menu = element('menu');
/** @type {HTMLElement | undefined} */
let opener;

menu.addEventListener('keydown', (event) => {
  const items = /** @type {HTMLElement[]} */ ([...menu.children]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  const to = steps[event.key];
  if (event.key === 'Tab') return menu.hidePopover();
  if (to === undefined) return undefined;
  event.preventDefault();
  return items.at(to % items.length)?.focus();
});
menu.addEventListener('toggle', (event) => {
  const open = /** @type {ToggleEvent} */ (event).newState === 'open';
  opener?.setAttribute('aria-expanded', String(open));
  if (!open && menu.contains(document.activeElement)) opener?.focus();
});

/**
 * A button of three dots that opens a menu.
 * @param {string} label
 * @param {() => [string, () => void][]} choices what can be chosen when it is pressed
 */
export function menuButton(label, choices) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'more';
  button.setAttribute('aria-haspopup', 'menu');
  button.setAttribute('aria-expanded', 'false');
  button.setAttribute('aria-label', label);
  button.append(icon('more'));
  button.addEventListener('click', () => open(button, choices()));
  return button;
}

/** Closes the menu, whoever opened it. */
export function closeMenu() {
  menu.hidePopover();
}

/**
 * @param {HTMLElement} at
 * @param {[string, () => void][]} choices
 */
function open(at, choices) {
  opener = at;
  menu.replaceChildren(...choices.map(([text, act]) => {
    const item = document.createElement('button');
    item.type = 'button';
    item.setAttribute('role', 'menuitem');
    item.textContent = text;
    item.addEventListener('click', () => {
      menu.hidePopover();
      act();
    });
    return item;
  }));
  menu.showPopover();
  const { right, bottom } = at.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.inset = 'auto';
  menu.style.left = `${Math.max(8, right - width)}px`;
  menu.style.top = `${Math.max(8, Math.min(bottom + 4, innerHeight - height - 8))}px`;
  /** @type {HTMLElement | null} */ (menu.firstElementChild)?.focus();
}
