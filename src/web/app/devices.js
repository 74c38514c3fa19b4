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
 * Why a device could not be opened, and what to do, in one sentence.
 * @param {unknown} error
 * @param {string} what
 */
export function deviceProblem(error, what) {
  if (!navigator.mediaDevices) return `Browsers give the ${what} to https pages only: ask for this page’s https address.`;
  const both = what.includes(' and ');
  switch (/** @type {Error} */ (error)?.name) {
    case 'NotAllowedError': return `Your browser blocks the ${what}: allow ${both ? 'them' : 'it'} by the icon beside the address, then try again.`;
    case 'NotFoundError': return `No ${what} ${both ? 'were' : 'was'} found: plug ${both ? 'them' : 'it'} in, or join without.`;
    case 'NotReadableError':
    case 'AbortError': return `The ${what} ${both ? 'are' : 'is'} in use by another program: close that one, then try again.`;
    default: return `The ${what} could not be opened: choose another one, or join without.`;
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

/**
 * Two notes from one loudspeaker.
 * @param {string} deviceId
 */
export async function chime(deviceId) {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const player = new Audio();
  player.srcObject = out.stream;
  try {
    await player.setSinkId(deviceId);
    await player.play();
  } catch (error) {
    context.close();
    throw error;
  }
  const start = context.currentTime + 0.1;
  [523.25, 783.99].forEach((pitch, nth) => {
    const note = new OscillatorNode(context, { frequency: pitch });
    const volume = new GainNode(context, { gain: 0 });
    const at = start + nth * 0.25;
    volume.gain.setTargetAtTime(0.3, at, 0.01);
    volume.gain.setTargetAtTime(0, at + 0.2, 0.1);
    note.connect(volume).connect(out);
    note.start(at);
    note.stop(at + 0.8);
    if (nth) note.onended = () => context.close();
  });
}
