//! Waking a driver that waits: an eventfd, written only when nobody else has written it already.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the wait of one driver, now or, if it is not waiting, at its next turn.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: File,
    signalled: AtomicBool,
}

impl Waker {
    /// A waker for one driver.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self(Arc::new(Inner { event: event.into(), signalled: AtomicBool::new(false) })))
    }

    /// Wakes the driver. Cheap when it was woken already and has not come round yet.
    pub fn wake(&self) {
        if !self.0.signalled.swap(true, Ordering::AcqRel) {
            // It fails only when the counter is full, and then the driver is awake anyway.
            let _ = (&self.0.event).write(&1u64.to_ne_bytes());
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.event.as_raw_fd()
    }

    /// The driver is awake. What was put into a queue before a [`Waker::wake`] that found the flag set is visible
    /// to whoever looks into that queue after this.
    pub(super) fn arrived(&self) {
        self.0.signalled.swap(false, Ordering::AcqRel);
    }

    /// Takes the signal out of the eventfd.
    pub(super) fn drain(&self) {
        let _ = (&self.0.event).read(&mut [0; 8]);
    }
}
