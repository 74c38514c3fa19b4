//! What an observer must have been told, and what it was told: each arrival once, and each departure once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long news may take. Far more than they do: what is looked for are those that never come.
const NEWS: Duration = Duration::from_secs(10);
/// Those who left longer ago than this are forgotten, if all was told.
const KEPT: Duration = Duration::from_secs(60);

/// One that comes and goes.
#[derive(Default)]
struct Entry {
    came: Option<Instant>,
    /// When, and how long others may think that it is still there.
    left: Option<(Instant, Duration)>,
    told_in: u32,
    told_out: u32,
    /// What was wrong with it has been said.
    odd: bool,
}

/// Of all of one kind.
pub(super) struct Ledger<K> {
    what: &'static str,
    entries: HashMap<K, Entry>,
    /// Arrivals and departures that were told as they should.
    told: u64,
    faults: Vec<String>,
}

impl<K: Copy + Eq + Hash + Debug> Ledger<K> {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, entries: HashMap::new(), told: 0, faults: Vec::new() }
    }

    /// This time that it is there: the last time is over if all was told of it.
    fn visit(&mut self, key: K) -> &mut Entry {
        let entry = self.entries.entry(key).or_default();
        if entry.left.is_some() && entry.told_in == 1 && entry.told_out == 1 {
            *entry = Entry::default();
        }
        entry
    }

    /// It is there.
    pub(super) fn came(&mut self, key: K) {
        self.visit(key).came = Some(Instant::now());
    }

    /// It is not there any more, which others may notice only after `grace`.
    pub(super) fn left(&mut self, key: K, grace: Duration) {
        self.entries.entry(key).or_default().left = Some((Instant::now(), grace));
    }

    /// The observer was told that it came.
    pub(super) fn told_in(&mut self, key: K) {
        self.visit(key).told_in += 1;
        self.told += 1;
    }

    /// The observer was told that it left.
    pub(super) fn told_out(&mut self, key: K) {
        self.entries.entry(key).or_default().told_out += 1;
        self.told += 1;
    }

    /// Looks at everything, and forgets what is done with.
    pub(super) fn judge(&mut self, now: Instant) {
        let Self { what, entries, faults, .. } = self;
        entries.retain(|key, entry| {
            let overdue = |since: Instant, grace: Duration| now.duration_since(since) > grace;
            let fault = match (entry.came, entry.left, entry.told_in, entry.told_out) {
                (Some(came), _, 0, _) if overdue(came, NEWS) => "came, and nobody was told",
                (_, _, 2.., _) => "came once, and that was told more often",
                (_, Some((left, grace)), _, 0) if overdue(left, grace + NEWS) => "left, and nobody was told",
                (_, None, _, 1..) => "is there, and was said to have left",
                (_, _, _, 2..) => "left once, and that was told more often",
                _ => "",
            };
            if !fault.is_empty() && !entry.odd {
                entry.odd = true;
                faults.push(format!("{what} {key:?} {fault}"));
            }
            let done = entry.told_in == 1 && entry.told_out == 1;
            !entry.left.is_some_and(|(left, _)| done && overdue(left, KEPT))
        });
    }

    /// How many left, and nobody was told so far.
    pub(super) fn missing(&self) -> usize {
        self.entries.values().filter(|entry| entry.left.is_some() && entry.told_out == 0).count()
    }

    /// What was told as it should, and what was not.
    pub(super) fn result(&self) -> (u64, &[String]) {
        (self.told, &self.faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(30);

    fn faults(told: impl FnOnce(&mut Ledger<u32>)) -> Vec<String> {
        let mut ledger = Ledger::new("person");
        told(&mut ledger);
        ledger.judge(Instant::now() + LATER);
        // What was said is not said again.
        ledger.judge(Instant::now() + LATER);
        ledger.result().1.to_vec()
    }

    #[test]
    fn who_comes_and_goes_and_is_told_of_once_is_no_fault() {
        let all = faults(|ledger| {
            // The notice may overtake the answer.
            ledger.told_in(1);
            ledger.came(1);
            ledger.left(1, Duration::ZERO);
            ledger.told_out(1);
            ledger.came(2);
            ledger.told_in(2);
            // Its session waits for it a little longer.
            ledger.left(2, LATER);
            // And again.
            ledger.told_in(1);
            ledger.came(1);
        });
        assert_eq!(all, [""; 0]);
    }

    #[test]
    fn what_is_missed_doubled_or_made_up_is_said_once() {
        assert_eq!(faults(|ledger| ledger.came(1)), ["person 1 came, and nobody was told"]);
        let all = faults(|ledger| {
            ledger.came(1);
            ledger.told_in(1);
            ledger.left(1, Duration::ZERO);
        });
        assert_eq!(all, ["person 1 left, and nobody was told"]);
        let all = faults(|ledger| {
            ledger.came(1);
            ledger.told_in(1);
            ledger.told_in(1);
        });
        assert_eq!(all, ["person 1 came once, and that was told more often"]);
        let all = faults(|ledger| {
            ledger.came(1);
            ledger.told_in(1);
            ledger.told_out(1);
        });
        assert_eq!(all, ["person 1 is there, and was said to have left"]);
    }
}
