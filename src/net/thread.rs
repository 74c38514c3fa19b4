//! What the process and its threads ask of the scheduler, of the clock and of the memory.

use std::io;
use std::time::Duration;

use crate::units::Instant;

/// The time since the host began; the same for all threads, and for a process that goes on where this one ends.
pub fn now() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, and that is what is there. This clock is on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Instant::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000)
}

/// Nice value of a shard's thread: before handshakes and the control plane, which run at 0.
const NICE: i32 = -10;

/// Lets the calling thread run before others, if the process may ask for that (CAP_SYS_NICE).
pub fn raise_priority() -> io::Result<()> {
    // SAFETY: no pointers. On Linux "the calling process" is the calling thread (setpriority(2)).
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes memory in pages of 4 KiB from now on, also where the system would give 2 MiB at a time: an idle server would
/// hold three times what it uses.
pub fn small_pages() {
    let (yes, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: no pointers. A kernel that does not know it says so, and all goes on.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, none, none, none) };
}

/// Takes as many descriptors as the process may have: many systems give 1024 unasked, for the sake of old programs that use `select`.
pub fn all_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is written by the first call and read by the second, and outlives both.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Keeps the calling thread on the `nth` of the cores that the process may use, counted round.
pub fn pin(nth: usize) -> io::Result<()> {
    // SAFETY: all-zero is an empty set of processors.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let len = size_of::<libc::cpu_set_t>();
    // SAFETY: `allowed` is a set of `len` bytes, written by the call.
    if unsafe { libc::sched_getaffinity(0, len, &raw mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the index stays below the size of the set.
    let in_set = |core: &usize| unsafe { libc::CPU_ISSET(*core, &allowed) };
    let cores: Vec<usize> = (0..len * 8).filter(in_set).collect();
    let Some(core) = nth.checked_rem(cores.len()).and_then(|nth| cores.get(nth)) else { return Ok(()) };
    // SAFETY: all-zero is an empty set of processors.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` came out of a set of the same size.
    unsafe { libc::CPU_SET(*core, &mut one) };
    // SAFETY: `one` is a set of `len` bytes that outlives the call.
    let done = unsafe { libc::sched_setaffinity(0, len, &raw const one) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Processor time that the calling thread has used.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written by the call and outlives it.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}
