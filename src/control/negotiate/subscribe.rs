//! A viewer's connection: offers of slots, and their answers.
//!
//! Slots are only ever added, and a slot keeps its m-line, mid and SSRCs for the life of the connection
//! (RFC 3264 section 8: m-lines never go away, new ones follow the old).

use serde::{Deserialize, Serialize};

use super::codecs::{self, AUDIO_FEEDBACK, VIDEO_FEEDBACK, offered};
use super::transport::{check_setup, kind_of, remote, write_candidates, write_media, write_session};
use super::{Error, Ours, Remote, extensions};
use crate::router::command::{ExtensionIds, IceCredentials, Kind, SlotParams};
use crate::router::id::SlotId;
use crate::wire::id::{Mid, Ssrc};
use crate::wire::sdp::{Session, Writer};

/// Most slots of one connection.
const MAX_SLOTS: usize = crate::wire::sdp::MAX_MEDIA;

/// One viewer's connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscriber {
    ours: Ours,
    /// `sess-id` (RFC 8866 section 5.2), and the name under which all slots belong together.
    id: u64,
    version: u64,
    random: SplitMix,
    slots: Vec<Slot>,
    /// How many slots the peer has seen in an answered offer.
    answered: usize,
    /// How many slots the offer has that awaits its answer.
    pending: Option<usize>,
}

/// An m-line of our offer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot {
    kind: Kind,
    mid: Mid,
    /// The how-manieth of its kind: the n-th audio and the n-th video slot share an msid, so that a player keeps
    /// sound and picture of one stream together.
    pair: usize,
    ssrc: Ssrc,
    /// Of its retransmissions; audio has none.
    rtx_ssrc: Option<Ssrc>,
}

/// What an answer says.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The viewer's side of the connection.
    pub remote: Remote,
    /// Header extension ids.
    pub extensions: ExtensionIds,
    /// The slots that were not answered before, in order. A slot that the viewer refuses has no payloads.
    pub slots: Vec<SlotParams>,
}

impl Subscriber {
    /// A connection without slots; `seed` is random and different for each.
    pub fn new(ours: Ours, seed: u64) -> Self {
        let mut random = SplitMix(seed);
        // RFC 8866 section 5.2 and RFC 8829 section 5.2.1: a number below 2^63.
        let id = random.next() >> 1;
        Self { ours, id, version: 0, random, slots: vec![], answered: 0, pending: None }
    }

