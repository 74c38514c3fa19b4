// SPDX-License-Identifier: Apache-2.0

import { Emitter } from './emitter.js';
import { upload } from './files.js';

/** @import { FileOptions } from './files.js' */
/** @import { Said, SentFile } from './types.js' */
/** @import { Signal } from './signal.js' */

/**
 * @typedef {'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'received'} MessageStatus
 * @typedef {Said & {gid: number, mine: boolean, status: MessageStatus}} Message
 * @typedef {{uid: number, name: string, text: string}} Reaction
 * @typedef {{message: Message, status: Message, cleared: void, unread: number, hands: Map<number, string>, reaction: Reaction}} ChatEvents
 */

/** Messages held in the page; older ones are asked for again. */
const HELD = 2000;
/** Receipts are gathered for so long. */
const RECEIPT_MS = 200;
/** Pages that are asked for at most to fill the gap of a lost connection. */
const PAGES = 10;

/**
 * What is said in a room. `room.chat` is it.
 *
 * Events: `message` (a Message: somebody's, or our own), `status` (a Message of ours got further), `cleared` (the held messages
 * changed otherwise: older ones came), `unread` (their number), `hands` (Map of who raised theirs), `reaction` ({uid, name, text}).
 * @extends {Emitter<ChatEvents>}
 */
export class Chat extends Emitter {
  /** Messages held, the oldest first. @type {Message[]} */
  messages = [];
  /** Whether there are older ones than those held; `undefined` while nobody asked. @type {boolean | undefined} */
  more;
  /** Raised hands, in their order: name by uid. @type {Map<number, string>} */
  hands = new Map();
  /** Messages of others that were not read. */
  unread = 0;

  #signal;
  #gid;
  #mayReceive;
  #key = Math.floor(Math.random() * 2 ** 40);
  /** How far others got. @type {Map<number, {delivered: number, read: number}>} */
  #marks = new Map();
  #delivered = 0;
  #read = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #receipt;

  /** @param {{signal: Signal, gid: number, mayReceive: () => boolean}} init */
  constructor({ signal, gid, mayReceive }) {
    super();
    this.#signal = signal;
    this.#gid = gid;
    this.#mayReceive = mayReceive;
  }

  /**
   * Says something to the group, or to one person in it.
   * @param {string} text
   * @param {{to?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<Message>}
   */
  send(text, { to, signal } = {}) {
    return this.#say(text, { to, signal });
  }

