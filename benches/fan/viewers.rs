//! Sockets that are read as browsers read theirs: datagram by datagram, woken for them, without GRO.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// See the module.
pub(crate) struct Viewers {
    pub(crate) sockets: Arc<Vec<UdpSocket>>,
    pub(crate) addresses: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    others: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<()>>,
}

impl Viewers {
    /// So many of them, read in turn by a thread on each of `cores`.
    pub(crate) fn new(count: usize, cores: &[usize]) -> Self {
        let open = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("nonblocking");
            socket
        };
        let sockets: Arc<Vec<UdpSocket>> = Arc::new((0..count).map(open).collect());
        let addresses = sockets.iter().map(|s| s.local_addr().expect("bound")).collect();
        let (received, others, stop) = (Arc::default(), Arc::default(), Arc::default());
        let share = cores.len();
        let reader = |(nth, core): (usize, &usize)| {
            let (sockets, received, others, stop): (_, Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>) =
                (sockets.clone(), Arc::clone(&received), Arc::clone(&others), Arc::clone(&stop));
            let core = *core;
            std::thread::spawn(move || {
                let own: Vec<&UdpSocket> = sockets.iter().skip(nth).step_by(share).collect();
                let _ = millrace::net::pin(core);
                read(&own, &received, &others, &stop);
            })
        };
        let readers = cores.iter().enumerate().map(reader).collect();
        Self { sockets, addresses, received, others, stop, readers }
    }

    /// Media packets that arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Answers to checks and reports that arrived so far.
    pub(crate) fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

fn read(sockets: &[&UdpSocket], received: &AtomicU64, others: &AtomicU64, stop: &AtomicBool) {
    // SAFETY: the call takes no pointers; the descriptor is ours from here on.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(0)) };
    for (n, socket) in sockets.iter().enumerate() {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: n as u64 };
        // SAFETY: both descriptors are open, and `event` outlives the call.
        unsafe {
            libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event);
        }
    }
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: the kernel writes at most 256 events into an array of 256.
        let ready = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 256, 100) };
        for event in events.iter().take(usize::try_from(ready).unwrap_or(0)) {
            let Some(socket) = sockets.get(event.u64 as usize) else { continue };
            let (media, rest) = drain(socket.as_raw_fd());
            received.fetch_add(media, Ordering::Relaxed);
            others.fetch_add(rest, Ordering::Relaxed);
        }
    }
}

/// Messages taken with one system call; of each no more than tells what it is.
const TAKEN: usize = 32;

/// Reads what waits: media packets, and others.
fn drain(fd: RawFd) -> (u64, u64) {
    let (mut media, mut others) = (0, 0);
    let mut fronts = [[0u8; 2]; TAKEN];
    loop {
        let mut slices =
            fronts.each_mut().map(|f| libc::iovec { iov_base: f.as_mut_ptr().cast(), iov_len: 2 });
        // SAFETY: all-zero is a valid `mmsghdr`: null pointers and zero lengths.
        let mut headers: [libc::mmsghdr; TAKEN] = unsafe { std::mem::zeroed() };
        for (header, slice) in headers.iter_mut().zip(&mut slices) {
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        let (first, none) = (headers.as_mut_ptr(), std::ptr::null_mut());
        // SAFETY: each header points at a slice, and each slice at two bytes, all of which outlive the call.
        let taken = unsafe { libc::recvmmsg(fd, first, TAKEN as u32, libc::MSG_DONTWAIT as _, none) };
        let taken = usize::try_from(taken).unwrap_or(0);
        for [first, second] in fronts.iter().take(taken) {
            // RFC 5761 section 4 tells reports from media, RFC 7983 both from STUN.
            let report = (64..96).contains(&(second & 0x7f));
            if (128..192).contains(first) && !report {
                media += 1;
            } else {
                others += 1;
            }
        }
        if taken < TAKEN {
            return (media, others);
        }
    }
}
