//! CPU time and memory of processes, and of the machine, from `/proc`.

use std::time::Duration;

/// `USER_HZ` is 100 on every Linux that we run on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of process `pid` so far; `None` for this process.
pub fn time(pid: Option<u32>) -> Option<Duration> {
    let stat = std::fs::read_to_string(path(pid, "stat")).ok()?;
    // The second field is the name in parentheses, and may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

/// Resident memory of process `pid` in bytes; `None` for this process.
pub fn memory(pid: Option<u32>) -> Option<u64> {
    let status = std::fs::read_to_string(path(pid, "status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Files and sockets that process `pid` has open.
pub fn files(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(path(Some(pid), "fd")).ok()?.count())
}

/// The machine's time so far, over all cores: in all, and idle.
pub fn machine() -> Option<(Duration, Duration)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    // Guests' time is in the first two already.
    let ticks: Vec<u32> = fields.split_ascii_whitespace().take(8).map_while(|f| f.parse().ok()).collect();
    let idle = ticks.get(3)?.checked_add(*ticks.get(4)?)?;
    Some((TICK * ticks.iter().sum::<u32>(), TICK * idle))
}

fn path(pid: Option<u32>, file: &str) -> String {
    match pid {
        Some(pid) => format!("/proc/{pid}/{file}"),
        None => format!("/proc/self/{file}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_time_and_memory_and_none_is_without() {
        assert!(super::time(None).is_some());
        assert!(super::memory(None).is_some_and(|bytes| bytes > 100_000));
        assert_eq!((super::time(Some(u32::MAX)), super::memory(Some(u32::MAX))), (None, None));
    }

    #[test]
    fn a_machine_is_not_idle_for_longer_than_it_runs() {
        let (all, idle) = super::machine().expect("/proc/stat");
        assert!(idle <= all);
    }
}
