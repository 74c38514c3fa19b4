//! The actor at rest, while a successor takes over what is kept; and its last words, once that has been done.
//!
//! Nothing changes while it rests, so what the successor reads is all there is. Requests wait meanwhile: if the successor
//! fails they are done as if nothing had been, and else their clients repeat them, since nobody was told that they were done.

use std::fs::File;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Actor, Control, State, Unavailable};
use crate::signal::message::{Notice, Refusal, write_notice};

/// Clients whose media stood still come to the successor so much one after the other, so that a thousand do not come in one
/// millisecond.
const APART: Duration = Duration::from_millis(1);
/// Those whose media goes on have time: saying hello takes a millisecond of a core, which media need more.
const AT_LEISURE: Duration = Duration::from_millis(5);
/// The last comes after so long at most: a link waits for half a minute.
const LAST: Duration = Duration::from_secs(15);

/// Who wants the actor to rest.
pub(super) type Asked = oneshot::Sender<Resting>;

/// An actor that rests until this is dropped.
#[derive(Debug)]
pub struct Resting {
    /// What is kept, with all that was ever acknowledged, and the lock on it.
    pub store: File,
    /// What is not kept: see [`super::Taken`].
    pub live: Vec<u8>,
    end: oneshot::Sender<bool>,
}

impl Resting {
    /// Has the actor end: it tells every client to go to the successor, and does nothing else any more. `media_goes_on` if the
    /// successor takes the sessions over.
    pub fn end(self, media_goes_on: bool) {
        // If it is gone it has ended already.
        let _ = self.end.send(media_goes_on);
    }
}

impl Control {
    /// Lets the actor rest as soon as all that changed is committed.
    pub async fn rest(&self) -> Result<Resting, Unavailable> {
        let (asked, rests) = oneshot::channel();
        self.rests.send(asked).await.map_err(|_| Unavailable::Stopping)?;
        rests.await.map_err(|_| Unavailable::NotKept)
    }
}

impl Actor {
    /// Commits what is to be committed; then comes what it was committed to.
    pub(super) fn lend(&self) -> oneshot::Receiver<Option<File>> {
        let (lent, store) = oneshot::channel();
        self.keeper.lend(Box::new(move |store| drop(lent.send(store))));
        store
    }
}

/// Rests; whether the actor is to end, and then whether media goes on.
pub(super) async fn rest(
    store: oneshot::Receiver<Option<File>>,
    live: Vec<u8>,
    asked: Asked,
) -> Option<bool> {
    let Ok(Some(store)) = store.await else { return None };
    let (end, ended) = oneshot::channel();
    // Who has lost patience drops it, and with it the rest ends.
    drop(asked.send(Resting { store, live, end }));
    ended.await.ok()
}

impl State {
    /// Tells every client that a successor is here, and when to say hello to it: who publishes first, since the others wait
    /// for that.
    pub(super) fn send_on(&self, media_goes_on: bool) {
        let links = self.rooms.by_need();
        let count = u32::try_from(links.len()).unwrap_or(u32::MAX).max(1);
        let apart = if media_goes_on { AT_LEISURE.min(LAST / count) } else { APART };
        for (nth, link) in links.into_iter().enumerate() {
            let Some(port) = self.ports.get(&link) else { continue };
            let after = apart.saturating_mul(u32::try_from(nth).unwrap_or(u32::MAX));
            let refusal =
                Refusal::moved_on("A new version of the server takes over: say hello to it.", after);
            // Who does not keep up finds out by itself.
            let _ = port.say(Bytes::from(write_notice(&Notice::Error(refusal))));
        }
    }
}
