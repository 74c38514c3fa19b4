//! CPU time of a process, from `/proc`.

use std::time::Duration;

/// `USER_HZ` is 100 on every Linux that we run on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of process `pid` so far; `None` for this process.
pub fn time(pid: Option<u32>) -> Option<Duration> {
    let path = match pid {
        Some(pid) => format!("/proc/{pid}/stat"),
        None => "/proc/self/stat".to_owned(),
    };
    let stat = std::fs::read_to_string(path).ok()?;
    // The second field is the name in parentheses, and may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_a_time_and_none_is_without() {
        assert!(super::time(None).is_some());
        assert_eq!(super::time(Some(u32::MAX)), None);
    }
}
