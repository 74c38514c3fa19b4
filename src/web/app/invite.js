// SPDX-License-Identifier: Apache-2.0
// What one sends to people so that they come: a text for each pin, complete, to be pasted anywhere.

import { ask } from './ask.js';
import { element, within } from './dom.js';
import { addPin, groupOf, pinsOf, removePin } from './groups.js';
import { linkTo } from './link.js';
import { menuButton } from './menu.js';
import { sentenceOf } from './rest.js';

/** @import { Pin } from './groups.js' */
/** @typedef {{gid: number, name: string, type?: number, guests?: boolean}} Target */
/** How long a button says that it has copied. */
const SAID_MS = 2500;

const dialog = /** @type {HTMLDialogElement} */ (element('invite'));
dialog.addEventListener('click', (event) => {
  // Its padding is the form's, so a click on the dialog itself is one beside it.
  if (event.target === dialog) dialog.close();
});
element('invite-close').addEventListener('click', () => dialog.close());

/** Four digits at a time are read more easily. @param {string} pin */
const spaced = (pin) => pin.replace(/(\d{4})(?=\d)/g, '$1 ');

/**
 * @param {Target} room
 * @param {string} pin
 * @param {boolean} watch
 */
function inviteText({ gid, name, guests = true }, pin, watch) {
  return [
    watch ? `You are invited to watch “${name}”.` : `You are invited to “${name}”.`,
    '',
    `Open this link in your browser and ${guests ? 'say your name' : 'sign in with your e-mail address'}. There is nothing to install:`,
    linkTo(gid, pin, watch),
    '',
    `Or go to ${location.origin} and enter room ${gid} with pin ${spaced(pin)}.`,
  ].join('\n');
}

/**
 * Shows the invitations of a room.
 * @param {HTMLElement} place
 * @param {number} gid
 * @param {string} token of one who may see the pins
 */
export async function showInvites(place, gid, token) {
  const again = () => showInvites(place, gid, token);
  try {
    const [room, pins] = await Promise.all([groupOf(token, gid), pinsOf(token, gid)]);
    const watches = (/** @type {Pin} */ { rights: { publish } }) => publish === false || (publish === null && room.type !== 0);
    place.replaceChildren(...[false, true].flatMap((watch) => {
      const these = pins.filter((pin) => watches(pin) === watch);
      return these.length ? these.map(({ pin }) => card(room, token, watch, again, pin)) : [card(room, token, watch, again)];
    }));
  } catch (error) {
    place.replaceChildren(paragraph('error', sentenceOf(error)));
  }
}

/**
 * The same in the middle of a call; who may not see the pins invites by their own.
 * @param {Target & {admin: {pins: boolean}}} room
 * @param {{token: string, pin: string, watch: boolean}} own
 */
export function openInvite(room, { token, pin, watch }) {
  const place = element('invite-list');
  place.replaceChildren();
  if (room.admin.pins) showInvites(place, room.gid, token);
  else if (pin) showOwnInvite(place, room, pin, watch);
  else place.replaceChildren(paragraph('dim', `Who runs this room invites people. It has the number ${room.gid}.`));
  dialog.showModal();
}

/**
 * Shows the one invitation that somebody has who may not see the pins: their own.
 * @param {HTMLElement} place
 * @param {Target} room
 * @param {string} pin
 * @param {boolean} watch
 */
function showOwnInvite(place, room, pin, watch) {
  const shown = stamp(watch);
  fill(shown, room, pin, watch);
  place.replaceChildren(shown);
}

/**
 * @param {Target} room
 * @param {string} token
 * @param {boolean} watch
 * @param {() => void} again
 * @param {string} [pin]
 */
function card(room, token, watch, again, pin) {
  const shown = stamp(watch);
  const bar = within(shown, '.invite-bar');
  if (!pin) {
    within(shown, '.invite-text').textContent = watch ? 'Nobody can come to watch by a link: there is no pin.' : 'Nobody can come by a link: there is no pin.';
    const make = button('Make a pin', 'quiet', async () => {
      await addPin(token, room.gid, !watch);
      again();
    });
    bar.replaceChildren(make);
    return shown;
  }
  fill(shown, room, pin, watch);
  const whom = watch ? 'viewers' : 'participants';
  within(shown, 'header').append(menuButton(`More for the pin of ${whom}`, () => [
    ['New pin', () => ask({
      title: 'Make a new pin?',
      text: 'The link and the pin that you sent until now stop working. Who is in the room stays.',
      yes: 'Make a new pin',
    }, async () => {
      await addPin(token, room.gid, !watch);
      await removePin(token, room.gid, pin);
      again();
    })],
    ['Remove pin', () => ask({
      title: 'Remove this pin?',
      text: `Nobody comes in with its link any more. Who is in the room stays.`,
      yes: 'Remove the pin',
      danger: true,
    }, async () => {
      await removePin(token, room.gid, pin);
      again();
    })],
  ]));
  return shown;
}

/** @param {boolean} watch @returns {HTMLElement} */
function stamp(watch) {
  const template = /** @type {HTMLTemplateElement} */ (element('invite-template'));
  const shown = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  shown.dataset.for = watch ? 'viewers' : 'participants';
  within(shown, 'h3').textContent = watch ? 'Viewers' : 'Participants';
  within(shown, '.dim').textContent = watch ? 'They watch, listen and write.' : 'They speak and are seen.';
  return shown;
}

/**
 * @param {HTMLElement} shown
 * @param {Target} room
 * @param {string} pin
 * @param {boolean} watch
 */
function fill(shown, room, pin, watch) {
  const text = inviteText(room, pin, watch);
  const whom = watch ? 'viewers' : 'participants';
  within(shown, '.invite-text').textContent = text;
  within(shown, '.invite-text').setAttribute('aria-label', `Invitation for ${whom}`);
  within(shown, '.invite-bar').replaceChildren(
    copyButton('Copy invitation', 'primary', `Copy invitation for ${whom}`, text),
    copyButton('Copy link', 'quiet', `Copy link for ${whom}`, linkTo(room.gid, pin, watch)),
  );
}

/**
 * @param {string} word
 * @param {string} look
 * @param {string} label
 * @param {string} text
 */
function copyButton(word, look, label, text) {
  const copy = button(word, look, async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
      say(copy, 'Copied.', 'unseen');
    } catch {
      // No clipboard without HTTPS: then it is marked, and the keyboard copies it.
      const shown = copy.closest('.invite')?.querySelector('.invite-text');
      if (shown) getSelection()?.selectAllChildren(shown);
      copy.textContent = 'Press Ctrl+C';
    }
    setTimeout(() => {
      copy.textContent = word;
      say(copy, '', 'unseen');
    }, SAID_MS);
  });
  copy.setAttribute('aria-label', label);
  return copy;
}

/**
 * @param {string} word
 * @param {string} look
 * @param {() => Promise<void>} act
 */
function button(word, look, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = look;
  made.textContent = word;
  made.addEventListener('click', () => act().catch((error) => say(made, sentenceOf(error), 'error')));
  return made;
}

/**
 * Tells something in the invitation of a button.
 * @param {HTMLElement} at
 * @param {string} text
 * @param {'unseen' | 'error'} look
 */
function say(at, text, look) {
  const said = at.closest('.invite')?.querySelector('.said');
  if (!said) return;
  said.className = `said ${look}`;
  said.textContent = text;
}

/** @param {string} look @param {string} text */
function paragraph(look, text) {
  const made = document.createElement('p');
  made.className = look;
  made.textContent = text;
  return made;
}
