//! What the store does not keep, handed to another process: rooms, and resources of WHIP and WHEP.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::error;

use super::posted::Resources;
use super::rooms::{Config, Rooms};
use super::{Directory, State};
use crate::router::command::SessionParams;
use crate::router::id::SessionId;
use crate::units::Instant;

/// Rooms as another process left them.
#[derive(Debug, Default)]
pub struct Taken(Option<(Rooms, Resources)>);

impl Taken {
    /// From what [`super::Resting`] has. Nothing, if it cannot be read.
    pub fn read(live: &[u8]) -> Self {
        Self(postcard::from_bytes(live).inspect_err(|e| error!("nobody stays in a room: {e}")).ok())
    }

    /// What the shards must know of each media session.
    pub fn connections(&self) -> HashMap<SessionId, Arc<SessionParams>> {
        self.0.as_ref().map(|(rooms, _)| rooms.connections()).unwrap_or_default()
    }

    /// A state that goes on where that process ended, with the media sessions that went over; else one with nobody in it.
    pub fn go_on(
        self,
        now: Instant,
        directory: Directory,
        config: Config,
        went_over: impl Fn(SessionId) -> bool,
    ) -> State {
        let Some((mut rooms, resources)) = self.0 else { return State::new(directory, Rooms::new(config)) };
        rooms.resume(now, config, went_over);
        State { resources, ..State::new(directory, rooms) }
    }
}

impl State {
    /// What [`Taken::read`] reads.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let written = postcard::to_allocvec(&(&self.rooms, &self.resources));
        written.inspect_err(|e| error!("who is in a room cannot be handed over: {e}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::control::house::{HERE, House};
    use crate::control::posted::{Aim, Post};
    use crate::control::rights::Preset;
    use crate::handover::LAYOUT;
    use crate::signal::message::Secret;

    const OFFER: &str = include_str!("../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp");

    /// A call with something of everything that goes over, and nothing twice where the order is left to chance.
    fn call() -> State {
        let mut house = House::new(Preset::Conference);
        let bearer = Secret(house.pin.clone());
        let post =
            Post { gid: house.gid, bearer, name: None, aim: Aim::Publish(None), sdp: OFFER.to_owned() };
        house.state.post(house.now, HERE, &post).expect("publishes");
        let ada = house.enter("Ada");
        house.say(&ada, None, "Hello").expect("said");
        let stream = house.state.rooms.streams_in(house.gid)[0];
        house.watch(&ada, stream.uid);
        house.state
    }

    /// Values lie one after the other, without their names: a successor that expects others would read nonsense.
    #[test]
    fn what_goes_over_is_laid_out_as_its_number_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/handover");
        let file = folder.join(format!("rooms-{LAYOUT}"));
        if std::env::var_os("MILLRACE_WRITE_LAYOUT").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&file, call().snapshot()).expect("written");
        }
        let kept = std::fs::read(&file).unwrap_or_default();
        let Taken(Some(read)) = Taken::read(&kept) else { panic!("{}", another()) };
        assert!(postcard::to_allocvec(&read).expect("plain data") == kept, "{}", another());
    }

    fn another() -> &'static str {
        "rooms are laid out in another way: count handover::LAYOUT up, run the tests of both layouts again with \
         MILLRACE_WRITE_LAYOUT=1, and commit their files"
    }
}
