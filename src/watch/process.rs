//! What the process takes, as /proc tells.

use std::fs;

use super::exposition::Exposition;

/// Units of processor time in /proc/self/stat: the same on every Linux (USER_HZ).
const TICKS: f64 = 100.0;

pub(super) fn write(out: &mut Exposition, started: f64) {
    let help = "When the process started, in seconds since 1970.";
    out.gauge("process_start_time_seconds", help, [(None, started)]);
    if let Some(seconds) = cpu_seconds() {
        out.counter("process_cpu_seconds_total", "Processor time, of all threads.", [(None, seconds)]);
    }
    let memory = [
        ("VmRSS:", "process_resident_memory_bytes", "Memory that is resident."),
        ("VmSize:", "process_virtual_memory_bytes", "Address space."),
    ];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, name, help) in memory {
        if let Some(kib) = number_after(&status, key) {
            out.gauge(name, help, [(None, kib * 1024.0)]);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is counted.
        out.gauge("process_open_fds", "Open descriptors.", [(None, open.count().saturating_sub(1) as f64)]);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number_after(&limits, "Max open files") {
        out.gauge("process_max_fds", "The most that may be open.", [(None, most)]);
    }
}

/// Memory that is resident, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    number_after(&status, "VmRSS:").map(|kib| (kib * 1024.0) as u64)
}

/// Processor time, of all threads.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything (proc(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS)
}

fn number_after(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
