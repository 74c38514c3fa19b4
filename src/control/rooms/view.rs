//! A link's viewing: what it wishes to watch, and the slots of its one connection that carry it.

use serde::{Deserialize, Serialize};

use crate::control::negotiate::Subscriber;
use crate::router::command::{IceCredentials, Kind, SlotParams, View};
use crate::router::event::Why;
use crate::router::id::{SessionId, SlotId, TrackId};
use crate::signal::message::{self, MediaKind, StreamRef, Watch};
use crate::sorted::Map;
use crate::units::{Bitrate, PictureSize};
use crate::wire::id::Mid;

/// The largest picture: whatever there is.
pub(super) const WHOLE: PictureSize = PictureSize::new(u16::MAX, u16::MAX);
/// Slots of each kind that a connection begins with, video and audio, ...
const FIRST_SLOTS: (usize, usize) = (2, 3);
/// ... and that it grows to, by doubling. For sound it is as many as voices may be heard.
const MAX_VIDEO_SLOTS: usize = 48;

/// What a link watches.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Viewing {
    pub(super) wishes: Map<StreamRef, Wish>,
    pub(super) peer: Option<Peer>,
    /// Number of the last offer.
    pub(super) rev: u32,
    /// Connections that could not be secured, since the last that could.
    pub(super) failures: u8,
}

/// How one stream is to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    audio: bool,
    video: bool,
    tile: PictureSize,
    /// What is larger is not wanted.
    most: PictureSize,
    visible: bool,
    priority: u8,
}

impl Wish {
    pub(super) const fn new(watch: &Watch) -> Self {
        Self {
            audio: watch.audio,
            video: watch.video,
            tile: PictureSize::new(watch.width, watch.height),
            most: WHOLE,
            visible: watch.visible,
            priority: watch.priority,
        }
    }

    /// Shows it in a tile of this size, but no picture that is larger than `most`.
    pub(super) const fn show(&mut self, tile: PictureSize, most: PictureSize) {
        self.tile = tile;
        self.most = most;
    }

    /// What is dropped last has the most.
    pub(super) const fn rank(&self) -> (bool, u8) {
        (self.visible, self.priority)
    }

    const fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }

    pub(super) const fn hears(&self) -> bool {
        self.audio
    }

    /// The tile in which its picture is shown, if one is wanted.
    pub(super) fn tile(&self) -> Option<PictureSize> {
        (self.video && self.visible).then_some(self.tile)
    }

    /// As a shard is told. A hidden tile is still heard.
    pub(super) fn view(&self, kind: Kind, cap: PictureSize) -> View {
        let (tile, active, cap) = match kind {
            Kind::Audio => (PictureSize::default(), true, cap),
            Kind::Video => (self.tile, self.visible, within_both(self.most, cap)),
        };
        View { tile, active, cap, priority: self.priority }
    }
}

/// The connection on which a link watches.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Peer {
    /// What writes our offers; `None` where the client offered, once and for all.
    pub(super) subscriber: Option<Subscriber>,
    pub(super) session: SessionId,
    pub(super) ice: IceCredentials,
    /// The last offer, until it is answered.
    pub(super) sdp: String,
    /// Whether the last offer waits for its answer.
    pub(super) outstanding: bool,
    /// Whether the client is to begin a new connection.
    pub(super) fresh: bool,
    pub(super) slots: Vec<Slot>,
    /// What the answers said of the first slots.
    pub(super) answered: Vec<SlotParams>,
    /// Tracks that the shards were told are heard when they are loud, and the wishes for them.
    #[serde(skip)]
    pub(super) crowd: Map<TrackId, StreamRef>,
    /// What the shards were told of how much they may send.
    #[serde(skip)]
    pub(super) bounds: Option<Bounds>,
    /// How many of `answered` the shards know.
    #[serde(skip)]
    pub(super) known: usize,
}

/// How much one viewer may get, of all groups together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bounds {
    /// At most this, whatever its link carries.
    pub(super) bitrate: Bitrate,
    /// At most so many voices at once.
    pub(super) voices: u8,
}

/// A slot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    pub(super) kind: Kind,
    pub(super) mid: Mid,
    /// Its number among those of its kind: a video and an audio slot with the same number share an msid, and
    /// libwebrtc keeps them in sync.
    pair: usize,
    /// Whether the client refused it.
    pub(super) refused: bool,
    pub(super) fill: Option<StreamRef>,
    /// What of its stream is sent, as its shard said last.
    pub(super) sends: Option<(StreamRef, PictureSize, Why)>,
    /// What its shard was told last.
    #[serde(skip)]
    pub(super) told: Option<(TrackId, View)>,
}

/// The largest picture that is within both, lying.
pub(super) fn within_both(a: PictureSize, b: PictureSize) -> PictureSize {
    let long = a.width.max(a.height).min(b.width.max(b.height));
    PictureSize::new(long, a.width.min(a.height).min(b.width.min(b.height)))
}

