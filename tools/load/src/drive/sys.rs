//! The system calls behind the loop: epoll, its wake-up, many datagrams in one call. All `unsafe` of this crate.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Datagrams of one read.
pub(super) const BATCH: usize = 32;
/// No datagram of a media path is larger.
const ROOM: usize = 2048;
/// Sockets reported by one wait.
const EVENTS: usize = 1024;

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Which sockets have something to read.
pub(super) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    /// Watches `fd` until it is closed; `token` tells it in [`Epoll::wait`].
    pub(super) fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: `event` is read by the call and outlives it.
        let done = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits, and says whose turn it is.
    pub(super) fn wait(&mut self, patience: Duration, tokens: &mut Vec<u64>) -> io::Result<()> {
        let time = libc::timespec {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_nsec: patience.subsec_nanos().into(),
        };
        // SAFETY: `events` has room for as many as are asked for; `time` is read; a null set changes no signals. The
        // plain call waits in milliseconds, too coarse for a frame that is due.
        let found = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as libc::c_int,
                &raw const time,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        tokens.clear();
        match usize::try_from(found) {
            Ok(found) => tokens.extend(self.events.iter().take(found).map(|event| event.u64)),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Ends a wait from another thread.
pub(super) struct Waker(OwnedFd);

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(Self)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn wake(&self) {
        let one = 1u64;
        // SAFETY: reads eight bytes of `one`. A full counter wakes all the same.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    pub(super) fn rest(&self) {
        let mut count = 0u64;
        // SAFETY: writes eight bytes to `count`. Nothing to read is fine.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}

/// Room for the datagrams of one read.
pub(super) struct Batch {
    room: Vec<[u8; ROOM]>,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers within point to heap memory that the batch itself owns and never moves.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new() -> Self {
        let mut room = vec![[0; ROOM]; BATCH];
        let part =
            |buffer: &mut [u8; ROOM]| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: ROOM };
        let mut parts: Vec<_> = room.iter_mut().map(part).collect();
        // SAFETY: all-zero is a header of no buffers, no name and no control messages.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let mut headers = vec![empty; BATCH];
        for (header, part) in headers.iter_mut().zip(&mut parts) {
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        Self { room, parts, headers }
    }

    /// Reads what waits at `fd`, each datagram by itself: no coalescing, as at a browser. The number read.
    pub(super) fn read(&mut self, fd: RawFd) -> usize {
        debug_assert_eq!(self.parts.len(), BATCH);
        // SAFETY: the headers point to `parts`, those to `room`; all live as long as `self`. No time-out: what is
        // not there yet comes with the next event.
        let read = unsafe {
            libc::recvmmsg(
                fd,
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        // An error is nothing more, or nobody listens there yet, and the checks will tell.
        usize::try_from(read).unwrap_or(0)
    }

    /// One of the datagrams read.
    pub(super) fn datagram(&mut self, n: usize) -> Option<&mut [u8]> {
        let len = self.headers.get(n)?.msg_len as usize;
        self.room.get_mut(n)?.get_mut(..len)
    }
}

/// Datagrams that the kernel dropped because nobody read them from `fd` in time.
pub(super) fn drops(fd: RawFd) -> Option<u32> {
    /// Index of the drops among what `SO_MEMINFO` tells (`linux/sock_diag.h`).
    const DROPS: usize = 8;
    let mut info = [0u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the call writes at most `len` bytes to `info`, and the length to `len`.
    let done = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    (done == 0).then_some(info[DROPS])
}
