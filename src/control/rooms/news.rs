//! Who came to a group and who left it, gathered until the others are told: however many come at once, those who are
//! there get one notice each, and no more of them in a second the more they are.

use std::time::Duration;

use crate::control::ids::Uid;
use crate::sorted::Map;

/// What telling one member takes of the time until the next telling: so a group gets at most 500 notices a second, and
/// where people are counted far fewer.
const PAUSE_EACH: Duration = Duration::from_millis(2);
/// A mere number is told at most this often, ...
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// ... and less often for each of those beyond a hundred, to whom one more is hardly news, ...
const COUNT_EACH: Duration = Duration::from_millis(50);
/// ... but this often.
const COUNT_AT_LEAST: Duration = Duration::from_secs(30);

/// From one telling of the news to the next, in a group of so many people.
pub(super) fn pause(people: usize, counted: bool) -> Duration {
    let people = u32::try_from(people).unwrap_or(u32::MAX);
    if counted {
        let more = COUNT_EACH.saturating_mul(people.saturating_sub(100));
        return COUNT_EVERY.saturating_add(more).min(COUNT_AT_LEAST);
    }
    PAUSE_EACH.saturating_mul(people)
}

/// What became of somebody since the last telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Came, and some have seen the name in a list already.
    Came { seen: bool },
    /// Left, and some know the name.
    Left,
}

/// Who came and went.
#[derive(Debug, Default)]
pub(super) struct News {
    changes: Map<Uid, Change>,
    /// Something changed, if only the number.
    any: bool,
}

impl News {
    /// Somebody came or went; by name where names are told. Who came and went in between is not worth a word, unless
    /// somebody saw the name.
    pub(super) fn note(&mut self, uid: Uid, came: bool, named: bool) {
        self.any = true;
        if !named {
            return;
        }
        match (came, self.changes.get(&uid)) {
            (true, before) => {
                let seen = before.is_some();
                self.changes.insert(uid, Change::Came { seen });
            }
            (false, Some(Change::Came { seen: false })) => _ = self.changes.remove(&uid),
            (false, _) => _ = self.changes.insert(uid, Change::Left),
        }
    }

    /// All who are there were listed to somebody.
    pub(super) fn listed(&mut self) {
        for change in self.changes.values_mut() {
            if let Change::Came { seen } = change {
                *seen = true;
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        !self.any
    }

    /// Who came and who left: nothing is news any more.
    pub(super) fn take(&mut self) -> (Vec<Uid>, Vec<Uid>) {
        self.any = false;
        let (mut came, mut left) = (Vec::new(), Vec::new());
        for (uid, change) in std::mem::take(&mut self.changes) {
            match change {
                Change::Came { .. } => came.push(uid),
                Change::Left => left.push(uid),
            }
        }
        (came, left)
    }
}
