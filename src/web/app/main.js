// SPDX-License-Identifier: Apache-2.0
// The room page: opened by the link that carries a room's number and pin.

import { Failure, Millrace } from '../sdk/millrace.js';
import { Call } from './call.js';
import { element } from './dom.js';
import { forget, tokenFor } from './guest.js';
import { JoinDialog } from './join.js';
import { startSettings } from './settings.js';
import { browser, tab } from './storage.js';

/** @import { Wish } from './join.js' */

const parameters = new URLSearchParams(location.search);
const link = { gid: Number(parameters.get('gid')) || undefined, pin: parameters.get('pin') ?? undefined };

const dialog = new JoinDialog(link, join);
/** @type {Millrace | undefined} */
let client;
/** The page goes: a reload finds its way back in, so nothing is forgotten. */
let unloading = false;

startSettings();
const before = link.gid ? tab.get(`joined:${link.gid}`) : null;
if (before && before.pin === link.pin) {
  // A reload in the middle of a call: back in at once.
  show('call');
  join({ ...before, gid: link.gid, pin: link.pin, mic: browser.get('mic') ?? true, cam: browser.get('cam') ?? true });
} else {
  ask();
}

addEventListener('pagehide', () => {
  unloading = true;
  client?.close();
});
addEventListener('pageshow', (event) => event.persisted && location.reload());
element('again').addEventListener('click', () => ask());

/** @param {'join' | 'call' | 'ended'} view */
function show(view) {
  document.body.dataset.view = view;
  for (const id of ['join', 'call', 'ended']) element(id).hidden = id !== view;
}

function ask() {
  show('join');
  dialog.open();
}

/** @param {Wish} wish */
async function join(wish) {
  try {
    const room = await enter(wish);
    dialog.close();
    show('call');
    tab.set(`joined:${wish.gid}`, { name: wish.name, pin: wish.pin, audioDevice: wish.audioDevice, videoDevice: wish.videoDevice });
    const call = new Call({
      client: /** @type {Millrace} */ (client),
      room,
      wish,
      end: (title, text) => {
        if (unloading) return;
        tab.set(`joined:${wish.gid}`, null);
        element('ended-title').textContent = title;
        element('ended-text').textContent = text ?? '';
        show('ended');
        element('again').focus();
      },
    });
    await call.publishCamera();
  } catch (error) {
    if (unloading) return;
    for (const track of wish.preview?.getTracks() ?? []) track.stop();
    client?.close();
    client = undefined;
    tab.set(`joined:${wish.gid}`, null);
    ask();
    dialog.setError(error instanceof Failure ? sentence(error) : 'The server cannot be reached. Try again in a moment.');
  }
}

/**
 * Connects and joins; a token that the server does not know any more is replaced once.
 * @param {Wish} wish
 */
async function enter(wish) {
  for (let attempt = 0; ; attempt += 1) {
    client = new Millrace({ token: await tokenFor(wish) });
    client.on('failed', ({ attempt }) => {
      if (attempt > 0) dialog.setNote('The server does not answer yet. Still trying…');
    });
    try {
      await client.connect();
      return await client.join(wish.gid, { pin: wish.pin });
    } catch (error) {
      client.close();
      if (attempt > 0 || !(error instanceof Failure) || error.code !== 'AUTHFAIL') throw error;
      forget(wish.gid);
    }
  }
}

/** @param {Failure} error */
function sentence({ code, message }) {
  switch (code) {
    case 'BADGROUP':
    case 'BADPIN': return 'There is no such room, or the pin is wrong.';
    case 'EXPIRED': return 'This room is closed.';
    case 'RATELIMIT': return 'Too many attempts. Wait a minute and try again.';
    case 'NOTALLOWED': return 'This room does not let guests in.';
    default: return message;
  }
}
