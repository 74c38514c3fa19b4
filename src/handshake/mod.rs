//! DTLS handshakes (RFC 6347, RFC 9147, RFC 5764), on worker threads and never on a shard.
//!
//! A handshake costs about a millisecond of CPU, as much as a thousand forwarded packets. So the shard that sees a
//! DTLS datagram hands it over and goes on; a worker answers with [`Command::SendDtls`] and, once the peer's
//! certificate proved to be the one that signalling named, with [`Command::InstallKeys`].
//!
//! [`Desk`] is all of it without threads and clocks; [`Handshakes`] runs one desk per worker.

pub mod crypto;
mod desk;
mod exchange;
mod fingerprint;
pub(crate) mod hello;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use desk::{Desk, DeskLimits, Effect};
pub use exchange::Version;
pub use fingerprint::{Algorithm, Fingerprint};

use crate::router::command::Command;
use crate::router::id::{SessionId, ShardId};
use crate::wire::srtp::Profile;

/// Datagrams that may queue for one worker; what comes when it is full is dropped, and the peer repeats it.
const QUEUE: usize = 4096;
/// How long a worker with no timer sleeps between two looks at its queue.
const IDLE: Duration = Duration::from_secs(60);

/// Our certificate and its private key.
#[derive(Clone)]
pub struct Identity {
    /// DER.
    pub certificate: Vec<u8>,
    /// PKCS#8, DER; ECDSA on P-256 or P-384.
    pub private_key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} bytes of certificate, ..)", self.certificate.len())
    }
}

/// The way to the shards.
pub trait ToShard: Send + Sync + 'static {
    /// Hands `command` to `shard`.
    fn to_shard(&self, shard: ShardId, command: Command);
}

/// How a handshake ended; told once for each session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The keys are on their way to the shard.
    Secured {
        /// The DTLS version.
        version: Version,
        /// The SRTP profile.
        profile: Profile,
    },
    /// There will be no media; the session is to be ended.
    Failed(Failure),
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Somebody else answered, or the SDP was changed on the way.
    #[error("the peer's certificate is not the one that its SDP names")]
    Fingerprint,
    /// The peer speaks DTLS but no SRTP profile of ours.
    #[error("the peer offered no SRTP profile that we know")]
    NoProfile,
    /// Too many handshakes at once.
    #[error("too many handshakes at once; connect again in a few seconds")]
    Busy,
    /// DTLS itself failed.
    #[error("DTLS failed: {0}")]
    Dtls(String),
    /// A bug of ours, confined to this session.
    #[error("the handshake ended by a bug of the server")]
    Bug,
}

/// What happened so far, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handshakes that ended with keys.
    pub secured: u64,
    /// Handshakes that failed, whatever the reason.
    pub failed: u64,
    /// Those among `failed` that were refused because too many were in flight.
    pub refused: u64,
    /// Datagrams that were dropped: for unknown sessions, over a session's budget, or on a full queue.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Totals {
    secured: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

enum Message {
    Expect(SessionId, Arc<Identity>, Vec<Fingerprint>),
    Datagram(SessionId, ShardId, Vec<u8>),
    Forget(SessionId),
}

struct Worker {
    queue: mpsc::Sender<Message>,
    /// Datagrams in `queue`.
    queued: Arc<AtomicUsize>,
}

/// The handshake workers; clones share them. They end when the last clone is dropped.
#[derive(Clone)]
pub struct Handshakes {
    workers: Arc<[Worker]>,
    identity: Arc<std::sync::RwLock<Arc<Identity>>>,
    totals: Arc<Totals>,
}

impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handshakes({} workers)", self.workers.len())
    }
}

