//! What a player of WHEP is told of what it sees, and what it picks of that: the extensions of draft-ietf-wish-whep-02, server-sent
//! events and video layer selection.

use serde::{Deserialize, Serialize};

use super::{Resource, no_resource};
use crate::control::directory::TokenId;
use crate::control::rooms::{Pick, Shown};
use crate::control::{Now, State};
use crate::signal::message::Refusal;

/// Streams of events that one player may have.
const MOST_STREAMS: usize = 8;

/// Which kinds of events a player wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds([bool; 4]);

impl Kinds {
    /// Their names.
    pub const NAMES: [&'static str; 4] = ["active", "inactive", "layers", "viewercount"];
    /// All of them.
    pub const ALL: Self = Self([true; 4]);

    /// Those whose names are among these.
    pub fn among(names: &[String]) -> Self {
        Self(Self::NAMES.map(|kind| names.iter().any(|name| name == kind)))
    }

    /// Whether the kind of this name is wanted.
    pub fn has(self, name: &str) -> bool {
        Self::NAMES.iter().zip(self.0).any(|(kind, wanted)| *kind == name && wanted)
    }
}

/// What a player may see at this moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// What it wants to be told.
    pub kinds: Kinds,
    /// Which m-line of its offer is the picture's.
    pub video: Option<usize>,
    /// What is shown.
    pub shown: Option<Shown>,
}

/// How a player is told what it sees.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Player {
    video: Option<usize>,
    /// Its streams of events by their numbers, ...
    streams: Vec<(u32, Kinds)>,
    /// ... and the number of the next.
    next: u32,
}

impl Player {
    /// For whom this was answered.
    pub(super) fn new(answer: &str) -> Self {
        let mut media = answer.lines().filter(|line| line.starts_with("m="));
        let video = media.position(|line| line.starts_with("m=video ") && !line.starts_with("m=video 0 "));
        Self { video, streams: Vec::new(), next: 0 }
    }
}

impl State {
    /// Makes a stream of events for a player; returns its number.
    pub fn listen(&mut self, id: &str, bearer: Option<&str>, kinds: Kinds) -> Result<u32, Refusal> {
        let player = &mut self.watching(id, bearer)?.player;
        if player.streams.len() >= MOST_STREAMS {
            let text = format!("{MOST_STREAMS} streams of events are the most: delete one.");
            return Err(Refusal::new("TOOMANY", text));
        }
        let number = player.next;
        player.next = number.wrapping_add(1);
        player.streams.push((number, kinds));
        Ok(number)
    }

    /// Ends a stream of events.
    pub fn unlisten(&mut self, id: &str, bearer: Option<&str>, number: u32) -> Result<(), Refusal> {
        let streams = &mut self.watching(id, bearer)?.player.streams;
        let at = streams.iter().position(|(known, _)| *known == number).ok_or_else(no_resource)?;
        streams.remove(at);
        Ok(())
    }

    /// What a player may see at this moment that has this stream of events, or all of them. The name of its session is
    /// as good as its token here: an `EventSource` can show none.
    pub fn look(&mut self, now: Now, id: &str, stream: Option<u32>) -> Result<Look, Refusal> {
        let watching = |resource: &&Resource| !resource.publishes;
        let resource = self.resources.all.get(&TokenId::of(id)).filter(watching).ok_or_else(no_resource)?;
        let (link, Player { video, streams, .. }) = (resource.link, &resource.player);
        let found = |number| streams.iter().find(|(known, _)| *known == number).map(|(_, kinds)| *kinds);
        let kinds = stream.map_or(Some(Kinds::ALL), found).ok_or_else(no_resource)?;
        let video = *video;
        Ok(Look { kinds, video, shown: self.rooms.look(now.instant, link) })
    }

    /// Picks what a player is sent of the picture, which it may name by its m-line.
    pub fn pick(
        &mut self,
        now: Now,
        id: &str,
        bearer: Option<&str>,
        media: Option<&str>,
        pick: &Pick,
    ) -> Result<(), Refusal> {
        let resource = self.watching(id, bearer)?;
        let (link, video) = (resource.link, resource.player.video);
        let none = || Refusal::new("UNPROCESSABLE", "No picture was asked for.");
        let video = video.ok_or_else(none)?.to_string();
        if media.is_some_and(|media| media != video) {
            return Err(Refusal::new(
                "UNPROCESSABLE",
                format!("The picture is m-line {video} of the offer."),
            ));
        }
        self.rooms.pick(now.instant, link, pick)
    }

    fn watching(&mut self, id: &str, bearer: Option<&str>) -> Result<&mut Resource, Refusal> {
        let resource = self.resources.get_mut(id, bearer)?;
        if resource.publishes { Err(no_resource()) } else { Ok(resource) }
    }
}
