//! The controlling side of ICE (RFC 8445) towards a server: one pair, checked, nominated, kept alive. Servers that are not ICE-lite
//! check us, too, and are answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use millrace::router::command::IceCredentials;
use millrace::wire::stun::{self, Key, Message};

use super::Remote;
use crate::identity::random;

/// Consent checks of a nominated pair, as browsers send them.
const KEEP: Duration = Duration::from_millis(2500);
/// The first repetition of an unanswered check; doubled up to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_millis(800);
/// Without an answer for this long the pair is lost (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);
/// Of a host candidate (RFC 8445 section 5.1.2.1).
pub const HOST_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;

/// The state of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Checks were sent, no answer came.
    Checking,
    /// The pair works; the check that nominates it is not answered yet.
    Valid,
    /// The pair is in use.
    Nominated,
    /// No answer for the consent period.
    Lost,
}

/// One pair.
pub(super) struct Ice {
    username: String,
    key: Key,
    /// Of the checks that come to us.
    own: Key,
    server: Option<SocketAddr>,
    tie_breaker: u64,
    transaction: [u8; 12],
    state: State,
    wait: Duration,
    next: Instant,
    heard: Instant,
    mapped: Option<SocketAddr>,
}

impl Ice {
    pub(super) fn new(now: Instant, local: &IceCredentials, remote: &Remote) -> Self {
        Self {
            username: format!("{}:{}", remote.ice.ufrag, local.ufrag),
            key: Key::new(remote.ice.pwd.as_bytes()),
            own: Key::new(local.pwd.as_bytes()),
            server: remote.candidates.first().copied(),
            tie_breaker: u64::from_be_bytes(random()),
            transaction: random(),
            state: State::Checking,
            wait: FIRST,
            next: now,
            heard: now,
            mapped: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    pub(super) fn next(&self) -> Option<Instant> {
        (self.state != State::Lost).then_some(self.next)
    }

    /// Checks at once, and soon again if no answer comes.
    pub(super) fn check(&mut self, now: Instant) {
        if self.state == State::Nominated {
            self.state = State::Valid;
        }
        self.wait = FIRST;
        self.next = now;
    }

    /// Sends the check that is due, if one is.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next || self.state == State::Lost {
            return None;
        }
        if now.duration_since(self.heard) > CONSENT {
            self.state = State::Lost;
            return None;
        }
        self.wait = if self.state == State::Nominated { KEEP } else { (self.wait * 2).min(SLOWEST) };
        self.next = now + self.wait;
        let mut buffer = [0; 256];
        let nominate = self.state != State::Checking;
        let (name, key) = (self.username.as_str(), &self.key);
        let len = stun::write_request(
            &mut buffer,
            &self.transaction,
            name,
            HOST_PRIORITY,
            nominate,
            self.tie_breaker,
            key,
        )?;
        buffer.get(..len).map(<[u8]>::to_vec)
    }

    /// Takes an answer to one of our checks, or a check, whose answer is returned.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(datagram).ok()?;
        if message.is_binding_request() {
            return self.answer(&message);
        }
        let answered = message.is_binding_success() && message.transaction_id() == &self.transaction;
        if !answered || !message.verify(&self.key) {
            return None;
        }
        self.mapped = message.mapped_address();
        self.heard = now;
        self.transaction = random();
        match self.state {
            State::Checking => {
                self.state = State::Valid;
                self.wait = FIRST;
                self.next = now;
            }
            State::Valid | State::Lost => {
                self.state = State::Nominated;
                self.next = now + KEEP;
            }
            State::Nominated => {}
        }
        None
    }

    fn answer(&self, check: &Message<'_>) -> Option<Vec<u8>> {
        let mut buffer = [0; 256];
        let server = self.server.filter(|_| check.verify(&self.own))?;
        let len = stun::write_success(&mut buffer, check.transaction_id(), server, &self.own)?;
        buffer.get(..len).map(<[u8]>::to_vec)
    }
}
