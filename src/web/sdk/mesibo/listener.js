// SPDX-License-Identifier: Apache-2.0

/**
 * Calls a listener's method, whichever way its name is written (`Mesibo_onParticipants` is found as well).
 * @param {object | undefined} listener
 * @param {string} name
 * @param {...unknown} values
 */
export function notify(listener, name, ...values) {
  const wanted = name.toLowerCase();
  for (let level = listener; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    const found = Object.getOwnPropertyNames(level).find((key) => key.toLowerCase() === wanted);
    const method = found && /** @type {any} */ (listener)[found];
    if (typeof method === 'function') {
      method.apply(listener, values);
      return;
    }
  }
}
