// SPDX-License-Identifier: Apache-2.0
// Numbers with their units, and words for what the API calls by name.

/** What is not known. */
export const NONE = '–';

/** @param {number} value */
const digits = (value) => (value.toFixed(value >= 10 ? 0 : 1));

/**
 * @param {number} value
 * @param {string} unit
 * @param {number} [step] 1000, or 1024
 */
function scaled(value, unit, step = 1000) {
  const letters = ['', step === 1000 ? 'k' : 'Ki', step === 1000 ? 'M' : 'Mi', step === 1000 ? 'G' : 'Gi'];
  let at = 0;
  while (value >= step && at < letters.length - 1) {
    value /= step;
    at += 1;
  }
  return `${at ? digits(value) : Math.round(value)} ${letters[at]}${unit}`;
}

/** @param {number} bps */
export const bits = (bps) => scaled(bps, 'bit/s');
/** @param {number} count a second */
export const rate = (count) => scaled(count, '/s');
/** @param {number} bytes */
export const bytes = (bytes) => scaled(bytes, 'B', 1024);
/** @param {number} value */
export const percent = (value) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
/** @param {number} value */
export const count = (value) => String(Math.round(value));
/** @param {number | null | undefined} kbps */
export const kbps = (kbps) => (kbps == null ? NONE : bits(kbps * 1000));
/** @param {number | null | undefined} ms */
export const millis = (ms) => (ms == null ? NONE : `${ms} ms`);
/** What stands out only if there is something. @param {number} value */
export const some = (value) => (value ? String(value) : NONE);

/** @param {number} number @param {string} thing */
export const many = (number, thing) => `${number} ${thing}${number === 1 ? '' : 's'}`;

/** @param {number | null | undefined} width @param {number | null | undefined} height */
export const size = (width, height) => (width && height ? `${width}×${height}` : NONE);

/** @param {number} seconds */
export function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${seconds} s`;
}

/** Why a view has this picture and no other: in short, and as a sentence. @type {Record<string, [string, string]>} */
export const WHY = {
  tile: ['size wanted', 'The smallest picture that fills the tile.'],
  cap: ['limits', 'Rights or limits allow no more.'],
  source: ['publisher', 'The publisher sends nothing larger.'],
  bandwidth: ['estimate', 'The way to this viewer carries no more, by estimate.'],
  paused: ['paused by estimate', 'The way to this viewer carries not even the smallest picture, by estimate.'],
  keyframe: ['awaits keyframe', 'A keyframe of the wanted layer is awaited.'],
  inactive: ['paused by viewer', 'The viewer hides it or stopped it.'],
  silent: ['nothing arrives', 'Nothing arrives from the publisher.'],
  codec: ['codec', 'The viewer can decode none of the publisher’s codecs.'],
  loudness: ['others louder', 'Others are louder.'],
};
