//! The parts of the fan-out bench: the shard with its viewers, the floor, the recorded arrivals, one shard beside two.

pub(crate) mod floor;
pub(crate) mod scaling;
pub(crate) mod trace;
pub(crate) mod viewers;
pub(crate) mod world;

/// A socket for each viewer takes more descriptors than shells usually grant.
pub(crate) fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes `limit`, which outlives it.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads `limit`, which outlives it.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}
