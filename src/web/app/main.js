// SPDX-License-Identifier: Apache-2.0
// The page: where one comes without a link, one's rooms, and, by the link that carries a room's number and pin, the room.

import { Failure, Millrace } from '../sdk/millrace.js';
import { account, forgetAccount, signOut } from './account.js';
import { element } from './dom.js';
import { forget, tokenFor } from './guest.js';
import { JoinDialog } from './join.js';
import { linkTo } from './link.js';
import { startSettings } from './settings.js';
import { browser, tab } from './storage.js';

/** @import { Link, Wish } from './join.js' */
/** @typedef {'home' | 'rooms' | 'room' | 'join' | 'call' | 'ended'} View */
const VIEWS = /** @type {const} */ (['home', 'rooms', 'room', 'join', 'call', 'ended']);
const SIGNED_OUT = 'You are signed out. Sign in again.';

const dialog = new JoinDialog(join);
/** @type {ReturnType<typeof makeDesk> | undefined} */
let desk;
/** Counts the views, so that one that comes late is not shown. */
let step = 0;
/** Whether one came to the view from another of this page. */
let moved = false;
/** @type {Millrace | undefined} */
let client;
/** The room that one is in. */
let inside = 0;
/** The page goes: a reload finds its way back in, so nothing is forgotten. */
let unloading = false;

startSettings();
route();

