// SPDX-License-Identifier: Apache-2.0
// Views by WHEP with libraries of Node: `node view.mjs wrtc|datachannel URL BEARER`. Succeeds after enough has come, and prints one line
// of JSON.

const [library, url, bearer] = process.argv.slice(2);
const PICTURES = 30;
const PACKETS = 30;
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 40_000);
const began = performance.now();

async function post(sdp) {
    const headers = { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/sdp' };
    const answer = await fetch(url, { method: 'POST', headers, body: sdp });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`status ${answer.status}: ${text}`);
    return { sdp: text, resource: new URL(answer.headers.get('location'), url) };
}

const line = (text, name) => text.match(new RegExp(`^a=${name}:(.*?)\r?$`, 'm'))[1];

// ICE begins anew, with a PATCH (RFC 9725 section 4.3.3): done when the connection stands with what both sides made for it.
async function restart(connection, resource) {
    const offer = await connection.createOffer({ iceRestart: true });
    await connection.setLocalDescription(offer);
    const [ufrag, pwd] = ['ice-ufrag', 'ice-pwd'].map((name) => line(offer.sdp, name));
    const headers = {
        Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*',
    };
    const body = `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`;
    const answer = await fetch(resource, { method: 'PATCH', headers, body });
    const fragment = await answer.text();
    if (answer.status !== 200) throw new Error(`not restarted: status ${answer.status}: ${fragment}`);
    let sdp = connection.remoteDescription.sdp;
    for (const name of ['ice-ufrag', 'ice-pwd']) {
        sdp = sdp.replaceAll(new RegExp(`^a=${name}:.*?(?=\r?$)`, 'gm'), `a=${name}:${line(fragment, name)}`);
    }
    // From here on it is not connected before the server answers to the new credentials.
    const states = [];
    const stands = new Promise((done) => {
        connection.addEventListener('iceconnectionstatechange', () => {
            states.push(connection.iceConnectionState);
            if (['connected', 'completed'].includes(connection.iceConnectionState)) done();
        });
    });
    await connection.setRemoteDescription({ type: 'answer', sdp });
    await stands;
    return states;
}

async function end(resource) {
    const gone = await fetch(resource, { method: 'DELETE', headers: { Authorization: `Bearer ${bearer}` } });
    if (gone.status !== 200) throw new Error(`not deleted: status ${gone.status}`);
}

// libwebrtc: what comes is decoded, before and after ICE was restarted.
async function wrtc(enough) {
    const { RTCPeerConnection, nonstandard } = (await import('@roamhq/wrtc')).default;
    const connection = new RTCPeerConnection();
    const seen = globalThis.seen = { pictures: 0, sounds: 0, width: 0 };
    const wanted = {};
    const more = () => new Promise((come) => {
        Object.assign(wanted, { pictures: seen.pictures + PICTURES, sounds: seen.sounds + PICTURES, come });
    });
    const first = more();
    connection.ontrack = ({ track }) => {
        const sink = new nonstandard[track.kind === 'video' ? 'RTCVideoSink' : 'RTCAudioSink'](track);
        sink.onframe = ({ frame }) => {
            seen.pictures += 1;
            seen.firstMs ??= Math.round(performance.now() - began);
            seen.width = frame.width;
            if (seen.pictures >= wanted.pictures && seen.sounds >= wanted.sounds) wanted.come();
        };
        sink.ondata = () => { seen.sounds += 1; };
    };
    for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
    await connection.setLocalDescription(await connection.createOffer());
    const { sdp, resource } = await post(connection.localDescription.sdp);
    await connection.setRemoteDescription({ type: 'answer', sdp });
    await first;
    await restart(connection, resource);
    seen.restarted = true;
    more().then(() => enough(seen));
    return resource;
}

// libdatachannel: packets, as they came.
async function datachannel(enough) {
    const { PeerConnection, Audio, Video, RtcpReceivingSession } = await import('node-datachannel');
    const connection = new PeerConnection('viewer', { iceServers: [] });
    const seen = globalThis.seen = { audio: 0, video: 0 };
    const media = { audio: new Audio('audio', 'RecvOnly'), video: new Video('video', 'RecvOnly') };
    media.audio.addOpusCodec(111);
    media.video.addVP8Codec(96);
    // Tracks that nobody holds are collected.
    globalThis.tracks = Object.entries(media).map(([kind, description]) => {
        const track = connection.addTrack(description);
        track.setMediaHandler(new RtcpReceivingSession());
        track.onMessage((packet) => {
            // RTCP comes here as well (RFC 5761 section 4).
            if ((packet[1] & 0x7f) >= 64 && (packet[1] & 0x7f) < 96) return;
            seen[kind] += 1;
            seen.firstMs ??= Math.round(performance.now() - began);
            if (seen.audio >= PICTURES && seen.video >= PACKETS) enough(seen);
        });
        return track;
    });
    const gathered = new Promise((resolve) => {
        connection.onGatheringStateChange((state) => { if (state === 'complete') resolve(); });
    });
    connection.setLocalDescription('offer');
    await gathered;
    globalThis.connection = connection;
    const { sdp, resource } = await post(connection.localDescription().sdp);
    connection.setRemoteDescription(sdp, 'answer');
    return resource;
}

setTimeout(() => {
    console.error(`${library}: not enough came in ${PATIENCE_MS} ms: ${JSON.stringify(globalThis.seen)}`);
    process.exit(1);
}, PATIENCE_MS);
const { promise, resolve } = Promise.withResolvers?.() ?? (() => {
    const made = {};
    made.promise = new Promise((done) => { made.resolve = done; });
    return made;
})();
const resource = await { wrtc, datachannel }[library](resolve);
const seen = await promise;
await end(resource);
console.log(JSON.stringify(seen));
process.exit(0);
