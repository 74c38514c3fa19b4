//! What publishers and viewers have in common: an address, connectivity checks, keys.

use std::net::{IpAddr, SocketAddr};

use millrace::batch::{Path, STREAMS};
use millrace::router::command::IceCredentials;
use millrace::router::id::SessionId;
use millrace::units::{Duration, Instant};
use millrace::wire::demux::{self, Kind};
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::rtp;
use millrace::wire::srtp::{Keys, Opener, Sealer};
use millrace::wire::stun::{self, Message};

use super::network::{Link, Rng};

/// A packet before it is sealed, or after it was opened.
pub enum Clear {
    /// With its full sequence number.
    Rtp(Seq, Vec<u8>),
    Rtcp(Vec<u8>),
}

pub struct Peer {
    pub id: SessionId,
    pub remote: IceCredentials,
    /// Answers to checks on their way when it restarted are signed with the old password.
    former_password: String,
    pub address: SocketAddr,
    /// The number of its TCP connection, if it comes by one.
    pub stream: Option<u16>,
    /// Addresses it had before: what is on its way there still arrives.
    pub former: Vec<SocketAddr>,
    pub up: Link,
    pub down: Link,
    pub server_keys: Keys,
    /// Whether the handshake is done on the server.
    pub secured: bool,
    /// Whether it is done as soon as the session is claimed; if not, [`super::World::secure`] says when.
    pub secures: bool,
    pub nominates: bool,
    pub next_check: Instant,
    pub check_every: Duration,
    /// Answers to checks: error code, or none.
    pub answers: Vec<Option<u16>>,
    pub dtls: Vec<Vec<u8>>,
    /// Packets that did not open.
    pub unopened: u64,
    sealer: Sealer,
    opener: Opener,
    rng: Rng,
}

impl Peer {
    #[expect(clippy::too_many_arguments, reason = "one caller")]
    pub fn new(
        id: SessionId,
        remote: IceCredentials,
        address: SocketAddr,
        link: Link,
        client: &Keys,
        server_keys: Keys,
        seed: u64,
        now: Instant,
    ) -> Self {
        Self {
            id,
            former_password: remote.pwd.clone(),
            remote,
            address,
            stream: None,
            former: vec![],
            up: link.clone(),
            down: link,
            server_keys,
            secured: false,
            secures: true,
            nominates: true,
            next_check: now,
            check_every: Duration::from_millis(500),
            answers: vec![],
            dtls: vec![],
            unopened: 0,
            sealer: Sealer::new(client),
            opener: Opener::new(client),
            rng: Rng::new(seed),
        }
    }

    pub fn path(&self) -> Path {
        let path = path(self.address);
        Path { socket: self.stream.map_or(path.socket, |number| STREAMS + number), ..path }
    }

    pub fn has(&self, to: &Path) -> bool {
        self.address == to.remote || self.former.contains(&to.remote)
    }

    /// Moves to another port.
    pub fn move_to(&mut self, port: u16) {
        self.former.push(self.address);
        self.address.set_port(port);
        self.next_check = Instant::ZERO;
    }

    /// A connectivity check.
    pub fn check(&mut self, nominate: bool) -> Vec<u8> {
        let mut transaction = [0; 12];
        transaction.iter_mut().for_each(|b| *b = self.rng.next() as u8);
        let username = format!("{}:peer", self.remote.ufrag);
        let key = stun::Key::new(self.remote.pwd.as_bytes());
        let mut buf = [0; 300];
        let len = stun::write_request(&mut buf, &transaction, &username, 1, nominate, 7, &key).expect("fits");
        buf[..len].to_vec()
    }

    pub fn checks(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_check > now {
            return None;
        }
        self.next_check = now + self.check_every;
        Some(self.check(self.nominates))
    }

    pub fn seal(&mut self, packet: Clear) -> Option<Vec<u8>> {
        if !self.secured {
            return None;
        }
        match packet {
            Clear::Rtp(seq, mut bytes) => {
                let view = rtp::View::parse(&bytes).expect("well-formed");
                let (header, ssrc, len) = (view.header_len(), view.ssrc(), bytes.len());
                bytes.resize(len + 20, 0);
                let len = self.sealer.seal_rtp(&mut bytes, len, header, seq, ssrc).expect("room");
                bytes.truncate(len);
                Some(bytes)
            }
            Clear::Rtcp(mut bytes) => {
                let len = bytes.len();
                bytes.resize(len + 20, 0);
                let len = self.sealer.seal_rtcp(&mut bytes, len).expect("room");
                bytes.truncate(len);
                Some(bytes)
            }
        }
    }

    /// What the server sent, if it is media.
    pub fn open(&mut self, mut bytes: Vec<u8>) -> Option<Clear> {
        match demux::classify(&bytes)? {
            Kind::Stun => {
                let answer = Message::parse(&bytes).expect("well-formed");
                let signed = [&self.remote.pwd, &self.former_password]
                    .into_iter()
                    .any(|password| answer.verify(&stun::Key::new(password.as_bytes())));
                assert!(signed, "the server signs its answers");
                if answer.is_binding_success() {
                    let mapped = answer.mapped_address();
                    assert!(mapped.is_some_and(|m| self.has(&path(m))), "{mapped:?}");
                }
                self.answers.push(answer.error_code());
                None
            }
            Kind::Dtls => {
                self.dtls.push(bytes);
                None
            }
            Kind::Rtp => match self.opener.open_rtp(&mut bytes) {
                Ok(len) => {
                    bytes.truncate(len);
                    Some(Clear::Rtp(Seq(0), bytes))
                }
                Err(_) => {
                    self.unopened += 1;
                    None
                }
            },
            Kind::Rtcp => {
                let len = self.opener.open_rtcp(&mut bytes).ok()?;
                bytes.truncate(len);
                Some(Clear::Rtcp(bytes))
            }
            Kind::Quic => None,
        }
    }
}

pub fn path(remote: SocketAddr) -> Path {
    let local = match remote {
        SocketAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        SocketAddr::V6(_) => "::1".parse().expect("an address"),
    };
    Path { socket: 0, local, remote }
}

/// For feedback that names no source of its own.
pub const OURS: Ssrc = Ssrc(0x0bad_cafe);
