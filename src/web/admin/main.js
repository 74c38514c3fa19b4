// SPDX-License-Identifier: Apache-2.0

import { element } from '../app/dom.js';
import { browser, tab } from '../app/storage.js';
import { Api, Refused } from './api.js';
import { Calls } from './calls.js';
import { Load } from './load.js';
import { People } from './people.js';
import { Person } from './person.js';

const EVERY_MS = 1000;

const token = /** @type {HTMLInputElement} */ (element('token'));
const load = new Load();
const calls = new Calls((row) => go(row.gid), () => look());
const people = new People((row) => go(open.gid, row.uid), () => look());

/** @type {Api | undefined} */
let api;
/** Whether the token is the server's own. */
let server = true;
/** What is looked at. @type {{gid?: number, uid?: number}} */
let open = {};
/** @type {Person | undefined} */
let person;
/** @type {number | undefined} */
let timer;
/** Which look is the newest: what an older one brings is not shown. */
let turn = 0;

/** @param {number | undefined} gid @param {number} [uid] */
function go(gid, uid) {
  const address = new URLSearchParams();
  if (gid !== undefined) address.set('gid', String(gid));
  if (uid !== undefined) address.set('uid', String(uid));
  history.replaceState(null, '', address.size ? `#${address}` : location.pathname);
  follow();
}

/** Shows what the address names. */
function follow() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (/** @type {string} */ name) => (address.has(name) ? Number(address.get(name)) : undefined);
  const { gid } = open;
  open = { gid: number('gid'), uid: number('uid') };
  if (gid !== open.gid) {
    people.restart();
    title();
  }
  person?.close();
  person = undefined;
  element('people').hidden = open.gid === undefined;
  element('person').hidden = open.uid === undefined;
  if (api && open.gid !== undefined && open.uid !== undefined) person = new Person(api, open.gid, open.uid, () => look());
  look();
}

/** The name of the room that is open. */
async function title() {
  const { gid } = open;
  const place = element('people-title');
  place.textContent = `Room ${gid ?? ''}`;
  const group = gid !== undefined && (await api?.get(`groups/${gid}`).catch(() => undefined));
  if (group && gid === open.gid) place.textContent = `${group.name} · ${gid}`;
}

/** Asks for all that is shown, and again a second later; of a page that nobody sees nothing is asked. */
async function look() {
  clearTimeout(timer);
  if (!api || document.hidden) return;
  const now = (turn += 1);
  const asked = performance.now();
  try {
    await Promise.all([server && showServer(api), calls.load(api, open.gid), showRoom(api)]);
    if (now === turn) trouble('');
  } catch (error) {
    if (now !== turn) return;
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) return signOut(error.message);
    trouble(error.message);
  }
  if (now === turn) timer = setTimeout(look, Math.max(0, EVERY_MS - (performance.now() - asked)));
}

/** @param {Api} from */
async function showServer(from) {
  try {
    load.show(await from.get('node'));
  } catch (error) {
    // A user's token: that user's own rooms are shown, and not the server.
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    server = false;
  }
  element('load').hidden = !server;
  element('drain').hidden = !server;
}

/** @param {Api} from */
async function showRoom(from) {
  const { gid, uid } = open;
  if (gid === undefined) return;
  const shown = person;
  const gone = (/** @type {unknown} */ error) => {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    if (shown && shown === person) go(gid);
  };
  const names = people.load(from, gid, uid).then((known) => shown?.know(known));
  try {
    await Promise.all([names, shown?.load().catch(gone)]);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    if (gid === open.gid) go(undefined);
  }
}

/** @param {string} text */
function trouble(text) {
  element('trouble').textContent = text;
  element('trouble').hidden = !text;
}

/** @param {string} given */
async function signIn(given) {
  api = new Api(given);
  try {
    // What both an admin's and a user's token may read.
    await api.get('calls', { limit: 1 });
  } catch (error) {
    return signOut(/** @type {Error} */ (error).message);
  }
  tab.set('admin', given);
  server = true;
  token.value = '';
  element('sign-in').hidden = true;
  element('console').hidden = false;
  follow();
}

/** @param {string} [why] */
function signOut(why = '') {
  api = undefined;
  turn += 1;
  clearTimeout(timer);
  tab.set('admin', null);
  element('console').hidden = true;
  element('sign-in').hidden = false;
  element('sign-in-error').textContent = why;
  token.focus();
}

element('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  signIn(token.value.trim());
});
element('sign-out').addEventListener('click', () => signOut());
element('drain').addEventListener('click', async (event) => {
  const draining = /** @type {HTMLElement} */ (event.currentTarget).dataset.draining !== 'true';
  await api?.ask('PATCH', 'node', { draining }).catch((error) => trouble(error.message));
  look();
});
element('people-close').addEventListener('click', () => go(undefined));
element('person-close').addEventListener('click', () => go(open.gid));
document.addEventListener('visibilitychange', look);
addEventListener('hashchange', follow);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && open.gid !== undefined) go(open.uid === undefined ? undefined : open.gid);
  const typing = /** @type {HTMLElement} */ (event.target).closest('input, select');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    element(open.gid === undefined ? 'calls-search' : 'people-search').focus();
  }
});

document.documentElement.dataset.theme = browser.get('theme') ?? 'auto';
const kept = tab.get('admin');
if (kept) signIn(kept);
else element('sign-in').hidden = false;
