//! The sans-I/O part of a handshake worker: sessions from announcement to keys.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::Config;

use super::exchange::{self, Exchange, Step};
use super::hello::{Gathering, Offer};
use super::{Failure, Fingerprint, Identity, Outcome, fingerprint};
use crate::router::command::Command;
use crate::router::id::{SessionId, ShardId};
use crate::sorted::Set;

/// How much one desk takes on.
#[derive(Clone, Copy, Debug)]
pub struct DeskLimits {
    /// Handshakes in flight. More at once only delay each other.
    pub in_flight: usize,
    /// Peers that wait for one of those to end; more are refused.
    pub waiting: usize,
    /// How long one waits at most.
    pub patience: Duration,
    /// How long after the keys a peer that repeats its last flight is still answered: our own last flight was lost.
    pub linger: Duration,
    /// Datagrams taken for one session before it is done, and as many again after.
    pub datagrams: u32,
}

impl Default for DeskLimits {
    fn default() -> Self {
        Self {
            in_flight: 256,
            waiting: 4096,
            patience: Duration::from_secs(10),
            linger: Duration::from_secs(5),
            datagrams: 256,
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Tell a shard.
    Command(ShardId, Command),
    /// Tell the control plane.
    Outcome(SessionId, Outcome),
}

/// All sessions of one worker.
///
/// After every call to [`Desk::feed`], [`Desk::forget`] or [`Desk::handle_timeout`], [`Desk::poll_effect`] is to be
/// called until `None`, in order: keys come before the flight that lets the peer send media.
pub struct Desk {
    limits: DeskLimits,
    config: Option<Arc<Config>>,
    sessions: HashMap<SessionId, Session>,
    in_flight: usize,
    waiting: VecDeque<SessionId>,
    timers: Set<(Instant, SessionId)>,
    effects: VecDeque<Effect>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({} sessions, {} in flight)", self.sessions.len(), self.in_flight)
    }
}

struct Session {
    shard: ShardId,
    identity: Arc<Identity>,
    fingerprints: Vec<Fingerprint>,
    /// Datagrams taken in this state of affairs.
    taken: u32,
    wake: Option<Instant>,
    state: State,
}

/// In the order in which a session passes through them.
enum State {
    /// Nothing, or only a part of the ClientHello, has come.
    Expected(Gathering),
    /// The ClientHello is here, but too many others are in flight.
    Waiting(Gathering, Offer),
    InFlight(Box<Exchange>),
    /// There are keys; a repeated last flight is still answered.
    Answering(Box<Exchange>, /* until */ Instant),
    Over,
}

impl Desk {
    /// An empty desk.
    pub fn new(limits: DeskLimits) -> Self {
        Self {
            limits,
            config: exchange::config(),
            sessions: HashMap::new(),
            in_flight: 0,
            waiting: VecDeque::new(),
            timers: Set::new(),
            effects: VecDeque::new(),
        }
    }

    /// Announces a session; see [`super::Handshakes::expect`]. One that is already known is left as it is.
    pub fn expect(&mut self, id: SessionId, identity: Arc<Identity>, fingerprints: Vec<Fingerprint>) {
        self.sessions.entry(id).or_insert_with(|| Session {
            shard: ShardId(0),
            identity,
            fingerprints,
            taken: 0,
            wake: None,
            state: State::Expected(Gathering::default()),
        });
    }

    /// Takes a datagram; returns whether it was of use or might have been.
    pub fn feed(&mut self, now: Instant, id: SessionId, shard: ShardId, datagram: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.taken >= self.limits.datagrams {
            return false;
        }
        session.taken += 1;
        session.shard = shard;
        match &mut session.state {
            State::Expected(gathering) => {
                if let Some(offer) = gathering.add(datagram) {
                    let gathering = std::mem::take(gathering);
                    self.admit(now, id, gathering, offer);
                }
                true
            }
            // A repeated ClientHello.
            State::Waiting(..) => true,
            State::InFlight(exchange) => {
                let mut step = Step::default();
                let result = exchange.take(now, datagram, &mut step);
                self.advance(now, id, step, result);
                self.fill(now);
                true
            }
            State::Answering(exchange, until) => {
                let mut step = Step::default();
                if exchange.take(now, datagram, &mut step).is_err() {
                    self.retire(id);
                    return true;
                }
                if !step.datagrams.is_empty() {
                    *until = now + self.limits.linger;
                }
                let until = *until;
                self.send(id, step.datagrams);
                self.set_timer(id, Some(until));
                true
            }
            State::Over => false,
        }
    }

    /// Drops all that is known of a session.
    pub fn forget(&mut self, now: Instant, id: SessionId) {
        self.set_timer(id, None);
        let Some(session) = self.sessions.remove(&id) else { return };
        match session.state {
            State::InFlight(_) => self.in_flight -= 1,
            State::Waiting(..) => self.waiting.retain(|other| *other != id),
            _ => {}
        }
        self.fill(now);
    }

