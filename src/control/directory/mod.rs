//! Users, tokens, groups, members, pins and guests.

/// All of it.
#[derive(Debug, Default)]
pub struct Directory {
    changes: Vec<Change>,
}

/// Something for the store to keep.
#[derive(Debug)]
pub enum Change {}

impl Directory {
    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}
