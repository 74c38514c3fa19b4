//! Receiving many messages with one system call, `recvmmsg(2)`.

use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;

use super::Counters;
use super::message::{self, CONTROL_LEN, Control, NAME_LEN, Name};
use super::transmit;
use crate::batch::Path;

/// Room for messages. Pages that were never written cost nothing.
pub(super) struct Incoming {
    size: usize,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    slices: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    buffers: Box<[u8]>,
}

impl Incoming {
    /// For so many messages at once, each up to so long.
    pub(super) fn new(count: usize, size: usize) -> Self {
        let slice = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            size,
            names: vec![Name::EMPTY; count].into_boxed_slice(),
            controls: vec![Control::EMPTY; count].into_boxed_slice(),
            slices: vec![slice; count].into_boxed_slice(),
            headers: vec![transmit::empty_header(); count].into_boxed_slice(),
            buffers: vec![0; count * size].into_boxed_slice(),
        }
    }

    /// Hands over what a socket has, with at most so many system calls, and returns how many messages that were.
    pub(super) fn drain(
        &mut self,
        (fd, index, bound): (RawFd, u16, IpAddr),
        calls: usize,
        counters: &mut Counters,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> usize {
        let mut count = 0;
        for _ in 0..calls {
            let taken = self.drain_some((fd, index, bound), counters, rx);
            count += taken;
            if taken < self.names.len() {
                break;
            }
        }
        count
    }

    /// Hands over as many messages as one system call brings; how many that is.
    fn drain_some(
        &mut self,
        (fd, index, bound): (RawFd, u16, IpAddr),
        counters: &mut Counters,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> usize {
        let taken = match self.take(fd) {
            Ok(taken) => taken,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    counters.receive_errors += 1;
                }
                return 0;
            }
        };
        counters.reads += 1;
        let parts = self.names.iter().zip(&self.controls).zip(&self.headers);
        let buffers = self.buffers.chunks_exact_mut(self.size);
        for (((name, control), header), buffer) in parts.zip(buffers).take(taken) {
            let remote = name.0.get(..header.msg_hdr.msg_namelen as usize).and_then(message::read_name);
            let control = control.0.get(..len(header.msg_hdr.msg_controllen)).unwrap_or_default();
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let (Some(remote), Some(payload), false) =
                (remote, buffer.get_mut(..header.msg_len as usize), truncated)
            else {
                counters.receive_errors += 1;
                continue;
            };
            let arrival = message::read_control(control);
            let path = Path { socket: index, local: arrival.local.unwrap_or(bound), remote };
            counters.bytes_in += payload.len() as u64;
            counters.datagrams_in += message::split(path, payload, arrival.segment, rx);
        }
        taken
    }

    /// Receives what is there, as far as there is room; how many messages came.
    fn take(&mut self, fd: RawFd) -> io::Result<usize> {
        let places = self.names.iter_mut().zip(&mut self.controls).zip(&mut self.slices);
        let buffers = self.buffers.chunks_exact_mut(self.size);
        for ((((name, control), slice), buffer), header) in places.zip(buffers).zip(&mut self.headers) {
            *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut header.msg_hdr;
            header.msg_name = name.0.as_mut_ptr().cast();
            header.msg_namelen = NAME_LEN as _;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_LEN as _;
            header.msg_iov = slice;
            header.msg_iovlen = 1;
            header.msg_flags = 0;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len());
        // SAFETY: the headers were just pointed at names, controls and buffers of their stated lengths, all owned by `self`,
        // which is borrowed exclusively until the call returns.
        let taken =
            unsafe { libc::recvmmsg(fd, headers, count as _, libc::MSG_DONTWAIT as _, std::ptr::null_mut()) };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }
}

/// A length as the C library has it: `size_t` in one, `socklen_t` in another.
pub(super) fn len(of: impl TryInto<usize>) -> usize {
    of.try_into().unwrap_or(0)
}
