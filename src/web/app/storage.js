// SPDX-License-Identifier: Apache-2.0

/**
 * Storage that may be refused or full: then things are simply not remembered.
 * @param {'sessionStorage' | 'localStorage'} kind
 */
function storage(kind) {
  return {
    /**
     * @param {string} key
     * @returns {any}
     */
    get(key) {
      try {
        return JSON.parse(window[kind].getItem(`millrace:${key}`) ?? 'null');
      } catch {
        return null;
      }
    },
    /**
     * @param {string} key
     * @param {unknown} value
     */
    set(key, value) {
      try {
        if (value === null) window[kind].removeItem(`millrace:${key}`);
        else window[kind].setItem(`millrace:${key}`, JSON.stringify(value));
      } catch {
        // Not remembered.
      }
    },
  };
}

/** This tab's: a reload keeps it, another tab does not see it. */
export const tab = storage('sessionStorage');
/** This browser's. */
export const browser = storage('localStorage');
