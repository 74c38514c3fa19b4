// SPDX-License-Identifier: Apache-2.0

import { Failure } from '../sdk/millrace.js';
import { element } from './dom.js';
import { Panel } from './panel.js';

/** @import { Message, Millrace, Room } from '../sdk/millrace.js' */

const REACTIONS = ['👍', '👏', '❤️', '😂', '🎉'];
/** @type {Record<Message['status'], string>} */
const STATUS = { sending: 'Sending…', sent: 'Sent', delivered: 'Delivered', read: 'Read', failed: 'Not sent', received: '' };
/** Messages of one person within so long stand under one name. */
const TOGETHER_MS = 120_000;

/** What is said in the room, and the hands and reactions. */
export class ChatPanel extends Panel {
  #hand = element('hand');
  #log = element('chat-log');
  /** @type {HTMLTextAreaElement} */
  #text = element('chat-text');
  /** @type {HTMLSelectElement} */
  #to = element('chat-to');
  #client;
  #room;
  #toast;

  /**
   * @param {{client: Millrace, room: Room, signal: AbortSignal, toast: (text: string) => void, onOpen: () => void}} init
   */
  constructor({ client, room, signal, toast, onOpen }) {
    super('chat', signal, onOpen);
    this.#client = client;
    this.#room = room;
    this.#toast = toast;
    const { chat } = room;
    for (const type of /** @type {const} */ (['message', 'status', 'cleared', 'unread'])) chat.on(type, () => this.refresh(), { signal });
    chat.on('message', (message) => this.#onMessage(message), { signal });
    chat.on('hands', () => this.#onHands(), { signal });
    chat.on('reaction', (reaction) => this.#onReaction(reaction), { signal });
    room.on('people', () => this.#paintPeople(), { signal });
    for (const type of /** @type {const} */ (['rights', 'joined'])) room.on(type, () => this.#onRights(), { signal });
    element('chat-older').addEventListener('click', () => this.#older(), { signal });
    this.#hand.addEventListener('click', () => chat.raiseHand(!chat.handUp).catch((error) => this.#failed(error)), { signal });
    element('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    }, { signal });
    /** @type {HTMLInputElement} */
    const file = element('chat-file');
    file.addEventListener('change', () => this.#sendFile(file), { signal });
    element('chat-attach').addEventListener('click', () => file.click(), { signal });
    this.#text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    }, { signal });
    document.addEventListener('visibilitychange', () => this.refresh(), { signal });
    element('reactions').replaceChildren(...REACTIONS.map((text) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.setAttribute('aria-label', `React with ${text}`);
      button.addEventListener('click', () => chat.react(text).catch((error) => this.#failed(error)), { signal });
      return button;
    }));
    this.#log.replaceChildren();
    this.#onRights();
    this.#onHands();
    this.#paintPeople();
  }

  /** @param {boolean} on */
  show(on) {
    super.show(on);
    if (on && this.#room.rights.send) this.#text.focus();
  }

  paint() {
    const { chat } = this.#room;
    if (this.open && !document.hidden) chat.markRead();
    element('chat-badge').textContent = chat.unread > 99 ? '99+' : chat.unread ? String(chat.unread) : '';
    this.toggle.setAttribute('aria-label', chat.unread ? `Chat, ${chat.unread} unread` : 'Chat');
    if (!this.open) return;
    element('chat-older').hidden = !chat.more;
    element('chat-empty').hidden = chat.messages.length > 0;
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    const { messages } = chat;
    this.#log.replaceChildren(...messages.map((message, n) => this.#row(message, messages[n - 1])));
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /**
   * @param {Message} message
   * @param {Message | undefined} before
   */
  #row(message, before) {
    const row = document.createElement('li');
    row.classList.toggle('mine', message.mine);
    row.classList.toggle('failed', message.status === 'failed');
    const follows = before?.uid === message.uid && before.to === message.to && message.at - before.at < TOGETHER_MS;
    if (!follows) {
      const head = document.createElement('small');
      const time = new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
      head.textContent = `${message.mine ? 'You' : message.name}${this.#direct(message)} · ${time}`;
      row.append(head);
    }
    const text = document.createElement('p');
    text.textContent = message.text;
    if (message.file) text.append(this.#file(message));
    row.append(text);
    const last = this.#room.chat.messages.findLast(({ mine }) => mine) === message;
    if (message.mine && (last || message.status === 'failed')) {
      const status = document.createElement('small');
      status.className = 'status';
      status.textContent = STATUS[message.status];
      row.append(status);
    }
    return row;
  }

  /** The file of a message: a click saves it. @param {Message} message */
  #file(message) {
    const { name = '', size = 0 } = message.file ?? {};
    const save = document.createElement('button');
    save.type = 'button';
    save.className = 'file';
    save.textContent = `📎 ${name} (${size < 1e6 ? `${Math.ceil(size / 1000)} kB` : `${(size / 1e6).toFixed(1)} MB`})`;
    save.addEventListener('click', async () => {
      try {
        const link = document.createElement('a');
        link.href = await this.#room.chat.fileLink(message);
        link.download = name;
        link.click();
      } catch (error) {
        this.#failed(error);
      }
    });
    return save;
  }

  /** @param {HTMLInputElement} input */
  async #sendFile(input) {
    const [file] = input.files ?? [];
    input.value = '';
    if (!file) return;
    try {
      this.#toast(`Sending ${file.name}…`);
      await this.#room.chat.sendFile(file, { to: Number(this.#to.value) || undefined });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** @param {Message} message */
  #direct({ to, mine }) {
    if (!to) return '';
    return mine ? ` to ${this.#room.people.get(to)?.name ?? 'one person'}` : ' to you';
  }

  async #send() {
    const text = this.#text.value.trim();
    if (!text) return;
    const to = Number(this.#to.value) || undefined;
    this.#text.value = '';
    this.#log.scrollTop = this.#log.scrollHeight;
    try {
      await this.#room.chat.send(text, { to });
    } catch (error) {
      if (!this.#text.value) this.#text.value = text;
      this.#failed(error);
    }
  }

  async #older() {
    try {
      await this.#room.chat.older();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** @param {Message} message */
  #onMessage(message) {
    if (!message.mine && !this.open) this.#toast(`${message.name}: ${(message.text || message.file?.name || '').slice(0, 80)}`);
  }

  #onHands() {
    const { chat } = this.#room;
    this.#hand.setAttribute('aria-pressed', String(chat.handUp));
    this.#hand.setAttribute('aria-label', chat.handUp ? 'Lower your hand (h)' : 'Raise your hand (h)');
    const others = [...chat.hands.values()];
    const note = element('hands');
    note.hidden = others.length === 0;
    note.textContent = `✋ ${others.slice(0, 5).join(', ')}${others.length > 5 ? ` and ${others.length - 5} more` : ''}`;
  }

  /** @param {{name?: string, text: string}} reaction */
  #onReaction({ name, text }) {
    const shown = document.createElement('p');
    shown.className = 'reaction';
    shown.textContent = text;
    const who = document.createElement('small');
    who.textContent = name ?? '';
    shown.append(who);
    shown.style.setProperty('--at', `${10 + Math.random() * 80}%`);
    const floor = element('floor');
    // A crowd that claps is a few hands on the screen.
    if (floor.querySelectorAll('.reaction').length > 20) return;
    floor.append(shown);
    setTimeout(() => shown.remove(), 3000);
  }

  #onRights() {
    const { send, receive } = this.#room.rights;
    this.toggle.hidden = !send && !receive;
    this.#hand.hidden = false;
    element('chat-form').hidden = !send;
    element('reactions').hidden = !send;
    if (receive && this.#room.chat.more === undefined) this.#older();
  }

  #paintPeople() {
    const chosen = this.#to.value;
    const others = [...this.#room.people.values()].filter(({ uid }) => uid !== this.#client.self?.uid);
    others.sort((a, b) => a.name.localeCompare(b.name));
    this.#to.replaceChildren(new Option('Everyone', ''), ...others.map(({ uid, name }) => new Option(name, String(uid))));
    if (others.some(({ uid }) => String(uid) === chosen)) this.#to.value = chosen;
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#toast(error instanceof Failure ? error.message : 'That did not work.');
  }
}