impl Handshakes {
    /// Starts `workers` threads. `outcome` is called on them, once for each session.
    pub fn start(
        workers: usize,
        identity: Identity,
        shards: Arc<dyn ToShard>,
        outcome: Box<dyn Fn(SessionId, Outcome) + Send + Sync>,
    ) -> std::io::Result<Self> {
        let outcome: Arc<dyn Fn(SessionId, Outcome) + Send + Sync> = outcome.into();
        let totals = Arc::new(Totals::default());
        let workers = (0..workers.max(1))
            .map(|n| {
                let (queue, messages) = mpsc::channel();
                let queued = Arc::new(AtomicUsize::new(0));
                let work = Work {
                    desk: Desk::new(DeskLimits::default()),
                    messages,
                    queued: queued.clone(),
                    shards: shards.clone(),
                    outcome: outcome.clone(),
                    totals: totals.clone(),
                };
                std::thread::Builder::new().name(format!("handshake-{n}")).spawn(move || work.run())?;
                Ok(Worker { queue, queued })
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { workers, identity: Arc::new(std::sync::RwLock::new(Arc::new(identity))), totals })
    }

    /// Uses another certificate for sessions that are expected from now on.
    pub fn renew(&self, identity: Identity) {
        let mut current = self.identity.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *current = Arc::new(identity);
    }

    /// Announces a session whose peer shall prove that it holds a certificate with one of `fingerprints`.
    /// Datagrams of sessions that were not announced are dropped.
    pub fn expect(&self, session: SessionId, fingerprints: Vec<Fingerprint>) {
        let identity = self.identity.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        self.tell(session, Message::Expect(session, identity, fingerprints));
    }

    /// Takes a DTLS datagram of a session that `shard` owns. Never blocks: a full queue drops it.
    pub fn feed(&self, session: SessionId, shard: ShardId, datagram: Vec<u8>) {
        let Some(worker) = self.worker(session) else { return };
        if worker.queued.load(Ordering::Relaxed) >= QUEUE {
            self.totals.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        worker.queued.fetch_add(1, Ordering::Relaxed);
        self.tell(session, Message::Datagram(session, shard, datagram));
    }

    /// Drops all that is known of a session; nothing more is sent or told for it.
    pub fn forget(&self, session: SessionId) {
        self.tell(session, Message::Forget(session));
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        Counts {
            secured: self.totals.secured.load(Ordering::Relaxed),
            failed: self.totals.failed.load(Ordering::Relaxed),
            refused: self.totals.refused.load(Ordering::Relaxed),
            dropped: self.totals.dropped.load(Ordering::Relaxed),
        }
    }

    fn worker(&self, session: SessionId) -> Option<&Worker> {
        self.workers.get(session.index as usize % self.workers.len().max(1))
    }

    fn tell(&self, session: SessionId, message: Message) {
        if let Some(worker) = self.worker(session) {
            // A worker ends only with the process or by a bug outside of every session; then there is nobody to tell.
            let _ = worker.queue.send(message);
        }
    }
}

/// One worker: its desk, and everything the desk must not know.
struct Work {
    desk: Desk,
    messages: mpsc::Receiver<Message>,
    queued: Arc<AtomicUsize>,
    shards: Arc<dyn ToShard>,
    outcome: Arc<dyn Fn(SessionId, Outcome) + Send + Sync>,
    totals: Arc<Totals>,
}

impl Work {
    fn run(mut self) {
        loop {
            let wait = match self.desk.poll_timeout() {
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => IDLE,
            };
            match self.messages.recv_timeout(wait) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.desk.handle_timeout(Instant::now());
            self.carry_out();
        }
    }

    fn handle(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Expect(session, identity, fingerprints) => {
                self.desk.expect(session, identity, fingerprints)
            }
            Message::Datagram(session, shard, datagram) => {
                self.queued.fetch_sub(1, Ordering::Relaxed);
                if !self.desk.feed(now, session, shard, &datagram) {
                    self.totals.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Forget(session) => self.desk.forget(now, session),
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.desk.poll_effect() {
            match effect {
                Effect::Command(shard, command) => self.shards.to_shard(shard, command),
                Effect::Outcome(session, outcome) => {
                    let total = match &outcome {
                        Outcome::Secured { .. } => &self.totals.secured,
                        Outcome::Failed(_) => &self.totals.failed,
                    };
                    total.fetch_add(1, Ordering::Relaxed);
                    if outcome == Outcome::Failed(Failure::Busy) {
                        self.totals.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    (self.outcome)(session, outcome);
                }
            }
        }
    }
}
