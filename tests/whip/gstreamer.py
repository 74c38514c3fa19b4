#!/usr/bin/python3
"""GStreamer's webrtcbin publishes by WHIP: `gstreamer.py URL BEARER`.

A test picture and a tone, until it is told to stop (SIGTERM); then it deletes its session. Prints one line of JSON. The interpreter is
the system's: `gi` comes with it (python3-gi).
"""

import hashlib
import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

MEDIA = """
webrtcbin name=out bundle-policy=max-bundle
videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 keyframe-max-dist=15
  ! rtpvp8pay picture-id-mode=15-bit ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! out.
audiotestsrc is-live=true ! opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! out.
"""


def request(method, url, bearer, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(url, body, {"Authorization": f"Bearer {bearer}", **headers}, method=method)
    return urllib.request.urlopen(asked, timeout=20)


def certificate():
    """A certificate with its key in PEM, and its fingerprint.

    GStreamer would make itself one with an RSA key, and the server takes ECDSA alone.
    """
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    pem = subprocess.run([*made, "-keyout", "-"], capture_output=True, check=True, text=True).stdout
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    return pem, hashlib.sha256(der).digest().hex(":").upper()


class Publisher:
    """One session, from the offer to its end."""

    def __init__(self, url, bearer):
        self.url, self.bearer, self.resource = url, bearer, None
        self.loop, self.failure = GLib.MainLoop(), None
        self.pipeline = Gst.parse_launch(MEDIA)
        self.out = self.pipeline.get_by_name("out")
        # It leaves loopback out, and that is where this test stays.
        self.agent = self.out.get_property("ice-agent")
        self.agent.emit("add-local-ip-address", "127.0.0.1")
        index = 0
        while (transceiver := self.out.emit("get-transceiver", index)) is not None:
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
            index += 1
        self.out.connect("on-negotiation-needed", lambda _: self.offer())
        self.out.connect("notify::ice-gathering-state", lambda *_: GLib.idle_add(self.gathered))
        self.out.connect("notify::connection-state", lambda *_: GLib.idle_add(self.connected))
        self.pem, self.fingerprint = certificate()
        self.pipeline.connect("deep-element-added", self.added)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: self.fail(message.parse_error()[0].message))
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, self.loop.quit)

    def added(self, _pipeline, _bin, element):
        factory = element.get_factory()
        if factory is not None and factory.get_name() == "dtlssrtpdec":
            element.set_property("pem", self.pem)

    def fail(self, why):
        self.failure = why
        self.loop.quit()

    def offer(self):
        def made(promise):
            # The offer lives as long as the reply that holds it.
            reply = promise.get_reply()
            self.out.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

        self.out.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def gathered(self):
        complete = self.out.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if complete and self.resource is None:
            try:
                self.post(self.out.get_property("local-description").sdp.as_text())
            except Exception as failure:  # Of a callback nobody else would hear.
                self.fail(repr(failure))

    def post(self, offer):
        # Of a certificate that it was given it names the fingerprint of all that is in the PEM, key included.
        offer = re.sub("(?<=a=fingerprint:sha-256 ).*", self.fingerprint, offer.replace("\r", "")).replace("\n", "\r\n")
        with request("POST", self.url, self.bearer, offer.encode(), Content_Type="application/sdp") as answer:
            assert answer.status == 201, answer.status
            self.resource = urljoin(self.url, answer.headers["Location"])
            _, sdp = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.out.emit("set-remote-description", described, Gst.Promise.new())

    def connected(self):
        state = self.out.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            print(json.dumps({"published": True, "gstreamer": Gst.version_string().split()[-1]}), flush=True)
        elif state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            self.fail("the connection failed")

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        if self.resource:
            with request("DELETE", self.resource, self.bearer) as answer:
                assert answer.status == 200, answer.status
        if self.failure:
            sys.exit(f"GStreamer: {self.failure}")


Gst.init(None)
Publisher(*sys.argv[1:]).run()
