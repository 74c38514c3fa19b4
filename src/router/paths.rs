//! Which session a datagram belongs to, by where it came from.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use super::id::ShardId;
use crate::batch::Path;

/// Where datagrams of a path go. A path is entered only after a valid connectivity check came from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the lobby's session of this place: nothing is decided yet.
    Lobby(u32),
    /// To our session of this place.
    Here(u32),
    /// To another shard.
    Relay(ShardId),
}

/// All paths. GRO hands over several datagrams of one path in a row, so the last one found is kept at hand.
#[derive(Debug)]
pub(crate) struct Paths {
    table: HashMap<Path, Route, Seeded>,
    last: Option<(Path, Route)>,
}

impl Paths {
    pub(crate) fn new(seed: u64) -> Self {
        Self { table: HashMap::with_hasher(Seeded(seed)), last: None }
    }

    #[inline]
    pub(crate) fn find(&mut self, path: &Path) -> Option<Route> {
        if let Some((last, route)) = &self.last
            && last == path
        {
            return Some(*route);
        }
        let route = *self.table.get(path)?;
        self.last = Some((*path, route));
        Some(route)
    }

    pub(crate) fn set(&mut self, path: Path, route: Route) {
        self.last = None;
        self.table.insert(path, route);
    }

    pub(crate) fn remove(&mut self, path: &Path) {
        self.last = None;
        self.table.remove(path);
    }
}

/// A cheap hash: keys are addresses that passed a connectivity check, and the seed is not known outside.
#[derive(Clone, Debug)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = Folded;
    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

#[derive(Debug)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15u64);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}