addEventListener('pagehide', () => {
  unloading = true;
});
addEventListener('pageshow', (event) => event.persisted && location.reload());
addEventListener('popstate', () => {
  if (document.body.dataset.view !== 'call') return route();
  // Back, out of a call: the page begins anew, which leaves it.
  tab.set(`joined:${inside}`, null);
  return location.reload();
});
addEventListener('signed-out', () => sit('home', ({ home }) => home.open(SIGNED_OUT)));
element('again').addEventListener('click', () => ask(linked()));
element('sign-out').addEventListener('click', async () => {
  await signOut();
  go('/');
});
element('mast-in').addEventListener('click', () => tab.set('next', location.pathname + location.search));
addEventListener('storage', ({ key }) => {
  // Signed in or out in another tab.
  if (key === 'millrace:account' && document.body.dataset.view !== 'call') route();
});
document.addEventListener('click', (event) => {
  const anchor = event.target instanceof Element ? event.target.closest('a') : null;
  if (!anchor || anchor.origin !== location.origin || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
});

/**
 * Shows where one signs in and has one's rooms, once it is loaded: nobody fills in a form that does nothing yet.
 * @param {'home' | 'rooms' | 'room'} view
 * @param {(desk: Awaited<ReturnType<typeof makeDesk>>) => void} fill
 */
async function sit(view, fill) {
  const at = (step += 1);
  desk ??= makeDesk();
  const loaded = await desk;
  if (at !== step) return;
  open(view, () => fill(loaded));
  // Who reads by ear hears where this led.
  if (moved) element(`${view}-title`).focus();
}

async function makeDesk() {
  const { Home, RoomPage, Rooms } = await import('./desk.js');
  const home = new Home(go, () => {
    // Back to where one wanted to go in.
    const next = tab.get('next');
    tab.set('next', null);
    if (next) go(next);
    else route();
  });
  return { home, rooms: new Rooms(go), roomPage: new RoomPage(go) };
}

/** What the link says. @returns {Link} */
function linked() {
  const parameters = new URLSearchParams(location.search);
  return { gid: Number(parameters.get('gid')) || 0, pin: parameters.get('pin') ?? '', watch: parameters.has('watch') };
}

/** @param {string} path */
function go(path) {
  history.pushState(null, '', path);
  moved = true;
  route();
}

/** Shows what the address says. */
function route() {
  const link = linked();
  const room = Number(new URLSearchParams(location.search).get('room'));
  if (link.gid) {
    tab.set('next', null);
    const before = tab.get(`joined:${link.gid}`);
    if (before?.pin !== link.pin) return ask(link);
    // A reload in the middle of a call: back in at once.
    step += 1;
    show('call');
    const token = before.account ? account()?.token : undefined;
    join({ ...before, ...link, token, mic: before.mic ?? browser.get('mic') ?? true, cam: before.cam ?? browser.get('cam') ?? true });
  } else if (!account()) sit('home', ({ home }) => home.open());
  else if (room) sit('room', ({ roomPage }) => roomPage.open(room));
  else sit('rooms', ({ rooms }) => rooms.open());
}

/** @param {View} view */
function show(view) {
  document.body.dataset.view = view;
  for (const id of VIEWS) element(id).hidden = id !== view;
  element('outside').hidden = view === 'call';
  if (view !== 'join') dialog.close();
  const me = account();
  element('mast-who').hidden = !me;
  element('mast-in').hidden = me !== null || view === 'home';
  element('mast-name').textContent = me?.name ?? '';
}

/**
 * @param {View} view
 * @param {() => void} fill
 */
function open(view, fill) {
  show(view);
  document.title = view === 'rooms' ? 'My rooms · millrace' : 'millrace';
  element('outside').scrollTop = 0;
  fill();
}

/** The call itself, which only those load who are about to join. */
function loadCall() {
  return import('./call.js');
}

/** @param {Link} link */
function ask(link) {
  loadCall().catch(() => {});
  step += 1;
  open('join', () => dialog.open(link));
}

/** @param {Wish} wish */
async function join(wish) {
  try {
    const [{ Call }, { room, token }] = await Promise.all([loadCall(), enter(wish)]);
    // A pin typed by hand: a reload comes back by it.
    if (wish.pin !== linked().pin) history.replaceState(null, '', linkTo(wish.gid, wish.pin, wish.watch));
    show('call');
    inside = wish.gid;
    tab.set(`joined:${wish.gid}`, {
      name: wish.name,
      pin: wish.pin,
      account: Boolean(wish.token),
      audioDevice: wish.audioDevice,
      videoDevice: wish.videoDevice,
      ...(wish.watch && { mic: false, cam: false }),
    });
    const call = new Call({
      client: /** @type {Millrace} */ (client),
      room,
      wish,
      invite: async () => (await import('./invite.js')).openInvite(room, { token, pin: wish.pin, watch: !room.rights.publish }),
      end: (title, text) => {
        if (unloading) return;
        tab.set(`joined:${wish.gid}`, null);
        element('ended-title').textContent = title;
        element('ended-text').textContent = text ?? '';
        element('ended-home').textContent = account() ? 'My rooms' : 'To the first page';
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
    ask(linked());
    dialog.setError(error instanceof Failure ? sentence(error, !wish.token) : 'The server cannot be reached. Try again in a moment.');
  }
}

/**
 * Connects and joins; a token that the server does not know any more is replaced once.
 * @param {Wish} wish
 */
async function enter(wish) {
  for (let attempt = 0; ; attempt += 1) {
    const token = await tokenFor(wish);
    client = new Millrace({ token });
    client.on('failed', ({ attempt }) => {
      if (attempt > 0) dialog.setNote('The server does not answer yet. Still trying…');
    });
    try {
      await client.connect();
      return { token, room: await client.join(wish.gid, { pin: wish.pin || undefined }) };
    } catch (error) {
      client.close();
      if (attempt > 0 || !(error instanceof Failure) || error.code !== 'AUTHFAIL') throw error;
      if (wish.token) {
        forgetAccount();
        throw new Failure('AUTHFAIL', SIGNED_OUT);
      }
      forget(wish.gid);
    }
  }
}

/**
 * @param {Failure} error
 * @param {boolean} guest
 */
function sentence({ code, message }, guest) {
  switch (code) {
    case 'BADGROUP':
    case 'BADPIN': return `There is no such room, or the pin is wrong.${guest ? ' Some rooms also want you to sign in.' : ''}`;
    case 'EXPIRED': return 'This room is closed.';
    case 'RATELIMIT': return 'Too many attempts. Wait a minute and try again.';
    case 'NOTALLOWED': return 'This room does not let guests in.';
    default: return message;
  }
}