    /// The slots offered so far, in their order.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, Kind, Mid)> {
        (0..).zip(&self.slots).map(|(n, slot)| (SlotId(n), slot.kind, slot.mid))
    }

    /// How many video and audio slots were offered so far.
    pub fn offered(&self) -> (usize, usize) {
        (self.count(Kind::Video), self.count(Kind::Audio))
    }

    /// An offer with that many video and audio slots in all. There are never fewer than before.
    pub fn offer(&mut self, video: usize, audio: usize) -> String {
        // Audio first: every client has Opus, so the m-line that stands for the bundle is never refused.
        for (kind, wanted) in [(Kind::Audio, audio), (Kind::Video, video)] {
            while self.count(kind) < wanted && self.slots.len() < MAX_SLOTS {
                self.add(kind);
            }
        }
        self.version += 1;
        self.pending = Some(self.slots.len());
        self.write()
    }

    /// An offer of the same slots with new ICE credentials (RFC 8829 section 5.2.2).
    pub fn restart(&mut self, ice: IceCredentials) -> String {
        self.ours.ice = ice;
        self.offer(0, 0)
    }

    /// The last offer, if no answer to it was read yet: for a client that comes back.
    pub fn unanswered(&self) -> Option<String> {
        self.pending.map(|_| self.write())
    }

    /// Reads the answer to the last offer.
    pub fn answer(&mut self, sdp: &str) -> Result<Answered, Error> {
        let pending = self.pending.ok_or(Error::NoOffer)?;
        let session = Session::parse(sdp)?;
        if session.media.len() != pending {
            return Err(Error::WrongAnswer);
        }
        let mut extensions = ExtensionIds::default();
        let mut slots = vec![];
        let mut first = None;
        for ((n, slot), media) in (0..).zip(&self.slots).zip(&session.media) {
            if kind_of(media) != Some(slot.kind) || media.attribute("mid") != Some(slot.mid.as_str()) {
                return Err(Error::WrongAnswer);
            }
            let takes = !media.rejected() && media.is_secure_rtp() && session.direction(media).receives();
            let payloads = if takes { codecs::payloads(slot.kind, media) } else { vec![] };
            if !media.rejected() {
                check_setup(&session, media, false)?;
                first.get_or_insert(media);
            }
            if takes {
                extensions::take(&mut extensions, media, false, None);
            }
            let rtx_ssrc = slot.rtx_ssrc.filter(|_| payloads.iter().any(|p| p.rtx.is_some()));
            slots.push(SlotParams {
                slot: SlotId(n),
                kind: slot.kind,
                mid: slot.mid,
                ssrc: slot.ssrc,
                rtx_ssrc,
                payloads,
            });
        }
        let remote = remote(&session, first.ok_or(Error::WrongAnswer)?)?;
        self.pending = None;
        let slots = slots.split_off(self.answered.min(slots.len()));
        self.answered = pending;
        Ok(Answered { remote, extensions, slots })
    }

    fn count(&self, kind: Kind) -> usize {
        self.slots.iter().filter(|s| s.kind == kind).count()
    }

    fn add(&mut self, kind: Kind) {
        let Some(mid) = Mid::new(self.slots.len().to_string().as_bytes()) else { return };
        let ssrc = self.fresh_ssrc(None);
        let rtx_ssrc = (kind == Kind::Video).then(|| self.fresh_ssrc(Some(ssrc)));
        self.slots.push(Slot { kind, mid, pair: self.count(kind), ssrc, rtx_ssrc });
    }

    fn fresh_ssrc(&mut self, not: Option<Ssrc>) -> Ssrc {
        let taken = self.slots.iter().flat_map(|slot| [Some(slot.ssrc), slot.rtx_ssrc]);
        let taken: Vec<_> = taken.chain([not]).flatten().collect();
        self.random.ssrc(&taken)
    }

    fn write(&self) -> String {
        let mut sdp = Writer::new(self.id, self.version);
        let mids: Vec<_> = self.slots.iter().map(|s| s.mid.as_str()).collect();
        write_session(&mut sdp, &self.ours, "actpass", &mids.join(" "));
        for (n, slot) in self.slots.iter().enumerate() {
            self.write_slot(&mut sdp, slot);
            if n == 0 {
                write_candidates(&mut sdp, &self.ours);
            }
        }
        sdp.finish()
    }

    fn write_slot(&self, sdp: &mut Writer, slot: &Slot) {
        let codecs = offered(slot.kind);
        let formats = codecs.iter().flat_map(|o| [Some(o.pt), o.rtx]).flatten().map(|pt| pt.to_string());
        write_media(sdp, slot.kind, &self.ours, &formats.collect::<Vec<_>>().join(" "));
        sdp.attribute("mid", slot.mid);
        sdp.flag("sendonly");
        sdp.attribute("msid", format_args!("pair{} slot{}", slot.pair, slot.mid));
        extensions::offer(sdp, slot.kind);
        if slot.kind == Kind::Video {
            // RFC 3611 section 5.1: who only receives is told the round trip, after which it asks again for what is lost.
            sdp.attribute("rtcp-xr", "rcvr-rtt=all");
        }
        let feedback: &[&str] = if slot.kind == Kind::Audio { &AUDIO_FEEDBACK } else { &VIDEO_FEEDBACK };
        for codec in codecs {
            sdp.attribute("rtpmap", format_args!("{} {}", codec.pt, codec.encoding));
            for what in feedback.iter().filter(|_| codec.pt != codecs::RED_PT) {
                sdp.attribute("rtcp-fb", format_args!("{} {what}", codec.pt));
            }
            if !codec.fmtp.is_empty() {
                sdp.attribute("fmtp", format_args!("{} {}", codec.pt, codec.fmtp));
            }
            if let Some(rtx) = codec.rtx {
                sdp.attribute("rtpmap", format_args!("{rtx} rtx/{}", codecs::VIDEO_CLOCK));
                sdp.attribute("fmtp", format_args!("{rtx} apt={}", codec.pt));
            }
        }
        if let Some(rtx) = slot.rtx_ssrc {
            sdp.attribute("ssrc-group", format_args!("FID {} {}", slot.ssrc.0, rtx.0));
        }
        for ssrc in [Some(slot.ssrc), slot.rtx_ssrc].into_iter().flatten() {
            sdp.attribute("ssrc", format_args!("{} cname:{:016x}", ssrc.0, self.id));
        }
    }
}

/// Steele, Lea and Flood's generator: SSRCs must differ, not be secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One that is not `taken`.
    pub(super) fn ssrc(&mut self, taken: &[Ssrc]) -> Ssrc {
        loop {
            let ssrc = Ssrc((self.next() >> 32) as u32);
            if ssrc.0 != 0 && !taken.contains(&ssrc) {
                return ssrc;
            }
        }
    }
}
