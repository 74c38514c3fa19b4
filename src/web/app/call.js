// SPDX-License-Identifier: Apache-2.0

import { Failure } from '../sdk/millrace.js';
import { ChatPanel } from './chat.js';
import { deviceProblem } from './devices.js';
import { element, setSwitch } from './dom.js';
import { warnOfEnd } from './ending.js';
import { Float } from './float.js';
import { Grid } from './grid.js';
import { PeoplePanel } from './people.js';
import { Quality } from './quality.js';
import { toggleFloat, toggleFull } from './screen.js';
import { bindSettings } from './settings.js';
import { Stage } from './stage.js';
import { browser } from './storage.js';
import { TileView } from './tile-view.js';

/** @import { Millrace, Publisher, Room, Stream } from '../sdk/millrace.js' */
/** @import { Wish } from './join.js' */

/** Who is shown large gets more than a screen (2) and everyone else (1) when bandwidth is short. */
const ON_STAGE = 3;

const grid = new Grid();

/** One's time in a room: its tiles, its buttons, its notices. */
export class Call {
  #client;
  #room;
  #wish;
  #end;
  #invite;
  #abort = new AbortController();
  /** @type {Map<Stream, TileView>} */
  #tiles = new Map();
  /** @type {Map<Publisher, TileView>} */
  #own = new Map();
  /** @type {Publisher | undefined} */
  #camera;
  /** @type {Publisher | undefined} */
  #screen;
  #panel;
  #chat;
  #stage;
  #float;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #toastTimer;

