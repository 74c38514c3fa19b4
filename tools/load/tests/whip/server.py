"""A WHIP and WHEP server of another make (aiortc), as small as can be: what is published at /whip/NAME is decoded, encoded anew for
everyone who watches at /whep/NAME, and gone with a DELETE. Its ICE is a full agent, and it begins DTLS.

Prints its port, and at SIGTERM what it has seen, as JSON.
"""

import asyncio
import contextlib
import json
import secrets
import signal
import sys

import aioice.ice
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError

TOKEN = sys.argv[1]
# It leaves loopback out, and that is where this test stays.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

relay = MediaRelay()
streams = {}
clients = {}
seen = {"published": 0, "watched": 0, "deleted": 0, "refused": 0, "frames": 0, "width": 0, "connected": 0}


async def count(track):
    """Only a decoder of another make makes a picture of a frame."""
    track = relay.subscribe(track)
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            if track.kind == "video":
                seen["frames"] += 1
                seen["width"] = frame.width


async def accept(request, connection, kind):
    resource = f"/clients/{secrets.token_hex(8)}"
    clients[resource] = connection

    @connection.on("connectionstatechange")
    def changed():
        seen["connected"] += connection.connectionState == "connected"

    await connection.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    seen[kind] += 1
    return web.Response(status=201, content_type="application/sdp", text=connection.localDescription.sdp,
                        headers={"Location": resource})


async def whip(request):
    connection, tracks = RTCPeerConnection(), []

    @connection.on("track")
    def received(track):
        tracks.append(track)
        asyncio.ensure_future(count(track))

    answer = await accept(request, connection, "published")
    streams[request.match_info["name"]] = tracks
    return answer


async def whep(request):
    connection = RTCPeerConnection()
    for track in streams.get(request.match_info["name"], []):
        connection.addTrack(relay.subscribe(track))
    return await accept(request, connection, "watched")


async def elsewhere(request):
    raise web.HTTPTemporaryRedirect(f"/whep/{request.match_info['name']}")


async def delete(request):
    connection = clients.pop(request.path, None)
    if connection is None:
        return web.Response(status=404)
    await connection.close()
    seen["deleted"] += 1
    return web.Response()


@web.middleware
async def authorized(request, handler):
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        seen["refused"] += 1
        return web.Response(status=401, text="no token")
    return await handler(request)


async def main():
    app = web.Application(middlewares=[authorized])
    app.add_routes([web.post("/whip/{name}", whip), web.post("/whep/{name}", whep), web.post("/moved/{name}", elsewhere),
                    web.delete("/clients/{id}", delete)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    print(json.dumps(seen), flush=True)


asyncio.run(main())
