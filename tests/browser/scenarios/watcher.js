// SPDX-License-Identifier: Apache-2.0
// What a viewer's page saw: each frame that was shown, and what the browser counted.

/** Runs in the viewer's page: notes each shown frame. */
export function noteFrames() {
  const h = window.h;
  h.shown = [];
  const note = (now, { width }) => {
    h.shown.push([now, width]);
    h.box.requestVideoFrameCallback(note);
  };
  h.box.requestVideoFrameCallback(note);
}

/**
 * Times between shown frames that webrtc-stats calls freezes: longer than three times the mean of the last 30, and than that
 * mean and 150 ms.
 * @param {[number, number][]} shown
 * @returns {{at: number, ms: number}[]} when they began, and how long, in ms
 */
export function freezes(shown) {
  const gaps = shown.slice(1).map(([at], n) => ({ at: shown[n][0], ms: at - shown[n][0] }));
  return gaps.filter(({ ms }, n) => {
    const last = gaps.slice(Math.max(0, n - 30), n);
    if (last.length < 5) return false;
    const mean = last.reduce((sum, gap) => sum + gap.ms, 0) / last.length;
    return ms > Math.max(3 * mean, mean + 150);
  });
}

/** @param {[number, number][]} shown */
export function switches(shown) {
  return shown.slice(1).filter(([, width], n) => width !== shown[n][1]).length;
}

/** The longest time without a new frame, in ms. @param {[number, number][]} shown */
export function longestGap(shown) {
  return Math.max(0, ...shown.slice(1).map(([at], n) => at - shown[n][0]));
}
