// SPDX-License-Identifier: Apache-2.0

import { element, within } from './dom.js';

/** @import { Settings } from './groups.js' */

/**
 * Puts the fields of a room into a form: its name, its kind, and behind "more" what few change.
 * @param {HTMLElement} place
 */
export function addRoomFields(place) {
  const { content } = /** @type {HTMLTemplateElement} */ (element('room-fields'));
  place.append(content.cloneNode(true));
}

/**
 * @param {HTMLFormElement} form
 * @param {Settings} settings
 */
export function fillRoom(form, { name, type, resolution, guests, callDuration }) {
  within(form, '[name=name]').value = name;
  // A classroom is made by servers; it reads as a webinar whose people see each other.
  for (const radio of form.querySelectorAll('[name=type]')) /** @type {HTMLInputElement} */ (radio).checked = Number(/** @type {HTMLInputElement} */ (radio).value) === type;
  within(form, '[name=resolution]').value = String(resolution);
  within(form, '[name=guests]').checked = guests;
  const duration = within(form, '[name=callDuration]');
  const minutes = String(callDuration);
  if (![...duration.options].some(({ value }) => value === minutes)) duration.add(new Option(`${Math.round(callDuration / 60)} minutes`, minutes));
  duration.value = minutes;
}

/**
 * @param {HTMLFormElement} form
 * @returns {Settings}
 */
export function readRoom(form) {
  const data = new FormData(form);
  const type = data.get('type');
  return {
    name: String(data.get('name')).trim(),
    .../** @type {{type: number}} */ (type === null ? {} : { type: Number(type) }),
    resolution: Number(data.get('resolution')),
    guests: data.has('guests'),
    callDuration: Number(data.get('callDuration')),
  };
}