  /**
   * Sends a file to the group, or to one person in it.
   * @param {Blob} file
   * @param {FileOptions} [options]
   * @returns {Promise<Message>}
   */
  async sendFile(file, options = {}) {
    const sent = await upload(this.#signal.access, { gid: this.#gid, file, ...options });
    const { to, text = '', signal } = options;
    return this.#say(text, { to, signal, file: sent });
  }

  /**
   * Where the file of a message is to be had for a minute.
   * @param {Message} message
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<string>}
   */
  async fileLink({ file }, options) {
    const { url } = await this.#signal.request('file', { file: file?.id }, options);
    return new URL(url, this.#signal.access.server).href;
  }

  /**
   * @param {string} text
   * @param {{to?: number, signal?: AbortSignal, file?: SentFile}} options
   */
  async #say(text, { to, signal, file }) {
    const self = this.#signal.hello;
    /** @type {Message} */
    const message = {
      gid: this.#gid, id: 0, at: Date.now(), uid: self?.uid ?? 0, name: self?.name ?? '', to, text, ...(file && { file }), mine: true, status: 'sending',
    };
    this.messages.push(message);
    this.emit('message', message);
    try {
      this.#key += 1;
      const answer = await this.#signal.request('message', { gid: this.#gid, ...(to && { to }), text, ...(file && { file: file.id }), key: this.#key }, { signal });
      Object.assign(message, { id: answer.id, at: answer.at, to: answer.to, status: 'sent' });
      this.#sort();
      this.#apply(message);
      return message;
    } catch (error) {
      message.status = 'failed';
      throw error;
    } finally {
      this.emit('status', message);
    }
  }

  /**
   * Asks for what was said before what is held. True while there is more.
   * @param {{count?: number, signal?: AbortSignal}} [options]
   */
  async older({ count, signal } = {}) {
    if (!this.#mayReceive()) return false;
    const before = this.messages.find(({ id }) => id)?.id;
    const page = await this.history({ before, count, signal });
    this.more = page.more;
    this.#merge(page.messages);
    this.emit('cleared');
    return page.more;
  }

  /**
   * A page of what was said, the oldest first. `with` is of use for what is between two.
   * @param {{before?: number, with?: number, count?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<{messages: Message[], more: boolean}>}
   */
  async history({ before, with: uid, count, signal } = {}) {
    const ask = { gid: this.#gid, ...(before && { before }), ...(uid && { with: uid }), ...(count && { count }) };
    const { messages, more = false, read, marks } = await this.#signal.request('history', ask, { signal });
    this.#read = Math.max(this.#read, read);
    for (const mark of marks) this.#marks.set(mark.uid, mark);
    return { messages: messages.map((/** @type {Said} */ said) => this.#message(said)), more };
  }

  /** All that is held was read. */
  markRead() {
    const last = this.messages.findLast(({ id, mine }) => id && !mine)?.id ?? 0;
    if (last <= this.#read) return;
    this.#read = last;
    this.#later();
    this.#count();
  }

  /**
   * @param {boolean} [up]
   * @param {{signal?: AbortSignal}} [options]
   */
  async raiseHand(up = true, options) {
    await this.#signal.request('hand', { gid: this.#gid, up }, options);
  }

  /** Whether our own hand is up. */
  get handUp() {
    return this.hands.has(this.#signal.hello?.uid ?? -1);
  }

  /**
   * Shows others a reaction for a moment: a picture character.
   * @param {string} text
   * @param {{signal?: AbortSignal}} [options]
   */
  async react(text, options) {
    await this.#signal.request('react', { gid: this.#gid, text }, options);
    this.emit('reaction', { uid: this.#signal.hello?.uid ?? 0, name: this.#signal.hello?.name ?? '', text });
  }

  /** Fills the gap that a lost connection left. */
  async catchUp() {
    if (this.more === undefined || !this.#mayReceive()) return;
    const last = this.messages.findLast(({ id }) => id)?.id ?? 0;
    /** @type {number | undefined} */
    let before;
    for (let pages = 0; pages < PAGES; pages += 1) {
      const { messages, more } = await this.history({ before });
      this.#merge(messages);
      before = messages[0]?.id;
      if (!more || !before || before <= last) break;
    }
    this.emit('cleared');
  }

  /** @param {Said} said */
  onMessage(said) {
    if (this.messages.some(({ id }) => id === said.id)) return;
    const message = this.#message(said);
    this.#merge([message]);
    this.emit('message', message);
  }

  /** @param {{uid: number, delivered: number, read: number}} mark */
  onStatus({ uid, delivered, read }) {
    this.#marks.set(uid, { delivered, read });
    for (const message of this.messages) if (message.mine && this.#apply(message)) this.emit('status', message);
  }

  /** @param {{all: boolean, raised?: {uid: number, name: string}[], lowered?: number[]}} hands */
  onHands({ all, raised = [], lowered = [] }) {
    if (all) this.hands.clear();
    for (const { uid, name } of raised) this.hands.set(uid, name);
    for (const uid of lowered) this.hands.delete(uid);
    this.emit('hands', this.hands);
  }

  /** @param {{uid: number, name: string, text: string}} reaction */
  onReaction({ uid, name, text }) {
    this.emit('reaction', { uid, name, text });
  }

  /** The room goes on in another group, where other things were said. @param {number} gid */
  move(gid) {
    clearTimeout(this.#receipt);
    this.#receipt = undefined;
    this.#gid = gid;
    this.messages = [];
    this.more = undefined;
    this.#marks.clear();
    this.#delivered = this.#read = 0;
    this.emit('cleared');
    this.#count();
    this.onHands({ all: true });
  }

  close() {
    clearTimeout(this.#receipt);
  }

  /** @param {Said} said @returns {Message} */
  #message(said) {
    const mine = said.uid === this.#signal.hello?.uid;
    /** @type {Message} */
    const message = { ...said, gid: this.#gid, mine, status: mine ? 'sent' : 'received' };
    if (mine) this.#apply(message);
    return message;
  }

  /** @param {Message[]} messages */
  #merge(messages) {
    const held = new Set(this.messages.map(({ id }) => id));
    this.messages.push(...messages.filter(({ id }) => !held.has(id)));
    this.#sort();
    const last = this.messages.findLast(({ id, mine }) => id && !mine)?.id ?? 0;
    if (last > this.#delivered) {
      this.#delivered = last;
      this.#later();
    }
    this.#count();
  }

  /** What is on its way stays at the end. */
  #sort() {
    this.messages.sort((a, b) => (a.id || Infinity) - (b.id || Infinity) || 0);
    if (this.messages.length > HELD) {
      this.messages.splice(0, this.messages.length - HELD);
      this.more = true;
    }
  }

  #count() {
    const unread = this.messages.filter(({ id, mine }) => !mine && id > this.#read).length;
    if (unread === this.unread) return;
    this.unread = unread;
    this.emit('unread', unread);
  }

  /** How far one of our messages got, by the marks of who may read it. @param {Message} message */
  #apply(message) {
    const { id, to, status } = message;
    if (!id || status === 'read') return false;
    let reached = /** @type {MessageStatus} */ (status);
    for (const [uid, mark] of this.#marks) {
      if (to && uid !== to) continue;
      if (mark.read >= id) reached = 'read';
      else if (mark.delivered >= id && reached !== 'read') reached = 'delivered';
    }
    message.status = reached;
    return reached !== status;
  }

  #later() {
    this.#receipt ??= setTimeout(() => {
      this.#receipt = undefined;
      if (!this.#mayReceive()) return;
      this.#signal.request('receipt', { gid: this.#gid, delivered: this.#delivered, read: this.#read }).catch(() => {});
    }, RECEIPT_MS);
  }
}
