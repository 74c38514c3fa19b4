//! The real control plane over the real store, without shards: for tests in which nothing carries media.

use std::path::Path;

use millrace::control::directory::{Directory, SystemEntropy};
use millrace::control::rooms::{Config, Rooms};
use millrace::control::store::{JournalStore, Store, StoreThread};
use millrace::control::{Control, DataPlane, Handshaking, Parts, State};
use millrace::handshake::Fingerprint;
use millrace::hooks::{self, Hooks};
use millrace::router::command::Command;
use millrace::router::id::{SessionId, ShardId};
use tokio::task::JoinHandle;

struct Nothing;

impl DataPlane for Nothing {
    fn send(&self, _shard: ShardId, _command: Command) {}
    fn broadcast(&self, _make: &dyn Fn() -> Command) {}
}

impl Handshaking for Nothing {
    fn expect(&self, _session: SessionId, _fingerprints: Vec<Fingerprint>) {}
    fn forget(&self, _session: SessionId) {}
}

/// The control plane over the store of a data folder, for so many handshakes at once. It ends with its last handle.
pub(crate) fn start(data: &Path, handshakes: usize) -> (Control, JoinHandle<()>) {
    start_telling(data, handshakes, None)
}

/// The same, which tells endpoints what happens.
pub(crate) fn start_telling(
    data: &Path,
    handshakes: usize,
    hooks: Option<&hooks::Settings>,
) -> (Control, JoinHandle<()>) {
    let mut store = JournalStore::open(data).expect("a store");
    let snapshot = store.load().expect("a snapshot");
    let directory = Directory::new(snapshot, Box::new(SystemEntropy::default()));
    let rooms = Rooms::new(Config {
        candidates: Vec::new(),
        streams: Vec::new(),
        fingerprint: [0; 32],
        voices: 8,
        handshakes,
    });
    let (control, inbox) = Control::new();
    let actor = inbox.start(Parts {
        now: millrace::units::Instant::ZERO,
        state: State::new(directory, rooms),
        keeper: Box::new(StoreThread::start(Box::new(store))),
        data_plane: Box::new(Nothing),
        handshakes: Box::new(Nothing),
        hooks: Hooks::start(hooks),
    });
    (control, actor)
}
