//! The thread that everything runs on that is neither media nor a handshake.
//!
//! One: it is thin, and media has the cores; with a second one each message would wake the other, and what is said in a row
//! would leave in packets of its own.

use std::io;
use std::ops::Deref;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A tokio runtime with a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct ControlThread {
    handle: Handle,
    /// Dropped, it tells the thread to end.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlThread {
    /// Starts it. What is at work on files when it ends is given `patience`.
    pub(super) fn start(patience: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("control").build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(patience);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it, and returns when it has.
    pub(super) fn stop(mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It catches what its tasks throw.
            let _ = thread.join();
        }
    }
}

impl Deref for ControlThread {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}
