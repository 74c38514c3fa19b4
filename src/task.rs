//! Tasks that are there once for a server or for each connection.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// What a task does, on the heap: of one type for the runtime, which has two kilobytes of code for each type that it runs.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a task on the current runtime.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    start(Box::pin(work))
}

fn start(work: Work) -> JoinHandle<()> {
    tokio::spawn(work)
}
