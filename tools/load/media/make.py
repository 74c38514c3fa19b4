#!/usr/bin/env python3
"""Makes the encoded media that the traffic generator publishes, with ffmpeg (libvpx, libx264, libopus), and checks it.

    apt-get install ffmpeg && ./make.py

Every file is IVF: a header of 32 bytes, then frames, each with a header of 12 bytes (length, timestamp).

VP8: the first frame is a keyframe, and all others are predicted from it alone, none from each other. So they can be sent
in any order, over and over, and any of them may be left out: the picture is moving for ever, with one keyframe when somebody
asks for it. H264 has one second that begins with a keyframe, and is repeated. Opus has half a second of 20 ms frames.
"""
import struct
import subprocess
import sys

SIZES = [("q", 320, 180, 120, 28), ("h", 640, 360, 400, 34), ("f", 1280, 720, 1200, 40)]
FPS = 25
# libvpx: no frame but keyframes changes a reference or the probabilities.
NO_UPDATE = (1 << 18) | (1 << 20) | (1 << 22) | (1 << 23)


def ffmpeg(*arguments, data=None):
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", *map(str, arguments), "-"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def scene(width, height, count):
    """Something that moves, and a little noise as of a camera."""
    source = f"testsrc2=size={width}x{height}:rate={FPS},noise=alls=4:allf=t,format=yuv420p"
    return ["-f", "lavfi", "-i", source, "-frames:v", count]


def ivf(codec, width, height, frames):
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, codec, width, height, FPS, 1, len(frames), 0)
    return head + b"".join(struct.pack("<IQ", len(f), n) + f for n, f in enumerate(frames))


def univf(data):
    frames, at = [], 32
    while at + 12 <= len(data):
        length = struct.unpack_from("<I", data, at)[0]
        frames.append(data[at + 12:at + 12 + length])
        at += 12 + length
    return frames


def pictures(container, frames):
    """A digest of each decoded picture."""
    out = ffmpeg("-err_detect", "explode", "-f", container, "-i", "-", "-f", "framemd5", data=frames).decode()
    return [line.split(",")[-1].strip() for line in out.splitlines() if not line.startswith("#")]


def vp8(name, width, height, kbps, quantizer):
    flags = f"metadata=mode=add:key=vp8-flags:value={NO_UPDATE}"
    frames = univf(ffmpeg(*scene(width, height, 13), "-vf", flags, "-c:v", "libvpx", "-b:v", f"{kbps}k",
                          "-qmin", quantizer, "-qmax", 63, "-g", 999, "-error-resilient", "default",
                          "-deadline", "good", "-cpu-used", 2, "-auto-alt-ref", 0, "-lag-in-frames", 0, "-f", "ivf"))
    data = ivf(b"VP80", width, height, frames)
    straight = pictures("ivf", data)
    order = [0, 7, 3, 3, 12, 1, 9, 2]
    mixed = pictures("ivf", ivf(b"VP80", width, height, [frames[n] for n in order]))
    if mixed != [straight[n] for n in order]:
        sys.exit(f"vp8-{name}: frames depend on each other")
    return data


def h264(name, width, height, kbps, _):
    stream = ffmpeg(*scene(width, height, FPS), "-c:v", "libx264", "-profile:v", "baseline", "-b:v", f"{kbps // 2}k",
                    "-maxrate", f"{kbps // 2}k", "-bufsize", f"{kbps // 4}k", "-x264-params",
                    "keyint=999:scenecut=0:aud=1:repeat-headers=1:slices=1:sliced-threads=0:info=0", "-f", "h264")
    delimiter = b"\0\0\0\1\x09"
    frames = [part[1:].lstrip(b"\0") for part in stream.split(delimiter)[1:]]
    # The delimiter's own byte is gone; what is left begins with a start code whose zeros were stripped.
    frames = [b"\0\0\0" + f if f.startswith(b"\1") else f for f in frames]
    if len(pictures("h264", b"".join(frames))) != FPS:
        sys.exit(f"h264-{name}: it cannot be decoded")
    return ivf(b"H264", width, height, frames)


def opus():
    sound = "sine=frequency=180:beep_factor=3:sample_rate=48000,tremolo=f=5:d=0.7,volume=0.5"
    page = ffmpeg("-f", "lavfi", "-i", sound, "-t", "0.5", "-c:a", "libopus", "-b:a", "32k", "-frame_duration", 20,
                  "-application", "voip", "-f", "ogg")
    packets, at, rest = [], 0, b""
    while at < len(page):
        count = page[at + 26]
        lacing = page[at + 27:at + 27 + count]
        at += 27 + count
        for length in lacing:
            rest += page[at:at + length]
            at += length
            if length < 255:
                packets.append(rest)
                rest = b""
    frames = packets[2:27]
    if any(frame[0] & 3 for frame in frames):
        sys.exit("opus: one frame in each packet was asked for")
    return ivf(b"OPUS", 0, 0, frames)


for size in SIZES:
    for make in (vp8, h264):
        with open(f"{make.__name__}-{size[0]}.ivf", "wb") as out:
            out.write(make(*size))
with open("opus.ivf", "wb") as out:
    out.write(opus())
