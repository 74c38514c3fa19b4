//! Somebody who has a pin, and means no good: signed in, negotiated, and as far into the media connection as the attack needs.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::control::ids::{Gid, Sid};
use millrace::signal::message::{Muted, Notice, Publish, Request, Watch};
use millrace::wire::demux::{Kind, classify};
use millrace_load::client::Shared;
use millrace_load::drive::Engine;
use millrace_load::identity;
use millrace_load::measure::Meter;
use millrace_load::peer::{Peer, Received, Remote, random_credentials};
use millrace_load::publisher::Publisher;
use millrace_load::scenario::Publishing;
use millrace_load::sdp::{self, Extensions, OfferedEncoding, Ours};
use millrace_load::signal::Session;

use crate::ground::Ground;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Intruder {
    /// Signed in for as long as it is there.
    _session: Session,
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    pub(crate) peer: Peer,
    pub(crate) remote: Remote,
    pub(crate) extensions: Extensions,
    /// Whether it keeps DTLS to itself, and what it kept.
    pub(crate) holds: bool,
    pub(crate) held: Vec<Vec<u8>>,
    /// What it said it would send.
    pub(crate) encodings: Vec<OfferedEncoding>,
}

impl Intruder {
    /// It may publish, and has not begun to connect.
    pub(crate) fn negotiated(ground: &Ground, simulcast: bool) -> Self {
        ground.runtime.block_on(async {
            let shared =
                Shared::new(&ground.room, Engine::new(1).expect("an engine")).await.expect("a server");
            let mut session = shared.enter(&ground.room, "Mallory").await.expect("let in");
            let (own, certificate) = (random_credentials(), identity::certificate().expect("a certificate"));
            let plan = Publishing { simulcast, audio: false, ..Publishing::default() }.plan();
            let meter = Arc::new(Meter::new(Arc::default()));
            let offering = Publisher::new(Instant::now(), plan, 0, meter).offered();
            let request = Request::Publish(Publish {
                gids: vec![Gid(ground.room.gid)],
                sid: Sid(0),
                source: 1,
                name: None,
                sdp: sdp::offer(&Ours::new(&own, &identity::fingerprint(&certificate)), &offering),
                muted: Muted::default(),
                layers: vec![],
            });
            let answer = session.request("publish", &request).await.expect("taken");
            let answer = answer.get("sdp").and_then(serde_json::Value::as_str).expect("an answer");
            let (mut remote, extensions) = sdp::read_answer(answer).expect("a description");
            let server = remote.reached(shared.server());
            let peer = Peer::new(Instant::now(), &own, &certificate, &remote).expect("a peer");
            let (socket, encodings) = (socket(server), offering.video);
            Self {
                _session: session,
                socket,
                server,
                peer,
                remote,
                extensions,
                holds: false,
                held: vec![],
                encodings,
            }
        })
    }

    /// It publishes, and could send media.
    pub(crate) fn publishing(ground: &Ground, simulcast: bool) -> Self {
        let mut intruder = Self::negotiated(ground, simulcast);
        intruder.connect();
        intruder
    }

    /// It watches the first stream that anybody publishes.
    pub(crate) fn watching(ground: &Ground) -> Self {
        let mut intruder = ground.runtime.block_on(async {
            let shared =
                Shared::new(&ground.room, Engine::new(1).expect("an engine")).await.expect("a server");
            let mut session = shared.enter(&ground.room, "Mallory").await.expect("let in");
            let (own, certificate) = (random_credentials(), identity::certificate().expect("a certificate"));
            let gid = Gid(ground.room.gid);
            let someone = |notice| match notice {
                Notice::Roster { joined, .. } => joined.into_iter().next(),
                _ => None,
            };
            let seen = session.wait_for("a stream", someone).await.expect("somebody publishes");
            let (uid, sid) = (seen.uid, seen.sid);
            let (width, height, visible, priority) = (1280, 720, true, 1);
            let watch = Watch { gid, uid, sid, audio: false, video: true, width, height, visible, priority };
            session.request("watch", &Request::Watch(watch)).await.expect("it may");
            let offer = |notice| match notice {
                Notice::Offer { rev, sdp, .. } => Some((rev, sdp)),
                _ => None,
            };
            let (rev, offer) = session.wait_for("an offer", offer).await.expect("a slot");
            let mut offered = sdp::read_offer(&offer).expect("a description");
            let sdp = sdp::answer(&Ours::new(&own, &identity::fingerprint(&certificate)), &offer);
            let server = offered.remote.reached(shared.server());
            let peer = Peer::new(Instant::now(), &own, &certificate, &offered.remote).expect("a peer");
            let sdp = sdp.expect("an answer");
            session.request("answer", &Request::Answer { rev, sdp }).await.expect("taken");
            let (remote, extensions) = (offered.remote, offered.extensions);
            let (socket, encodings) = (socket(server), vec![]);
            Self {
                _session: session,
                socket,
                server,
                peer,
                remote,
                extensions,
                holds: false,
                held: vec![],
                encodings,
            }
        });
        intruder.connect();
        intruder
    }

    /// ICE and DTLS, up to the keys.
    pub(crate) fn connect(&mut self) {
        self.until("secured", |peer| peer.connected());
    }

    /// Plays its part until this is so.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Peer) -> bool) {
        self.socket.set_nonblocking(false).expect("a socket");
        self.socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
        let began = Instant::now();
        while !done(&self.peer) {
            assert!(began.elapsed() < PATIENCE, "the intruder's connection is not {what}");
            self.peer.handle_timeout(Instant::now()).expect("it goes on");
            self.send();
            let mut datagram = [0; 2048];
            if let Ok(len) = self.socket.recv(&mut datagram) {
                self.take(&mut datagram[..len]);
                self.send();
            }
        }
    }

    /// Takes a datagram in as an honest client would.
    pub(crate) fn take(&mut self, datagram: &mut [u8]) -> Received {
        self.peer.handle_datagram(Instant::now(), datagram).expect("it goes on")
    }

    /// Sends what waits.
    pub(crate) fn send(&mut self) {
        while let Some(datagram) = self.peer.poll_transmit() {
            if self.holds && classify(&datagram) == Some(Kind::Dtls) {
                self.held.push(datagram);
            } else {
                let _ = self.socket.send(&datagram);
            }
        }
    }
}

/// A socket from which nothing was sent yet.
pub(crate) fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket
}