  /**
   * @param {{client: Millrace, room: Room, wish: Wish, invite: () => void, end: (title: string, text?: string) => void}} init
   */
  constructor({ client, room, wish, invite, end }) {
    this.#client = client;
    this.#room = room;
    this.#wish = wish;
    this.#invite = invite;
    this.#end = end;
    const { signal } = this.#abort;
    const init = { client, room, signal, toast: (/** @type {string} */ text) => this.#toast(text) };
    this.#panel = new PeoplePanel({ ...init, onOpen: () => this.#chat.show(false) });
    this.#chat = new ChatPanel({ ...init, onOpen: () => this.#panel.show(false) });
    this.#stage = new Stage({ grid, room, tileOf: (stream) => this.#tiles.get(stream), signal });
    this.#float = new Float({
      room,
      shown: () => this.#stage.stream,
      actions: { mic: () => this.#toggle('audio'), cam: () => this.#toggle('video'), leave: () => this.leave() },
      signal,
    });
    new Quality(client, (stream) => this.#tiles.get(stream), signal);

    room.on('roster', ({ joined, left, changed }) => this.#onRoster(joined, left, changed), { signal });
    room.on('talking', () => this.#own.forEach((tile, publisher) => tile.setTalking(room.selfTalking && publisher.source === 'camera')), { signal });
    room.on('rights', () => this.#onRights(), { signal });
    room.on('joined', () => this.#onRights(), { signal });
    room.on('muted', ({ audio, video }) => this.#toast(`An admin turned off your ${audio && video ? 'microphone and camera' : audio ? 'microphone' : 'camera'}.`), { signal });
    room.on('asked', (asked) => this.#onAsked(asked), { signal });
    element('asked-no').addEventListener('click', () => { element('asked').hidden = true; }, { signal });
    room.on('moved', () => this.#toast(`You are in ${room.name || 'another room'} now.`), { signal });
    warnOfEnd(init);
    room.on('removed', ({ reason }) => this.#finish('You are no longer in this room', ['EXPIRED', 'DURATION'].includes(reason) ? 'Your time in it is over.' : 'It was closed, or you were removed.'), { signal });
    client.on('state', ({ state, error }) => this.#onState(state, error), { signal });
    client.playback.on('blocked', (blocked) => { element('sound').hidden = !blocked; }, { signal });
    client.devices.on('changed', ({ added }) => {
      const [news] = added.filter(({ kind }) => kind !== 'output');
      if (news) this.#toast(`${news.label} was plugged in: choose it in the settings.`);
    }, { signal });
    this.#bindButtons(signal);
    bindSettings({
      signal,
      devices: client.devices,
      playback: client.playback,
      onProblem: (text) => this.#toast(text),
      onColumns: (columns) => grid.setColumns(columns),
      onDevice: (kind, id) => this.#camera?.setDevice(kind, id).catch((error) => this.#toast(deviceProblem(error, kind === 'audio' ? 'microphone' : 'camera'))),
      current: (kind) => this.#camera?.media.getTracks().find((track) => track.kind === kind)?.getSettings().deviceId,
    });

    this.#paintName();
    room.on('settings', () => this.#paintName(), { signal });
    element('reconnecting').hidden = true;
    element('sound').hidden = true;
    element('asked').hidden = true;
    element('float').hidden = !Float.possible;
    this.#paintSwitches();
    this.#onRights();
    grid.layout();
    this.#onRoster([...room.streams.values()], [], []);
  }

  /** Opens microphone and camera, and publishes them. */
  async publishCamera() {
    const { mic, cam, audioDevice, videoDevice, preview } = this.#wish;
    if (!this.#room.rights.publish) {
      for (const track of preview?.getTracks() ?? []) track.stop();
      return;
    }
    const publisher = this.#client.publisher({
      source: 'camera',
      muted: { audio: !mic, video: !cam },
      resolution: this.#room.resolution,
      audioDevice,
      videoDevice,
      preview,
    });
    this.#wish.preview = undefined;
    this.#camera = publisher;
    this.#follow(publisher);
    try {
      await publisher.start();
      const { audio, video } = publisher.errors;
      if (audio) this.#toast(deviceProblem(audio, 'microphone'));
      else if (video) this.#toast(deviceProblem(video, 'camera'));
    } catch (error) {
      this.#toast(problem(error, 'camera and microphone'));
    }
  }

  /** Leaves, by the person's own wish. */
  leave() {
    this.#finish('You left the room');
  }

  /**
   * @param {string} title
   * @param {string} [text]
   */
  #finish(title, text) {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    for (const tile of [...this.#tiles.values(), ...this.#own.values()]) grid.remove(tile);
    this.#client.close();
    document.title = 'millrace';
    this.#end(title, text);
  }

  /** @param {AbortSignal} signal */
  #bindButtons(signal) {
    const actions = {
      mic: () => this.#toggle('audio'),
      cam: () => this.#toggle('video'),
      screen: () => this.#toggleScreen(),
      'present-stop': () => this.#screen?.close(),
      leave: () => this.leave(),
      sound: () => this.#client.playback.resume(),
      copy: this.#invite,
      float: () => this.#smallWindow(),
      full: () => toggleFull(document.documentElement).catch(() => this.#toast('The browser does not allow full screen.')),
    };
    document.addEventListener('fullscreenchange', () => this.#paintSwitches(), { signal });
    for (const [id, action] of Object.entries(actions)) element(id).addEventListener('click', action, { signal });
    /** @type {Record<string, () => void>} */
    const keys = {
      m: actions.mic,
      v: actions.cam,
      s: actions.screen,
      p: () => element('people-toggle').click(),
      c: () => element('chat-toggle').click(),
      h: () => element('hand').click(),
      l: () => this.#stage.toggle(),
      f: actions.full,
      i: actions.float,
      '?': () => /** @type {HTMLDialogElement} */ (element('help')).showModal(),
      escape: () => grid.pinned && grid.pin(undefined),
    };
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target instanceof Element && event.target.closest('input, select, textarea, dialog')) return;
      keys[event.key.toLowerCase()]?.();
    }, { signal });
  }

  /** @param {'audio' | 'video'} kind */
  async #toggle(kind) {
    if (!this.#room.rights.publish) return;
    if (!this.#camera) {
      // The camera's stream was refused or has ended: turning either on publishes anew.
      Object.assign(this.#wish, { mic: kind === 'audio', cam: kind === 'video' });
      return this.publishCamera();
    }
    const muted = !this.#camera.muted[kind];
    browser.set(kind === 'audio' ? 'mic' : 'cam', !muted);
    try {
      await this.#camera.mute({ [kind]: muted });
    } catch (error) {
      this.#toast(problem(error, kind === 'audio' ? 'microphone' : 'camera'));
    }
    this.#paintSwitches();
  }

  async #toggleScreen() {
    if (!this.#room.rights.publish) return;
    if (this.#screen) return void this.#screen.close();
    const publisher = this.#client.publisher({ source: 'screen', audio: true });
    this.#screen = publisher;
    this.#follow(publisher);
    try {
      await publisher.start();
    } catch (error) {
      // Closing the browser's own dialog is no error worth a word.
      if (/** @type {Error} */ (error).name !== 'NotAllowedError') this.#toast(problem(error, 'screen'));
    }
  }

  /**
   * Shows one of our own streams.
   * @param {Publisher} publisher
   */
  #follow(publisher) {
    const screen = publisher.source === 'screen';
    const { signal } = this.#abort;
    const paint = () => {
      this.#own.get(publisher)?.setState({ muted: publisher.muted, audio: true, video: publisher.media.getVideoTracks().length > 0 });
      this.#paintSwitches();
      this.#panel.refresh();
    };
    publisher.on('media', (media) => {
      let tile = this.#own.get(publisher);
      if (!tile) {
        tile = new TileView({
          name: this.#client.self?.name ?? this.#wish.name,
          seed: String(this.#client.self?.uid ?? 0),
          screen,
          local: true,
          onPin: () => grid.pin(this.#own.get(publisher)),
          onProblem: () => this.#toast('The browser does not allow that now.'),
        });
        this.#own.set(publisher, tile);
        grid.add(tile, { self: !screen });
      }
      // Only the picture: one does not want to hear oneself.
      const [picture] = media.getVideoTracks();
      tile.video.srcObject = picture ? new MediaStream([picture]) : null;
      paint();
    }, { signal });
    publisher.on('muted', paint, { signal });
    publisher.on('device', ({ lost, label, error }) => {
      if (lost !== undefined && label) this.#toast(`${lost} went away: ${label} is used now.`);
      else if (error) this.#toast(`${lost} went away, and there is no other.`);
    }, { signal });
    publisher.on('state', (state) => {
      this.#own.get(publisher)?.setStale(state === 'reconnecting');
      this.#paintSwitches();
    }, { signal });
    publisher.on('quality', ({ level, rttMs, lossPercent }) => {
      this.#own.get(publisher)?.setQuality(level, `Sending: ${rttMs} ms, ${lossPercent} % lost`);
    }, { signal });
    publisher.on('ended', ({ reason }) => {
      const tile = this.#own.get(publisher);
      this.#own.delete(publisher);
      if (tile) grid.remove(tile);
      if (this.#camera === publisher) this.#camera = undefined;
      if (this.#screen === publisher) this.#screen = undefined;
      if (reason === 'notallowed') this.#toast('You may not publish here any more.');
      this.#paintSwitches();
      this.#panel.refresh();
    }, { signal });
  }

  /**
   * @param {Stream[]} joined
   * @param {Stream[]} left
   * @param {Stream[]} changed
   */
  #onRoster(joined, left, changed) {
    for (const stream of left) this.#removeTile(stream);
    if (this.#room.rights.subscribe) for (const stream of joined) this.#addTile(stream);
    for (const stream of changed) this.#paintTile(stream);
    const [news] = joined.length === 1 && !left.length ? joined : left.length === 1 && !joined.length ? left : [];
    if (news?.source === 1) this.#toast(`${news.name} ${joined.length ? 'is here' : 'left'}`);
  }

  /** @param {Stream} stream */
  #addTile(stream) {
    if (this.#tiles.has(stream)) return;
    const { signal } = this.#abort;
    const screen = stream.source === 2;
    const tile = new TileView({
      name: stream.name,
      seed: String(stream.uid),
      screen,
      local: false,
      onPin: () => grid.pin(tile),
      onProblem: () => this.#toast('The browser does not allow that now.'),
    });
    tile.element.dataset.stream = stream.key;
    this.#tiles.set(stream, tile);
    grid.add(tile);
    this.#paintTile(stream);
    stream.on('changed', () => this.#paintTile(stream), { signal });
    stream.on('talking', (talking) => tile.setTalking(talking), { signal });
    const view = this.#room.watch(stream, { tile: tile.element });
    tile.onLarge = (on) => view.update({ priority: on ? ON_STAGE : 1 });
    if (screen && !grid.pinned) grid.pin(tile);
    view.on('layer', (layer) => tile.setLayer(layer), { signal });
    view.attach(tile.video, { tile: tile.element });
  }

  /** @param {Stream} stream */
  #paintTile(stream) {
    const tile = this.#tiles.get(stream);
    tile?.setState(stream);
    tile?.setStale(stream.stale);
  }

  /** @param {Stream} stream */
  #removeTile(stream) {
    const tile = this.#tiles.get(stream);
    if (!tile) return;
    this.#tiles.delete(stream);
    tile.video.srcObject = null;
    grid.remove(tile);
  }

  /** The call above all other windows; or what is large, or whose picture comes first, where that is all that the browser can do. */
  #smallWindow() {
    if (Float.possible) return void this.#float.toggle().catch(() => this.#toast('The browser does not allow that now.'));
    const shown = grid.large ?? [...this.#tiles.values()].find(({ video }) => video.videoWidth);
    if (shown) toggleFloat(shown.video).catch(() => this.#toast('There is no picture for a window of its own.'));
  }

  #paintName() {
    const name = this.#room.name || `Room ${this.#room.gid}`;
    element('room-name').textContent = name;
    document.title = `${name} · millrace`;
  }

  #onRights() {
    const { publish, subscribe } = this.#room.rights;
    element('call').classList.toggle('viewer-only', !publish);
    for (const id of ['settings', 'help']) element(id).classList.toggle('viewer-only', !publish);
    element('role').hidden = publish;
    if (subscribe) for (const stream of this.#room.streams.values()) this.#addTile(stream);
    else for (const stream of [...this.#tiles.keys()]) this.#removeTile(stream);
  }

  /**
   * @param {Millrace['state']} state
   * @param {Failure} [error]
   */
  #onState(state, error) {
    element('reconnecting').hidden = state !== 'reconnecting';
    if (state !== 'closed') return;
    if (error?.code === 'SIGNOUT') this.#finish('You joined from somewhere else', 'This tab was signed out.');
    else if (error?.code === 'AUTHFAIL') this.#finish('You were signed out', 'Join again to come back.');
    else if (error?.code === 'VERSION') this.#finish('The server was updated', 'Reload the page to go on.');
    else this.#finish('The call ended', error?.code === 'CLOSED' ? '' : error?.message);
  }

  #paintSwitches() {
    const mic = this.#camera ? !this.#camera.muted.audio : false;
    const cam = this.#camera ? !this.#camera.muted.video : false;
    setSwitch(element('mic'), mic, { icon: mic ? 'mic' : 'mic-off', label: mic ? 'Mic: turn off (m)' : 'Mic: turn on (m)' });
    setSwitch(element('cam'), cam, { icon: cam ? 'cam' : 'cam-off', label: cam ? 'Turn camera off (v)' : 'Turn camera on (v)' });
    const full = document.fullscreenElement === document.documentElement;
    setSwitch(element('full'), full, { label: full ? 'Leave full screen (f)' : 'Full screen (f)' });
    element('presenting').hidden = !['connected', 'reconnecting'].includes(this.#screen?.state ?? '');
    setSwitch(element('screen'), Boolean(this.#screen), { label: this.#screen ? 'Stop sharing the screen (s)' : 'Share a screen (s)' });
  }

  /** An admin wants something: it is done with a click, and not without one. @param {import('../sdk/types.js').Asked} asked */
  #onAsked({ action, name, stream, audio, video }) {
    const shown = stream && [...this.#tiles].find(([{ uid, sid }]) => uid === stream.uid && sid === stream.sid)?.[1];
    /** @type {Partial<Record<typeof action, [string, () => void]>>} */
    const wants = {
      unmute: [`${name} asks you to turn on your ${audio && !video ? 'microphone' : video && !audio ? 'camera' : 'microphone and camera'}`, () => {
        if (audio && this.#camera?.muted.audio) this.#toggle('audio');
        if (video && this.#camera?.muted.video) this.#toggle('video');
      }],
      publish: [`${name} asks you to come on the stage`, () => { if (!this.#camera) this.#toggle('audio'); }],
      stop: [`${name} asks you to stop sending`, () => { this.#camera?.close(); this.#screen?.close(); }],
      leave: [`${name} asks you to leave`, () => this.leave()],
      subscribe: [`${name} asks you to watch ${stream ? this.#room.streams.get(`${stream.uid}/${stream.sid}`)?.name ?? 'a stream' : 'what is sent'}`, () => shown && grid.pin(shown)],
      fullscreen: [`${name} asks you to watch in full screen`, () => (shown?.element ?? document.documentElement).requestFullscreen().catch(() => {})],
    };
    const want = wants[action];
    if (!want) return;
    const [text, act] = want;
    element('asked-text').textContent = text;
    element('asked').hidden = false;
    element('asked-yes').onclick = () => {
      element('asked').hidden = true;
      act();
    };
  }

  /** @param {string} text */
  #toast(text) {
    const toast = element('toast');
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => { toast.hidden = true; }, 4000);
  }
}

/**
 * @param {unknown} error
 * @param {string} what
 */
function problem(error, what) {
  return error instanceof Failure ? error.message : deviceProblem(error, what);
}
