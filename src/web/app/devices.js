// SPDX-License-Identifier: Apache-2.0

/**
 * Fills a list with the devices of its `data-kind`.
 * @param {HTMLSelectElement} select
 * @param {string} [current]
 * @returns {Promise<number>} how many there are
 */
export async function fillDevices(select, current) {
  const devices = (await navigator.mediaDevices?.enumerateDevices() ?? [])
    .filter(({ kind, deviceId, label }) => kind === select.dataset.kind && deviceId && label);
  select.replaceChildren(...devices.map(({ deviceId, label }) => new Option(label, deviceId, false, deviceId === current)));
  return devices.length;
}

/**
 * Why a device could not be opened, for people.
 * @param {unknown} error
 * @param {string} what
 */
export function deviceProblem(error, what) {
  switch (/** @type {Error} */ (error)?.name) {
    case 'NotAllowedError': return `The browser was not allowed to use the ${what}.`;
    case 'NotFoundError': return `No ${what} was found.`;
    case 'NotReadableError': return `The ${what} is in use by another program.`;
    default: return `The ${what} could not be opened.`;
  }
}

/**
 * How loud a stream is, 0 to 1, told ten times a second until it is stopped.
 * @param {MediaStream} stream
 * @param {(level: number) => void} tell
 * @returns {() => void}
 */
export function meterOf(stream, tell) {
  if (!stream.getAudioTracks().length) return () => {};
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    tell(Math.min(1, Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length) * 4));
  }, 100);
  return () => {
    clearInterval(timer);
    context.close();
  };
}
