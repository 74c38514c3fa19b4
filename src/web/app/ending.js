// SPDX-License-Identifier: Apache-2.0

import { element } from './dom.js';

/** @import { Room } from '../sdk/millrace.js' */

/** How long before the end it is said, in seconds. In the last of them the time that is left stands on the screen. */
const MARKS = [600, 300, 60];
const LAST = 60;

/**
 * Says in time that a call ends, where it has an end.
 * @param {{room: Room, toast: (text: string) => void, signal: AbortSignal}} init
 */
export function warnOfEnd({ room, toast, signal }) {
  const notice = element('ending');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let said = Infinity;
  const look = () => {
    clearTimeout(timer);
    const { endsAt } = room;
    const left = endsAt === undefined ? Infinity : Math.max(0, Math.round((endsAt - performance.now()) / 1000));
    notice.hidden = left > LAST;
    if (endsAt === undefined) return;
    if (left <= LAST) notice.textContent = `This call ends in ${left} s`;
    const mark = MARKS.findLast((seconds) => left <= seconds) ?? Infinity;
    if (mark < said) toast(`This call ends in ${spoken(left)}.`);
    said = mark;
    const next = left <= LAST ? left - 1 : MARKS.find((seconds) => seconds < left) ?? 0;
    // A timer may not be set for more than some weeks.
    if (left > 0) timer = setTimeout(look, Math.min(endsAt - next * 1000 - performance.now(), 86_400_000));
  };
  room.on('ends', look, { signal });
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    notice.hidden = true;
  });
  look();
}

/** @param {number} seconds */
function spoken(seconds) {
  if (seconds <= 90) return `${seconds} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}
