#!/usr/bin/env python3
"""aiortc by WHIP and WHEP: `client.py publish|view URL BEARER`.

`publish` sends a test picture and a tone until it is told to stop (SIGTERM), then deletes its session. `view` decodes what comes and
succeeds after enough pictures and sounds. Both print one line of JSON.
"""

import array
import asyncio
import json
import math
import signal
import sys
import time
from urllib.parse import urljoin

import aiohttp
import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

# It leaves loopback out, and that is where this test stays.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

PICTURES, SOUNDS = 10, 10


class Tone(AudioStreamTrack):
    """440 Hz, so that there is something to hear."""

    async def recv(self):
        frame = await super().recv()
        step = 2 * math.pi * 440 / frame.sample_rate
        samples = (int(8000 * math.sin(step * (frame.pts + n))) for n in range(frame.samples))
        frame.planes[0].update(array.array("h", samples).tobytes())
        return frame


class Session:
    """What was posted, and what its answer named."""

    def __init__(self, url, bearer):
        self.url, self.headers = url, {"Authorization": f"Bearer {bearer}"}
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def post(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        headers = {**self.headers, "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http:
            async with http.post(self.url, data=self.connection.localDescription.sdp, headers=headers) as answer:
                text = await answer.text()
                assert answer.status == 201, (answer.status, text)
                self.resource = urljoin(self.url, answer.headers["Location"])
                self.tag = answer.headers["ETag"]
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def trickle(self):
        headers = {**self.headers, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": self.tag}
        async with aiohttp.ClientSession() as http:
            async with http.patch(self.resource, data="a=end-of-candidates\r\n", headers=headers) as answer:
                assert answer.status == 204, (answer.status, await answer.text())

    async def delete(self):
        async with aiohttp.ClientSession() as http:
            async with http.delete(self.resource, headers=self.headers) as answer:
                assert answer.status == 200, (answer.status, await answer.text())
        await self.connection.close()


async def publish(url, bearer):
    session, told = Session(url, bearer), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    session.connection.addTrack(Tone())
    session.connection.addTrack(VideoStreamTrack())
    for transceiver in session.connection.getTransceivers():
        transceiver.direction = "sendonly"
    await session.post()
    await session.trickle()
    print(json.dumps({"published": True}), flush=True)
    await told.wait()
    await session.delete()


async def view(url, bearer):
    session, began, counts = Session(url, bearer), time.monotonic(), {"audio": 0, "video": 0}
    for kind in counts:
        session.connection.addTransceiver(kind, direction="recvonly")
    first, size, enough = {}, [], asyncio.Event()

    async def count(track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            counts[track.kind] += 1
            first.setdefault(track.kind, round((time.monotonic() - began) * 1000))
            if track.kind == "video":
                size[:] = [frame.width, frame.height]
            if counts["video"] >= PICTURES and counts["audio"] >= SOUNDS:
                enough.set()

    session.connection.on("track", lambda track: asyncio.ensure_future(count(track)))
    await session.post()
    await session.trickle()
    try:
        await asyncio.wait_for(enough.wait(), 40)
    except asyncio.TimeoutError:
        sys.exit(f"not enough came: {counts}, {session.connection.connectionState}")
    await session.delete()
    print(json.dumps({"firstMs": first, "size": size, **counts}), flush=True)


asyncio.run({"publish": publish, "view": view}[sys.argv[1]](*sys.argv[2:]))
