//! All sessions of the server, known to every shard: whoever's socket a peer's first check arrives at can answer it.

use std::collections::HashMap;
use std::sync::Arc;

use super::command::{IceCredentials, SessionParams, SlotParams};
use super::id::SessionId;
use crate::batch::Path;
use crate::wire::stun;

/// The highest place in the table: what the control plane names beyond is not believed.
const MAX_SESSIONS: u32 = 1 << 20;
/// The most addresses from which one peer is heard at a time.
const MAX_PATHS: usize = 8;

#[derive(Debug)]
struct Credentials {
    local: IceCredentials,
    key: stun::Key,
}

impl Credentials {
    fn new(local: &IceCredentials) -> Self {
        Self { local: local.clone(), key: stun::Key::new(local.pwd.as_bytes()) }
    }

    const fn ufrag(&self) -> &[u8] {
        self.local.ufrag.as_bytes()
    }
}

/// A session of the server.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) params: Arc<SessionParams>,
    /// Slots that were negotiated since.
    pub(crate) more_slots: Vec<SlotParams>,
    current: Credentials,
    /// Credentials of an ICE restart that no check has used yet.
    restart: Option<Credentials>,
    /// Whence checks came to this shard, the oldest first.
    pub(crate) paths: Vec<Path>,
}

impl Guest {
    /// What its peer proves to know, now and after a restart that it has not taken up yet.
    pub(crate) fn credentials(&self) -> (IceCredentials, Option<IceCredentials>) {
        (self.current.local.clone(), self.restart.as_ref().map(|restart| restart.local.clone()))
    }

    /// Remembers a path; which one is to be forgotten for it, if there are too many. Never forgets `selected`.
    pub(crate) fn remember(&mut self, path: Path, selected: Option<Path>) -> Option<Path> {
        if self.paths.contains(&path) {
            return None;
        }
        self.paths.push(path);
        if self.paths.len() <= MAX_PATHS {
            return None;
        }
        let oldest = self.paths.iter().position(|p| Some(*p) != selected)?;
        Some(self.paths.remove(oldest))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    guests: Vec<Option<Box<Guest>>>,
    by_ufrag: HashMap<Box<[u8]>, u32>,
}

impl Lobby {
    pub(crate) fn at(&self, place: u32) -> Option<&Guest> {
        self.guests.get(place as usize)?.as_deref()
    }

    pub(crate) fn at_mut(&mut self, place: u32) -> Option<&mut Guest> {
        self.guests.get_mut(place as usize)?.as_deref_mut()
    }

    pub(crate) fn find_mut(&mut self, id: SessionId) -> Option<&mut Guest> {
        self.at_mut(id.index).filter(|g| g.params.id == id)
    }

    /// Whether this very session, or a later one in its place, is here.
    pub(crate) fn has_as_new(&self, id: SessionId) -> bool {
        self.at(id.index).is_some_and(|g| g.params.id.generation >= id.generation)
    }

    /// Takes a session in; its place must be free.
    pub(crate) fn add(&mut self, params: Arc<SessionParams>) -> bool {
        let place = params.id.index;
        if place >= MAX_SESSIONS {
            return false;
        }
        if self.guests.len() <= place as usize {
            self.guests.resize_with(place as usize + 1, || None);
        }
        let current = Credentials::new(&params.local);
        self.by_ufrag.insert(current.ufrag().into(), place);
        let guest = Guest { params, more_slots: Vec::new(), current, restart: None, paths: Vec::new() };
        if let Some(seat) = self.guests.get_mut(place as usize) {
            *seat = Some(Box::new(guest));
        }
        true
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Box<Guest>> {
        self.find_mut(id)?;
        let guest = self.guests.get_mut(id.index as usize)?.take()?;
        for credentials in guest.restart.iter().chain([&guest.current]) {
            self.forget(credentials.ufrag(), id.index);
        }
        Some(guest)
    }

    fn forget(&mut self, ufrag: &[u8], place: u32) {
        if self.by_ufrag.get(ufrag) == Some(&place) {
            self.by_ufrag.remove(ufrag);
        }
    }

    /// New credentials, beside the old ones until they are used (RFC 8445 section 9).
    pub(crate) fn restart(&mut self, id: SessionId, local: &IceCredentials) {
        let Some(guest) = self.find_mut(id) else { return };
        let new = Credentials::new(local);
        let ufrag = new.ufrag().into();
        let unused = guest.restart.replace(new);
        if let Some(unused) = unused {
            self.forget(unused.ufrag(), id.index);
        }
        self.by_ufrag.insert(ufrag, id.index);
    }

    /// A session that was just added stands where it stood in another process.
    pub(crate) fn reinstate(
        &mut self,
        id: SessionId,
        current: &IceCredentials,
        restart: Option<&IceCredentials>,
        paths: &[Path],
    ) {
        if self.find_mut(id).is_some_and(|guest| guest.current.local != *current) {
            self.restart(id, current);
            self.used(id.index, current.ufrag.as_bytes());
        }
        if let Some(restart) = restart {
            self.restart(id, restart);
        }
        if let Some(guest) = self.find_mut(id) {
            guest.paths = paths.to_vec();
            guest.paths.truncate(MAX_PATHS);
        }
    }

    /// The session whose ufrag a check names, with the key that must have signed it.
    pub(crate) fn by_ufrag(&self, ufrag: &[u8]) -> Option<(u32, &stun::Key)> {
        let place = *self.by_ufrag.get(ufrag)?;
        let guest = self.at(place)?;
        let credentials = guest.restart.iter().chain([&guest.current]).find(|c| c.ufrag() == ufrag)?;
        Some((place, &credentials.key))
    }

    /// A valid check used this ufrag: if it is a restart's, the old one is over.
    pub(crate) fn used(&mut self, place: u32, ufrag: &[u8]) {
        let Some(guest) = self.at_mut(place) else { return };
        if let Some(new) = guest.restart.take_if(|new| new.ufrag() == ufrag) {
            let old = std::mem::replace(&mut guest.current, new);
            self.forget(old.ufrag(), place);
        }
    }
}
