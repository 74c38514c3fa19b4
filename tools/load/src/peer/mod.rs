//! The media end of a native client, sans-I/O: ICE, DTLS and SRTP over one path.

mod ice;
mod secure;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use ice::Ice;
pub use ice::{HOST_PRIORITY, State};
use millrace::handshake::{Fingerprint, Identity};
use millrace::router::command::IceCredentials;
use millrace::wire::demux::{Kind, classify};
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::rtcp;
use millrace::wire::rtp::Header;
use millrace::wire::srtp::{Opener, Profile, Sealer};
use secure::Secure;

use crate::Error;

/// The largest datagram a peer sends.
const MAX_DATAGRAM: usize = 1452;

/// What the server's SDP says of its end.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its ICE credentials.
    pub ice: IceCredentials,
    /// Where it listens, best first; the first one is used.
    pub candidates: Vec<SocketAddr>,
    /// Its certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// It begins the DTLS handshake, not we.
    pub begins: bool,
}

impl Remote {
    /// Puts that candidate first which is most like an address where the server answered already, and tells it.
    pub fn reached(&mut self, server: SocketAddr) -> SocketAddr {
        let unlike = |c: &SocketAddr| (c.ip() != server.ip(), c.is_ipv4() != server.is_ipv4());
        self.candidates.sort_by_key(unlike);
        self.candidates.first().copied().unwrap_or(server)
    }
}

/// What a datagram turned out to be; media is opened in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An RTP packet of this length at the front of the datagram.
    Rtp(usize),
    /// An RTCP compound of this length.
    Rtcp(usize),
    /// Something that the peer dealt with, or dropped.
    Nothing,
}

/// One media connection.
///
/// After every call that takes `&mut self`, [`Peer::poll_transmit`] is to be called until `None`.
pub struct Peer {
    ice: Ice,
    secure: Secure,
    media: Option<(Sealer, Opener)>,
    /// Somebody else holds the keys: what is sent is queued as it is.
    unsealed: bool,
    out: VecDeque<Vec<u8>>,
    dropped: u64,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({:?}, {:?})", self.ice.state(), self.profile())
    }
}

impl Peer {
    /// A connection about to be made: `local` and the fingerprint of `identity` are in our SDP.
    pub fn new(
        now: Instant,
        local: &IceCredentials,
        identity: &Identity,
        remote: &Remote,
    ) -> Result<Self, Error> {
        Ok(Self {
            ice: Ice::new(now, local, remote),
            secure: Secure::new(now, identity, remote)?,
            media: None,
            unsealed: false,
            out: VecDeque::new(),
            dropped: 0,
        })
    }

    /// A peer for media that somebody else secures, or nobody: it queues what is sent as it is, and does nothing else.
    pub fn unsealed(
        now: Instant,
        local: &IceCredentials,
        identity: &Identity,
        remote: &Remote,
    ) -> Result<Self, Error> {
        Ok(Self { unsealed: true, ..Self::new(now, local, identity, remote)? })
    }

