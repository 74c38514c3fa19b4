//! TCP connections on their way to a shard: few, so a lock will do, which the shard does not touch while nobody comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::net::Stream;

/// Where connections come in; clones lead to the same shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Door(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Vec<Stream>>,
    any: AtomicBool,
}

impl Door {
    /// Puts a connection in; the shard must be woken after that. Their number bounds how many wait.
    pub(super) fn put(&self, stream: Stream) {
        lock(&self.0.waiting).push(stream);
        self.0.any.store(true, Ordering::Release);
    }

    /// Those that came.
    pub(super) fn take(&self) -> Vec<Stream> {
        if !self.0.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut lock(&self.0.waiting))
    }
}