    /// When [`Desk::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.set_timer(id, None);
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            match &mut session.state {
                State::InFlight(exchange) => {
                    let mut step = Step::default();
                    let result = exchange.wait(now, &mut step);
                    self.advance(now, id, step, result);
                }
                State::Waiting(..) => {
                    self.waiting.retain(|other| *other != id);
                    self.fail(id, Failure::Busy);
                }
                State::Answering(..) => self.retire(id),
                State::Expected(_) | State::Over => {}
            }
        }
        self.fill(now);
    }

    /// The next thing to be done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Handshakes in flight, and peers that wait.
    pub fn load(&self) -> (usize, usize) {
        (self.in_flight, self.waiting.len())
    }

    /// A whole ClientHello is there: begin, wait, or refuse.
    fn admit(&mut self, now: Instant, id: SessionId, gathering: Gathering, offer: Offer) {
        if self.in_flight < self.limits.in_flight {
            self.begin(now, id, gathering, &offer);
            self.fill(now);
        } else if self.waiting.len() < self.limits.waiting {
            self.waiting.push_back(id);
            self.set_state(id, State::Waiting(gathering, offer));
            self.set_timer(id, Some(now + self.limits.patience));
        } else {
            self.fail(id, Failure::Busy);
        }
    }

    fn begin(&mut self, now: Instant, id: SessionId, gathering: Gathering, offer: &Offer) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let exchange = match self.config.clone() {
            Some(config) => Exchange::new(offer.answer(), config, &session.identity, now),
            None => Err(Failure::Bug),
        };
        let mut exchange = match exchange {
            Ok(exchange) => exchange,
            Err(failure) => return self.fail(id, failure),
        };
        let mut step = Step::default();
        let result = gathering
            .into_datagrams()
            .iter()
            .try_for_each(|datagram| exchange.take(now, datagram, &mut step));
        session.state = State::InFlight(Box::new(exchange));
        self.in_flight += 1;
        self.advance(now, id, step, result);
    }

    /// A handshake in flight made a step: send what it wants to, unless it is over one way or the other.
    fn advance(&mut self, now: Instant, id: SessionId, step: Step, result: Result<(), Failure>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let refused =
            step.certificate.as_ref().is_some_and(|c| !fingerprint::matches(&session.fingerprints, c));
        let failure = match result {
            Err(failure) => Some(failure),
            // The last flight is not sent either: the peer must not believe in this connection.
            Ok(()) if refused => Some(Failure::Fingerprint),
            Ok(()) if step.connected && step.keys.is_none() => Some(Failure::NoProfile),
            Ok(()) => None,
        };
        if let Some(failure) = failure {
            self.in_flight -= 1;
            return self.fail(id, failure);
        }
        let Some(keys) = step.keys else {
            self.send(id, step.datagrams);
            return self.set_timer(id, step.wake);
        };
        session.fingerprints = Vec::new();
        let shard = session.shard;
        let until = now + self.limits.linger;
        session.taken = 0;
        let State::InFlight(exchange) = std::mem::replace(&mut session.state, State::Over) else { return };
        let outcome = Outcome::Secured { version: exchange.version(), profile: keys.profile };
        session.state = State::Answering(exchange, until);
        // Media must not overtake the last flight: without it the peer cannot open any.
        self.send(id, step.datagrams);
        self.effects
            .push_back(Effect::Command(shard, Command::InstallKeys { session: id, keys: Box::new(keys) }));
        self.effects.push_back(Effect::Outcome(id, outcome));
        self.set_timer(id, Some(until));
        self.in_flight -= 1;
    }

    fn send(&mut self, id: SessionId, datagrams: Vec<Vec<u8>>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let shard = session.shard;
        let commands = datagrams.into_iter().map(|datagram| Command::SendDtls { session: id, datagram });
        self.effects.extend(commands.map(|command| Effect::Command(shard, command)));
    }

    fn fail(&mut self, id: SessionId, failure: Failure) {
        self.effects.push_back(Effect::Outcome(id, Outcome::Failed(failure)));
        self.retire(id);
    }

    fn retire(&mut self, id: SessionId) {
        self.set_timer(id, None);
        self.set_state(id, State::Over);
    }

    /// Begins those who wait while there is room: a handshake in flight may have ended.
    fn fill(&mut self, now: Instant) {
        while self.in_flight < self.limits.in_flight
            && let Some(id) = self.waiting.pop_front()
        {
            self.set_timer(id, None);
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if let State::Waiting(gathering, offer) = std::mem::replace(&mut session.state, State::Over) {
                self.begin(now, id, gathering, &offer);
            }
        }
    }

    fn set_state(&mut self, id: SessionId, state: State) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = state;
        }
    }

    fn set_timer(&mut self, id: SessionId, at: Option<Instant>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(old) = session.wake.take() {
            self.timers.remove(&(old, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
            session.wake = Some(at);
        }
    }
}
