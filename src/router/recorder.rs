//! The flight recorder of a session: what happened to it of late, and, while somebody asked for it, the headers of its packets.
//!
//! What happens is rare, so the latest of it is always there. Headers are kept only for a while, and only the latest: some
//! seconds of a call. What people say and show is in neither.

use std::collections::VecDeque;

use super::event::Why;
use super::id::{LayerId, SlotId, TrackId};
use crate::batch::Path;
use crate::units::{Bitrate, Duration, Instant};

/// Notes kept of a session: a kilobyte.
const NOTES: usize = 48;
/// Packets of which the headers are kept: 256 KB.
pub const PACKETS: usize = 4096;
/// Bytes kept of each: an RTP header with the extensions that most packets have, the first reports of a compound.
pub const SNAP: usize = 48;
/// How long headers can be had after the last was kept.
pub const KEPT: Duration = Duration::from_secs(300);
/// Paths that packets are told apart by.
const PATHS: usize = 64;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// See [`Note`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Everything goes to here from now on.
    Path(Box<Path>),
    /// It has its keys: media may flow.
    Secured,
    /// Nothing valid came for the consent period (RFC 7675).
    Lost,
    /// It is back.
    Found,
    /// The peer restarts ICE (RFC 8445 section 9).
    Restarted,
    /// A slot holds this from now on.
    Watches {
        /// Which slot.
        slot: SlotId,
        /// What.
        track: Option<TrackId>,
    },
    /// What a slot sends changed.
    Sends {
        /// Which slot.
        slot: SlotId,
        /// What it sends; `None` is nothing.
        layer: Option<LayerId>,
        /// Why this and no other.
        why: Why,
    },
    /// The peer asked for a keyframe of what a slot sends.
    KeyframeWished(SlotId),
    /// The peer was asked for a keyframe.
    KeyframeAsked {
        /// Of which track.
        track: TrackId,
        /// Of which layer.
        layer: LayerId,
    },
    /// Other layers of a track arrive than before.
    Arrives {
        /// Which track.
        track: TrackId,
        /// The layers that arrive, by bit.
        layers: u32,
    },
    /// The way to the peer is taken to carry a quarter more or less than it last was.
    Estimate(Bitrate),
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// The front of one packet, decrypted where it was encrypted.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// When.
    pub at: Instant,
    /// The place of its path in [`Recording::paths`].
    pub path: u8,
    /// Whence.
    pub way: Way,
    /// Bytes of the whole packet.
    pub len: u16,
    kept: u8,
    bytes: [u8; SNAP],
}

impl Front {
    /// An RTP header, or how an RTCP compound begins.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.kept)).unwrap_or_default()
    }
}

/// What the recorder of a session has, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// What happened, the oldest first.
    pub notes: Vec<Note>,
    /// Until when headers are kept; `None` where nobody asked for them.
    pub until: Option<Instant>,
    /// Where they came from and went to.
    pub paths: Vec<Path>,
    /// The packets, the oldest first.
    pub packets: Vec<Front>,
}

/// The notes of a session.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    notes: VecDeque<Note>,
    estimate: Option<Bitrate>,
}

impl Notes {
    /// What happens again at once is noted as having happened first.
    pub(crate) fn add(&mut self, at: Instant, what: What) {
        if self.notes.back().is_some_and(|last| last.what == what) {
            return;
        }
        if self.notes.len() >= NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(Note { at, what });
    }

    /// Adds what the way is taken to carry, if that is another thing than before.
    pub(crate) fn way_carries(&mut self, at: Instant, rate: Bitrate) {
        let new = rate.as_bps();
        if self.estimate.is_none_or(|old| old.as_bps().abs_diff(new) > old.as_bps() / 4) {
            self.estimate = Some(rate);
            self.add(at, What::Estimate(rate));
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<Note> {
        self.notes.iter().cloned().collect()
    }
}

/// The headers of a session's packets, while they are asked for.
#[derive(Debug)]
pub(crate) struct Headers {
    until: Instant,
    paths: Vec<Path>,
    packets: VecDeque<Front>,
}

impl Headers {
    pub(crate) fn new(until: Instant) -> Self {
        Self { until, paths: Vec::with_capacity(PATHS), packets: VecDeque::with_capacity(PACKETS) }
    }

    /// From now on they are kept until then.
    pub(crate) const fn go_on(&mut self, until: Instant) {
        self.until = until;
    }

    /// Whether nobody can have them any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until + KEPT <= now
    }

    /// Keeps the front of a packet of `len` bytes.
    pub(crate) fn keep(&mut self, at: Instant, way: Way, path: Path, front: &[u8], len: usize) {
        if self.until <= at {
            return;
        }
        if self.packets.len() >= PACKETS {
            self.packets.pop_front();
        }
        let kept = front.len().min(SNAP);
        let mut bytes = [0; SNAP];
        bytes.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
        let (path, len) = (self.place_of(path), u16::try_from(len).unwrap_or(u16::MAX));
        self.packets.push_back(Front { at, path, way, len, kept: kept as u8, bytes });
    }

    /// The latest path is almost always the one; of more than there is room for the last stands for all.
    fn place_of(&mut self, path: Path) -> u8 {
        let place = self.paths.iter().rposition(|known| *known == path).unwrap_or_else(|| {
            if self.paths.len() < PATHS {
                self.paths.push(path);
            }
            self.paths.len() - 1
        });
        place as u8
    }

    pub(crate) fn write(&self, recording: &mut Recording) {
        recording.until = Some(self.until);
        recording.paths.clone_from(&self.paths);
        recording.packets = self.packets.iter().copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_and_a_front_are_as_small_as_they_are_said_to_be() {
        assert!(size_of::<Note>() * NOTES <= 1536, "{}", size_of::<Note>());
        assert!(size_of::<Front>() * PACKETS <= 256 * 1024, "{}", size_of::<Front>());
    }
}