    /// Takes a datagram from the server.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) -> Result<Received, Error> {
        match classify(datagram) {
            Some(Kind::Stun) => self.out.extend(self.ice.handle(now, datagram)),
            Some(Kind::Dtls) => {
                if let Some(keys) = self.secure.handle(now, datagram, &mut self.out)? {
                    self.media = Some((Sealer::new(&keys), Opener::new(&keys)));
                }
            }
            Some(Kind::Rtp) => {
                if let Some((_, opener)) = &mut self.media
                    && let Ok(len) = opener.open_rtp(datagram)
                {
                    return Ok(Received::Rtp(len));
                }
                self.dropped += 1;
            }
            Some(Kind::Rtcp) => {
                if let Some((_, opener)) = &mut self.media
                    && let Ok(len) = opener.open_rtcp(datagram)
                {
                    return Ok(Received::Rtcp(len));
                }
                self.dropped += 1;
            }
            Some(Kind::Quic) | None => self.dropped += 1,
        }
        self.handle_timeout(now)?;
        Ok(Received::Nothing)
    }

    /// Does what is due. DTLS begins when the pair is nominated.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.unsealed {
            return Ok(());
        }
        self.out.extend(self.ice.handle_timeout(now));
        match self.ice.state() {
            State::Lost => return Err(Error::Media("the server does not answer connectivity checks".into())),
            State::Nominated if self.secure.next().is_some_and(|at| at <= now) => {
                if let Some(keys) = self.secure.handle_timeout(now, &mut self.out)? {
                    self.media = Some((Sealer::new(&keys), Opener::new(&keys)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The path is another one: it is checked at once.
    pub fn check(&mut self, now: Instant) {
        self.ice.check(now);
    }

    /// Restarts ICE (RFC 8445 section 9); what secures media stays.
    pub fn restart(&mut self, now: Instant, local: &IceCredentials, remote: &Remote) {
        self.ice = Ice::new(now, local, remote);
    }

    /// When [`Peer::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.unsealed {
            return None;
        }
        let secure = self.secure.next().filter(|_| self.ice.state() == State::Nominated);
        self.ice.next().into_iter().chain(secure).min()
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// Whether media can flow.
    pub fn connected(&self) -> bool {
        self.media.is_some() || self.unsealed
    }

    /// The SRTP profile, once connected.
    pub fn profile(&self) -> Option<Profile> {
        self.media.as_ref().map(|(sealer, _)| sealer.profile())
    }

    /// The state of the candidate pair.
    pub fn state(&self) -> State {
        self.ice.state()
    }

    /// Our address as the server sees it.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.ice.mapped()
    }

    /// Datagrams that were nothing or could not be opened.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Seals and queues an RTP packet. `seq` is the header's with its rollovers, and must never come twice for one
    /// SSRC. Returns whether it was sent: not before [`Peer::connected`], and not if it is too large.
    pub fn send_rtp(
        &mut self,
        header: &Header,
        seq: Seq,
        extensions: &[(u8, &[u8])],
        payload: &[&[u8]],
    ) -> bool {
        if !self.connected() {
            return false;
        }
        let mut buffer = vec![0; MAX_DATAGRAM];
        let Some(header_len) = header.write(&mut buffer, extensions) else { return false };
        let mut len = header_len;
        for part in payload {
            let Some(room) = buffer.get_mut(len..len + part.len()) else { return false };
            room.copy_from_slice(part);
            len += part.len();
        }
        let sealed = match &self.media {
            Some((sealer, _)) => sealer.seal_rtp(&mut buffer, len, header_len, seq, header.ssrc),
            None => Some(len),
        };
        let Some(sealed) = sealed else { return false };
        buffer.truncate(sealed);
        self.out.push_back(buffer);
        true
    }

    /// Seals and queues the RTCP compound that `write` writes, if it writes any.
    pub fn send_rtcp(&mut self, write: impl FnOnce(&mut rtcp::Writer<'_>)) {
        if self.media.is_none() && !self.unsealed {
            return;
        }
        let mut buffer = vec![0; MAX_DATAGRAM];
        // Room for the tag and the index that sealing adds.
        let Some(room) = buffer.get_mut(..MAX_DATAGRAM - millrace::wire::srtp::MAX_OVERHEAD) else { return };
        let mut writer = rtcp::Writer::new(room);
        write(&mut writer);
        let len = writer.len();
        let sealed = match &mut self.media {
            _ if len == 0 => None,
            Some((sealer, _)) => sealer.seal_rtcp(&mut buffer, len),
            None => Some(len),
        };
        if let Some(sealed) = sealed {
            buffer.truncate(sealed);
            self.out.push_back(buffer);
        }
    }
}

/// A random SSRC.
pub fn random_ssrc() -> Ssrc {
    Ssrc(u32::from_be_bytes(crate::identity::random()))
}

/// Fresh ICE credentials.
pub fn random_credentials() -> IceCredentials {
    IceCredentials { ufrag: crate::identity::random_name(8), pwd: crate::identity::random_name(24) }
}
