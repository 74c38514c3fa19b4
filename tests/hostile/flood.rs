//! Datagrams at a rate.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What every attack of packets sends a second, beyond which the kernel's queue would be what is tested.
pub(crate) const RATE: u64 = 20_000;

/// What an attacker sent and got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) bytes_out: u64,
    pub(crate) received: u64,
    pub(crate) bytes_in: u64,
}

/// Sends what `next` writes, [`RATE`] a second by a connected socket, until it is over or `next` has no more; `hear` gets what comes back.
pub(crate) fn flood(
    socket: &UdpSocket,
    over: &AtomicBool,
    mut next: impl FnMut(u64, &mut Vec<u8>) -> bool,
    mut hear: impl FnMut(&mut [u8]),
) -> Tally {
    socket.set_nonblocking(true).expect("a socket");
    let (mut tally, mut datagram, mut back) = (Tally::default(), Vec::with_capacity(1500), [0; 2048]);
    let began = Instant::now();
    loop {
        let due = began.elapsed().as_micros() as u64 * RATE / 1_000_000;
        while tally.sent < due {
            datagram.clear();
            if over.load(Ordering::Relaxed) || !next(tally.sent, &mut datagram) {
                return tally;
            }
            // A full queue loses it, as a network would.
            let _ = socket.send(&datagram);
            tally.sent += 1;
            tally.bytes_out += datagram.len() as u64;
        }
        while let Ok(len) = socket.recv(&mut back) {
            tally.received += 1;
            tally.bytes_in += len as u64;
            hear(&mut back[..len]);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            sent: sum.sent + one.sent,
            bytes_out: sum.bytes_out + one.bytes_out,
            received: sum.received + one.received,
            bytes_in: sum.bytes_in + one.bytes_in,
        })
    }
}
