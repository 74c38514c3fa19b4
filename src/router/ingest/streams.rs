//! Which source of a publisher is which layer: by the SSRCs of the offer, else by the mid and rid extensions of the
//! first packets (RFC 9143 section 9.2, RFC 8852), learned for the rest.

use serde::{Deserialize, Serialize};

use crate::router::command::{ExtensionIds, TrackParams};
use crate::router::track::MAX_LAYERS;
use crate::wire::id::{Pt, Ssrc};
use crate::wire::rtp;

/// The most sources of one publisher; libwebrtc sends two for each layer.
const MOST: usize = 64;

/// What a source carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub(crate) ssrc: Ssrc,
    /// Which of the session's tracks.
    pub(crate) track: u16,
    pub(crate) layer: u8,
    /// Whether it carries retransmissions (RFC 4588).
    pub(crate) repair: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    known: Vec<Stream>,
    last: usize,
}

impl Streams {
    /// With what the offer told.
    pub(crate) fn new(tracks: &[TrackParams]) -> Self {
        let mut streams = Self::default();
        for (track, params) in tracks.iter().enumerate() {
            for (layer, (ssrc, rtx)) in params.ssrcs.iter().enumerate().take(MAX_LAYERS) {
                let media = Stream { ssrc: *ssrc, track: track as u16, layer: layer as u8, repair: false };
                streams.learn(media);
                if let Some(rtx) = rtx {
                    streams.learn(Stream { ssrc: *rtx, repair: true, ..media });
                }
            }
        }
        streams
    }

    /// Goes on with what was learned before.
    pub(crate) fn resume(&mut self, known: &[Stream]) {
        for stream in known {
            self.learn(*stream);
        }
    }

    /// The stream of a source that is known.
    #[inline]
    pub(crate) fn find(&mut self, ssrc: Ssrc) -> Option<Stream> {
        if let Some(stream) = self.known.get(self.last).filter(|s| s.ssrc == ssrc) {
            return Some(*stream);
        }
        self.last = self.known.iter().position(|s| s.ssrc == ssrc)?;
        self.known.get(self.last).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.known.iter()
    }

    /// Finds out what a source is by its packet, and remembers it.
    #[cold]
    pub(crate) fn discover(
        &mut self,
        packet: &rtp::View<'_>,
        ids: &ExtensionIds,
        tracks: &[TrackParams],
    ) -> Option<Stream> {
        let text = |id: u8| if id == 0 { None } else { packet.extension(id) };
        let (mid, rid, repaired) = (text(ids.mid), text(ids.rid), text(ids.repaired_rid));
        let pt = packet.pt();
        let (track, params) = match mid {
            Some(mid) => tracks.iter().enumerate().find(|(_, t)| t.mid.as_bytes() == mid)?,
            // Without a mid, the only track that has the payload type (RFC 9143 section 9.2).
            None => {
                let mut having = tracks.iter().enumerate().filter(|(_, t)| has(t, pt));
                having.next().filter(|_| having.next().is_none())?
            }
        };
        let repair = repaired.is_some() || params.payloads.iter().any(|p| p.rtx == Some(pt));
        let layer = match repaired.or(rid) {
            Some(rid) => params.layers.iter().position(|l| l.rid.as_bytes() == rid)?,
            None if params.layers.len() <= 1 => 0,
            None => return None,
        };
        let stream = Stream { ssrc: packet.ssrc(), track: track as u16, layer: layer as u8, repair };
        self.learn(stream).then_some(stream)
    }

    /// A later source for the same layer replaces the earlier.
    fn learn(&mut self, stream: Stream) -> bool {
        let same = |s: &Stream| (s.track, s.layer, s.repair) == (stream.track, stream.layer, stream.repair);
        if let Some(old) = self.known.iter_mut().find(|s| same(s)) {
            *old = stream;
            return true;
        }
        let room = self.known.len() < MOST;
        if room {
            self.known.push(stream);
        }
        room
    }
}

fn has(track: &TrackParams, pt: Pt) -> bool {
    track.payloads.iter().any(|p| p.pt == pt || p.rtx == Some(pt))
}
