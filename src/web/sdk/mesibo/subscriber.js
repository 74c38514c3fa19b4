// SPDX-License-Identifier: Apache-2.0

import { GroupCallParticipant, talkTimestamp } from './participant.js';

/** @import { GroupCall } from './groupcall.js' */
/** @import { Who } from './participant.js' */

/** Somebody who views a stream of ours: `getType()` says which. */
export class Subscriber extends GroupCallParticipant {
  #who;

  /**
   * @param {GroupCall} group
   * @param {Who} who
   */
  constructor(group, who) {
    super(group);
    this.#who = who;
  }

  /** @override @protected */
  get who() {
    return this.#who;
  }

  /** @override */
  isTalking() {
    return this.#own().some(({ talking }) => talking);
  }

  /** @override */
  getTalkTimestamp() {
    return Math.max(0, ...this.#own().map(talkTimestamp));
  }

  /** What the subscriber itself publishes. */
  #own() {
    return this.group.streams.filter(({ uid }) => uid === this.#who.uid);
  }
}
