//! The embedded store behind a small trait, and the thread that commits to it.

mod journal;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{error, info};

pub use self::journal::JournalStore;
pub(crate) use self::journal::crc32;
use super::Keeper;
use super::directory::{Change, Snapshot};

/// Requests that one commit takes at most: more than this would make the first wait for the last.
const GROUP: usize = 1024;
/// From the beginning of one transaction to that of the next at least: when many join, their changes go together.
const APART: Duration = Duration::from_millis(20);

/// How long after a commit that failed it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Changes that wait for a store that fails; those beyond are given up.
const OWED: usize = 16_384;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0}: in use by another millrace: stop that one, or give another folder with --data")]
    Locked(String),
    /// The file is not what it should be.
    #[error(
        "{path}: damaged or not a store of millrace ({reason}): put a backup in its place, or move it away to begin anew"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A later millrace wrote it.
    #[error("{path}: written by a later version of millrace (format {format}): run that version")]
    TooNew {
        /// Which file.
        path: String,
        /// Its format.
        format: u32,
    },
    /// The file cannot be read or written.
    #[error("{path}: {reason}: give a folder that can be written, with room, by --data")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        reason: String,
    },
}

/// Keeps what the directory changes.
pub trait Store: Send {
    /// All that is kept.
    fn load(&mut self) -> Result<Snapshot, StoreError>;
    /// Keeps all of `changes`, in order, or none; returns when they would survive a crash.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
    /// Its file with the lock on it, for a successor that opens it while nothing is committed.
    fn lend(&self) -> Option<File> {
        None
    }
}

type Kept = Box<dyn FnOnce(bool) + Send>;
type Lent = Box<dyn FnOnce(Option<File>) + Send>;

enum Request {
    Keep(Vec<Change>, Kept),
    Lend(Lent),
}

/// A thread that commits: while one commit goes to the disk, what comes gathers for the next.
#[derive(Debug)]
pub struct StoreThread {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<Commits>,
}

/// How committing goes.
#[derive(Debug, Default)]
pub struct Commits {
    /// Transactions that were kept.
    pub done: AtomicU64,
    /// Those that could not be, however often they were tried.
    pub failed: AtomicU64,
    /// What they took in all, in microseconds.
    pub took_us: AtomicU64,
    /// Whether the last one failed.
    pub failing: AtomicBool,
}

impl Commits {
    fn note(&self, kept: bool, took: Duration) {
        let counted = if kept { &self.done } else { &self.failed };
        counted.fetch_add(1, Ordering::Relaxed);
        self.took_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.failing.store(!kept, Ordering::Relaxed);
    }
}

impl StoreThread {
    /// Starts the thread. It ends, with all committed, when the value is dropped.
    pub fn start(store: Box<dyn Store>) -> Self {
        let (requests, inbox) = channel();
        let commits = Arc::<Commits>::default();
        let noted = Arc::clone(&commits);
        let thread =
            thread::Builder::new().name("store".to_owned()).spawn(move || run(store, &inbox, &noted));
        let thread = thread.inspect_err(|error| error!("the store's thread cannot start: {error}")).ok();
        Self { requests: Some(requests), thread, commits }
    }

    /// How committing goes, from now on.
    pub fn commits(&self) -> Arc<Commits> {
        Arc::clone(&self.commits)
    }

    fn ask(&self, request: Request) {
        let Some(requests) = &self.requests else { return };
        // The thread is gone only if it could not start; whoever waits learns that nothing was kept.
        match requests.send(request).map_err(|refused| refused.0) {
            Err(Request::Keep(_, kept)) => kept(false),
            Err(Request::Lend(lent)) => lent(None),
            Ok(()) => {}
        }
    }
}

impl Keeper for StoreThread {
    fn keep(&self, changes: Vec<Change>, kept: Kept) {
        self.ask(Request::Keep(changes, kept));
    }

    fn lend(&self, lent: Lent) {
        self.ask(Request::Lend(lent));
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the store's thread panicked");
        }
    }
}

/// Commits what comes, and with it what could not be kept before: else memory would hold what a restart forgets.
fn run(mut store: Box<dyn Store>, inbox: &Receiver<Request>, commits: &Commits) {
    let mut owed: Vec<Change> = Vec::new();
    let mut next = Instant::now();
    loop {
        let first = match owed.is_empty() {
            true => inbox.recv().map_err(RecvTimeoutError::from),
            false => inbox.recv_timeout(AGAIN),
        };
        let (mut waiting, mut lend) = (Vec::new(), None);
        let mut changes = std::mem::take(&mut owed);
        let failing = !changes.is_empty();
        match first {
            Ok(Request::Keep(first, kept)) => {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                changes.extend(first);
                waiting.push(kept);
            }
            Ok(Request::Lend(lent)) => lend = Some(lent),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // Nothing is owed, or this is the last chance.
                tell(&store.commit(&changes), &changes, failing);
                return;
            }
        }
        next = Instant::now() + APART;
        while waiting.len() < GROUP
            && lend.is_none()
            && let Ok(more) = inbox.try_recv()
        {
            match more {
                Request::Keep(more, kept) => {
                    changes.extend(more);
                    waiting.push(kept);
                }
                Request::Lend(lent) => lend = Some(lent),
            }
        }
        let began = Instant::now();
        let result = store.commit(&changes);
        commits.note(result.is_ok(), began.elapsed());
        tell(&result, &changes, failing);
        if result.is_err() && changes.len() <= OWED {
            owed = changes;
        }
        for kept in waiting {
            kept(result.is_ok());
        }
        if let Some(lent) = lend {
            // What is owed would be lost.
            lent(if result.is_ok() { store.lend() } else { None });
        }
    }
}

/// Says how a commit went, if it is worth saying.
fn tell(result: &Result<(), StoreError>, changes: &[Change], failing: bool) {
    match result {
        Ok(()) if failing => info!("the store keeps changes again"),
        Ok(()) => {}
        Err(reason) if changes.len() > OWED => {
            error!("{} changes will be lost when the server ends: {reason}", changes.len());
        }
        Err(reason) => error!("{} changes are not kept yet: {reason}", changes.len()),
    }
}
