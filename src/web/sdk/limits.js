// SPDX-License-Identifier: Apache-2.0
// What limits mean for what this browser sends (docs/signalling.md, "Limits").

import { RESOLUTIONS } from './constants.js';

/** @import { Codec, LimitChanges } from './types.js' */
/** @import { Encoding } from './encodings.js' */

/**
 * Of several limits the strictest; of codecs those that all allow.
 * @param {LimitChanges[]} all
 * @returns {LimitChanges}
 */
export function strictest(all) {
  /** @type {any} */
  const sum = {};
  for (const limits of all) {
    for (const [name, value] of Object.entries(limits)) {
      if (Array.isArray(value)) sum.codecs = sum.codecs?.filter((/** @type {Codec} */ codec) => value.includes(codec)) ?? value;
      else sum[name] = Math.min(sum[name] ?? Infinity, value);
    }
  }
  return sum;
}

/**
 * The codec to publish in: the one that is wished for, if it is allowed.
 * @param {Codec} wished
 * @param {LimitChanges} limits
 */
export function codecWithin(wished, { codecs }) {
  return codecs && !codecs.includes(wished) ? codecs[0] ?? wished : wished;
}

/**
 * How an encoding of a picture is to run: the `at`-th from the smallest of those that are planned.
 * @param {Encoding} planned
 * @param {number} at
 * @param {{limits: LimitChanges, wanted: boolean, width: number, height: number}} now `width` and `height` of what is captured
 * @returns {Partial<Encoding>}
 */
export function within(planned, at, { limits, wanted, width, height }) {
  const { maxPublishKbps = Infinity, maxResolution, maxFps, simulcastLayers = Infinity } = limits;
  const [most = Infinity, least = Infinity] = (maxResolution && RESOLUTIONS[maxResolution]) || [];
  const planScale = planned.scaleResolutionDownBy ?? 1;
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const scale = Math.max(planScale, long / most, short / least);
  // A layer that is made smaller would be the next one again; only the smallest has none below it.
  const fits = scale === planScale || at === 0;
  return {
    active: wanted && fits && at < simulcastLayers,
    ...(planned.maxBitrate && { maxBitrate: Math.min(planned.maxBitrate, maxPublishKbps * 1000) }),
    ...(planned.scaleResolutionDownBy || scale > 1 ? { scaleResolutionDownBy: scale } : {}),
    maxFramerate: maxFps,
    ...(planned.scalabilityMode && { scalabilityMode: modeWithin(planned.scalabilityMode, simulcastLayers) }),
  };
}

/**
 * A mode of W3C webrtc-svc with no more spatial layers.
 * @param {string} mode
 * @param {number} layers
 */
function modeWithin(mode, layers) {
  const spatial = Number(/^L(\d)/.exec(mode)?.[1] ?? 1);
  if (spatial <= layers) return mode;
  return layers > 1 ? mode.replace(/^L\d/, `L${layers}`) : mode.replace(/^L\d(T\d).*/, 'L1$1');
}
