//! What is true, for all who take part: who is there, who publishes what, and what went wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace::control::ids::Uid;
use millrace::signal::message::{Muted, StreamId};

use super::Plan;
use super::ledger::Ledger;
use crate::Error;
use crate::drive::Engine;

/// How long a session is kept whose connection was lost: the server's grace, after the time in which it finds out.
pub(super) const GRACE: Duration = Duration::from_secs(45);
/// A picture that does not move for so long although it should is stuck.
pub(super) const STUCK: Duration = Duration::from_secs(10);
/// Who left may come again after so long: what was told of it must not be mixed with what is told then.
const AWAY: Duration = Duration::from_secs(15);
/// Mistakes of one kind that are told; the others are counted.
const TOLD: usize = 5;

/// Who publishes, and what of it is to be seen.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) muted: Muted,
    /// Since when it is so.
    since: Instant,
}

/// See the module.
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) engine: Engine,
    pub(super) ends: Instant,
    stopped: AtomicBool,
    people: Mutex<Ledger<Uid>>,
    streams: Mutex<Ledger<StreamId>>,
    sources: Mutex<HashMap<Uid, Source>>,
    /// What the observer was told of what is muted.
    seen: Mutex<HashMap<Uid, Muted>>,
    faults: Mutex<BTreeMap<&'static str, Vec<String>>>,
    /// How many of each kind were told.
    known: Mutex<BTreeMap<&'static str, usize>>,
    counts: [AtomicU64; Deed::ALL.len()],
    /// Tokens of people who left, and since when they may come again.
    away: Mutex<Vec<(Instant, String)>>,
}

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Somebody came.
    Join,
    /// Somebody left.
    Leave,
    /// Somebody was gone without a word.
    Crash,
    /// Somebody muted something, or unmuted it.
    Mute,
    /// A tile got another size.
    Resize,
    /// Somebody went on from another address.
    Move,
    /// ICE was restarted.
    Restart,
    /// A frame arrived.
    Frame,
}

impl Deed {
    /// All of them, with what they are called.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Join, "joins"),
        (Self::Leave, "leaves"),
        (Self::Crash, "crashes"),
        (Self::Mute, "mutes"),
        (Self::Resize, "resizes"),
        (Self::Move, "moves"),
        (Self::Restart, "restarts"),
        (Self::Frame, "frames"),
    ];
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub(super) fn new(plan: Plan, engine: Engine) -> Self {
        Self {
            ends: Instant::now() + plan.length,
            plan,
            engine,
            stopped: AtomicBool::new(false),
            people: Mutex::new(Ledger::new("person")),
            streams: Mutex::new(Ledger::new("stream")),
            sources: Mutex::default(),
            seen: Mutex::default(),
            faults: Mutex::default(),
            known: Mutex::default(),
            counts: Default::default(),
            away: Mutex::default(),
        }
    }

    /// Everybody is to leave.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether everybody is to leave.
    pub(super) fn over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.ends
    }

    pub(super) fn people(&self) -> MutexGuard<'_, Ledger<Uid>> {
        lock(&self.people)
    }

    pub(super) fn streams(&self) -> MutexGuard<'_, Ledger<StreamId>> {
        lock(&self.streams)
    }

    pub(super) fn done(&self, deed: Deed) {
        self.counts[deed as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, deed: Deed) -> u64 {
        self.counts[deed as usize].load(Ordering::Relaxed)
    }

    /// Who comes: somebody who was here before, if anybody is away. A server keeps guests for a day, and new ones only would be
    /// all that grows.
    pub(super) async fn somebody(&self) -> Result<String, Error> {
        let now = Instant::now();
        let back = {
            let mut away = lock(&self.away);
            let at = away.iter().position(|(from, _)| *from <= now);
            at.map(|at| away.swap_remove(at).1)
        };
        match back {
            Some(token) => Ok(token),
            None => self.plan.room.guest("Somebody").await,
        }
    }

    /// Somebody left, or is gone without a word, and may come again when all was told of it.
    pub(super) fn went(&self, token: String, crashed: bool) {
        let grace = if crashed { GRACE } else { Duration::ZERO };
        lock(&self.away).push((Instant::now() + grace + AWAY, token));
    }

    /// Something that must not be.
    pub(super) fn fault(&self, kind: &'static str, what: String) {
        lock(&self.faults).entry(kind).or_default().push(what);
    }

    /// Somebody publishes, with so much muted.
    pub(super) fn shows(&self, uid: Uid, muted: Muted) {
        lock(&self.sources).insert(uid, Source { muted, since: Instant::now() });
    }

    /// Somebody ceased to publish.
    pub(super) fn shows_no_more(&self, uid: Uid) {
        lock(&self.sources).remove(&uid);
    }

    /// Since when there is a picture of this publisher to be seen.
    pub(super) fn visible_since(&self, uid: Uid) -> Option<Instant> {
        lock(&self.sources).get(&uid).filter(|source| !source.muted.video).map(|source| source.since)
    }

    /// The observer was told so.
    pub(super) fn told_muted(&self, uid: Uid, muted: Muted) {
        lock(&self.seen).insert(uid, muted);
    }

    /// Compares what was told with what is so, and looks for what is stuck.
    pub(super) fn judge(&self) {
        let now = Instant::now();
        self.people().judge(now);
        self.streams().judge(now);
        let seen = lock(&self.seen);
        for (uid, source) in &*lock(&self.sources) {
            if now.duration_since(source.since) > STUCK
                && seen.get(uid).is_some_and(|told| *told != source.muted)
            {
                self.fault(
                    "mutes",
                    format!("{uid} has {:?}, and {:?} was told", source.muted, seen.get(uid)),
                );
            }
        }
    }

    /// Everything that was wrong, by kind.
    fn all(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut all: BTreeMap<_, Vec<String>> = lock(&self.faults).clone();
        for (kind, (_, faults)) in [("people", self.people().result()), ("streams", self.streams().result())]
        {
            all.entry(kind).or_default().extend(faults.iter().cloned());
        }
        all.retain(|_, faults| !faults.is_empty());
        all
    }

    /// The same: how often, and some of it in words.
    pub(super) fn faults(&self) -> BTreeMap<&'static str, (usize, Vec<String>)> {
        let some = |faults: Vec<String>| (faults.len(), faults.into_iter().take(TOLD).collect());
        self.all().into_iter().map(|(kind, faults)| (kind, some(faults))).collect()
    }

    /// What was found wrong since this was asked last.
    pub(super) fn news(&self) -> Vec<String> {
        let mut known = lock(&self.known);
        let mut news = Vec::new();
        for (kind, faults) in self.all() {
            let before = known.insert(kind, faults.len()).unwrap_or_default();
            news.extend(faults.into_iter().skip(before).map(|fault| format!("{kind}: {fault}")));
        }
        news
    }

    /// Those who came or left, and of whom not everything was told yet.
    pub(super) fn missing(&self) -> usize {
        self.people().missing() + self.streams().missing()
    }

    /// News of the roster that came as they should.
    pub(super) fn told(&self) -> u64 {
        self.people().result().0 + self.streams().result().0
    }
}
