//! Buffers that the kernel fills by itself (`io_uring_register_buf_ring(3)`).

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The number under which the kernel knows the pool.
pub(super) const GROUP: u16 = 0;
/// Buffers; a power of two. Pages that were never filled cost no memory: an idle shard uses one page of each.
const COUNT: u16 = 32;
/// One holds what the largest joined datagrams need, and what the kernel tells of them.
const BUFFER: usize = 64 * 1024 + 512;
/// The ring of entries comes first and takes one page.
const RING: usize = 4096;
const LEN: usize = RING + COUNT as usize * BUFFER;

/// See the module. A buffer is the kernel's from [`Pool::give`] until a completion names it, and ours from then on.
#[derive(Debug)]
pub(super) struct Pool {
    base: NonNull<u8>,
    /// Entries given so far, as the kernel counts them.
    tail: u16,
    /// A bit for each buffer that is the kernel's.
    given: u32,
    leaked: bool,
}

impl Pool {
    /// Maps the pool, registers it with `ring` and gives all buffers away. It must outlive the ring's last request.
    pub(super) fn new(ring: &IoUring) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), LEN, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut pool = Self { base, tail: 0, given: 0, leaked: false };
        // SAFETY: the ring of entries is the first page of the mapping, which lives until no request is left.
        unsafe { ring.submitter().register_buf_ring_with_flags(base.as_ptr() as u64, COUNT, GROUP, 0)? };
        for id in 0..COUNT {
            pool.give(id);
        }
        Ok(pool)
    }

    fn place(id: u16) -> usize {
        RING + usize::from(id) * BUFFER
    }

    /// The first `len` bytes of a buffer that a completion has just named.
    pub(super) fn take(&mut self, id: u16, len: usize) -> Option<&mut [u8]> {
        if id >= COUNT || len > BUFFER || self.given & (1 << id) == 0 {
            return None;
        }
        self.given &= !(1 << id);
        // SAFETY: the buffer lies within the mapping and is initialised (zero at first, then as the kernel wrote it);
        // the kernel gave it up with the completion, and `given` sees to it that we take it only once.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(Self::place(id)), len) })
    }

    /// Gives a buffer to the kernel.
    pub(super) fn give(&mut self, id: u16) {
        if id >= COUNT || self.given & (1 << id) != 0 {
            return;
        }
        self.given |= 1 << id;
        let entries = self.base.as_ptr().cast::<BufRingEntry>();
        let nth = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `nth` is below COUNT, and the page holds as many entries; the kernel does not read this one before
        // the tail moves past it. No reference to the entry's last field, which holds the tail in entry 0, is made.
        let entry = unsafe { &mut *entries.add(nth) };
        // SAFETY: the place is within the mapping.
        entry.set_addr(unsafe { self.base.as_ptr().add(Self::place(id)) } as u64);
        entry.set_len(BUFFER as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is an aligned u16 within the first page, shared with the kernel, which only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The kernel may still write into the pool: leave it where it is.
    pub(super) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: the mapping is ours, of this length, and nobody uses it any more.
            unsafe { libc::munmap(self.base.as_ptr().cast(), LEN) };
        }
    }
}
