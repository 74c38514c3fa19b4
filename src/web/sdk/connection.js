// SPDX-License-Identifier: Apache-2.0

/** @typedef {{'inbound-rtp': RTCInboundRtpStreamStats, 'outbound-rtp': RTCOutboundRtpStreamStats}} StatsByType */

/** A short loss heals by itself; a longer one wants new candidates. */
const PATIENCE_MS = 3000;
const RETRY_MS = 4000;
/** A first connection takes a few packets: much longer, and they went nowhere. */
const FIRST_MS = 10_000;

/**
 * A peer connection towards the server: one bundle, no ICE servers (the server is directly reachable by design).
 *
 * `lost` is called with 1, 2, 3, … when the connection has lost its way, again and again until it is back.
 * @param {{state?: (state: RTCPeerConnectionState) => void, lost: (times: number) => void}} callbacks
 */
export function connection({ state, lost }) {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
  let times = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const arm = (/** @type {number} */ ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (pc.connectionState === 'closed' || pc.connectionState === 'connected') return;
      times += 1;
      lost(times);
      arm(RETRY_MS);
    }, ms);
  };
  pc.addEventListener('connectionstatechange', () => {
    state?.(pc.connectionState);
    if (pc.connectionState === 'connected') {
      times = 0;
      clearTimeout(timer);
    } else if (pc.connectionState === 'failed') {
      arm(0);
    } else if (pc.connectionState === 'disconnected') {
      arm(PATIENCE_MS);
    } else if (pc.connectionState === 'connecting' && times === 0) {
      arm(FIRST_MS);
    }
  });
  return pc;
}

/**
 * The statistics of one kind of a connection as plain objects.
 * @template {keyof StatsByType} Type
 * @param {RTCPeerConnection | undefined} pc
 * @param {Type} type
 * @returns {Promise<StatsByType[Type][]>}
 */
export async function statsOf(pc, type) {
  if (!pc || pc.connectionState === 'closed') return [];
  return [...(await pc.getStats()).values()].filter((entry) => entry.type === type);
}