/// The slots of a kind that a connection should have, so that `missing` more streams find one.
pub(super) fn grown(have: usize, missing: usize, kind: Kind, voices: u8) -> usize {
    let (first, most) = match kind {
        Kind::Video => (FIRST_SLOTS.0, MAX_VIDEO_SLOTS),
        Kind::Audio => (FIRST_SLOTS.1, usize::from(voices)),
    };
    let mut count = have.max(first);
    while count < have + missing && count < most {
        count = (count * 2).min(most);
    }
    count
}

impl Peer {
    /// How many slots of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.slots.iter().filter(|slot| slot.kind == kind).count()
    }

    /// Adds a slot that was just offered.
    pub(super) fn add_slot(&mut self, id: SlotId, kind: Kind, mid: Mid) {
        let pair = self.count(kind);
        self.slots.push(Slot { id, kind, mid, pair, refused: false, fill: None, sends: None, told: None });
    }

    /// Fills the slots with what is wished and there is; what a slot carries stays where it is. Returns how many
    /// wishes for video and for audio found no slot.
    pub(super) fn fill(
        &mut self,
        wishes: &Map<StreamRef, Wish>,
        voices: u8,
        there: impl Fn(StreamRef, Kind) -> bool,
    ) -> (usize, usize) {
        let wanted = |stream: StreamRef, kind| {
            wishes.get(&stream).is_some_and(|wish| wish.wants(kind)) && there(stream, kind)
        };
        for slot in &mut self.slots {
            slot.fill = slot.fill.filter(|stream| !slot.refused && wanted(*stream, slot.kind));
        }
        let filled = self.slots.iter().filter(|slot| slot.kind == Kind::Audio && slot.fill.is_some()).count();
        let mut voices = usize::from(voices).saturating_sub(filled);
        let mut missing = (0, 0);
        for stream in wishes.keys().copied() {
            let video = self.place_of(stream, Kind::Video);
            let audio = self.place_of(stream, Kind::Audio);
            let needs_video = video.is_none() && wanted(stream, Kind::Video);
            let needs_audio = audio.is_none() && wanted(stream, Kind::Audio);
            let pair = match (needs_video, needs_audio) {
                (true, true) => self.free_pair(),
                (true, false) => audio,
                (false, true) => video,
                (false, false) => continue,
            };
            if needs_video && !self.put(stream, Kind::Video, pair) {
                missing.0 += 1;
            }
            if needs_audio && voices > 0 && self.put(stream, Kind::Audio, pair) {
                voices -= 1;
            } else if needs_audio {
                missing.1 += 1;
            }
        }
        missing
    }

    /// Whether an audio slot carries a stream.
    pub(super) fn carries(&self, stream: StreamRef) -> bool {
        self.place_of(stream, Kind::Audio).is_some()
    }

    /// The number of the slot that carries a stream.
    fn place_of(&self, stream: StreamRef, kind: Kind) -> Option<usize> {
        let slot = self.slots.iter().find(|slot| slot.kind == kind && slot.fill == Some(stream))?;
        Some(slot.pair)
    }

    fn is_free(&self, kind: Kind, pair: usize) -> bool {
        self.slots.iter().any(|slot| slot.kind == kind && slot.pair == pair && slot.is_free())
    }

    fn free_pair(&self) -> Option<usize> {
        (0..self.count(Kind::Video))
            .find(|pair| self.is_free(Kind::Video, *pair) && self.is_free(Kind::Audio, *pair))
    }

    /// Puts a stream into slot `pair` of a kind if that is free, else into the one that spoils the fewest pairs.
    fn put(&mut self, stream: StreamRef, kind: Kind, pair: Option<usize>) -> bool {
        let other = match kind {
            Kind::Audio => Kind::Video,
            Kind::Video => Kind::Audio,
        };
        let pair = pair.filter(|pair| self.is_free(kind, *pair)).or_else(|| {
            let free = self.slots.iter().filter(|slot| slot.kind == kind && slot.is_free());
            free.map(|slot| slot.pair).max_by_key(|pair| {
                let partner = self.slots.iter().find(|slot| slot.kind == other && slot.pair == *pair);
                (partner.is_none(), partner.is_some_and(Slot::is_free), *pair)
            })
        });
        let slot = self.slots.iter_mut().find(|slot| slot.kind == kind && Some(slot.pair) == pair);
        let Some(slot) = slot else { return false };
        slot.fill = Some(stream);
        true
    }

    /// The map of filled slots, as the client is told.
    pub(super) fn map(&self) -> Vec<message::Slot> {
        let filled = self.slots.iter().filter_map(|slot| Some((slot, slot.fill?)));
        filled
            .map(|(slot, stream)| message::Slot {
                mid: slot.mid.to_string(),
                kind: match slot.kind {
                    Kind::Audio => MediaKind::Audio,
                    Kind::Video => MediaKind::Video,
                },
                stream,
            })
            .collect()
    }
}

impl Slot {
    const fn is_free(&self) -> bool {
        self.fill.is_none() && !self.refused
    }
}
