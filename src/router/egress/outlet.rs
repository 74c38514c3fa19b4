//! One packet out: header, extensions, payload and seal, straight into the batch that leaves.

use super::pacer::Pacer;
use crate::batch::{MAX_DATAGRAM, Path, TxBatch};
use crate::router::bandwidth::Estimator;
use crate::router::command::ExtensionIds;
use crate::router::history::{ABSENT, ABSENT_DELAY, Entry, Log, WIDE_ID};
use crate::router::recorder::{Headers, Way};
use crate::units::{Bitrate, Instant};
use crate::wire::ext::abs_send_time::AbsSendTime;
use crate::wire::ext::dependency_descriptor::{self, Active};
use crate::wire::id::{Mid, Pt, RtpTs, Seq, Ssrc};
use crate::wire::payload::red;
use crate::wire::rtp;
use crate::wire::srtp::Sealer;

/// What all packets of one loop turn share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The one clock reading of the turn.
    pub(crate) now: Instant,
    /// The same as it travels in the abs-send-time extension.
    abs_send_time: [u8; 3],
}

impl Turn {
    pub(crate) const fn at(now: Instant) -> Self {
        Self { now, abs_send_time: AbsSendTime::at(now).bytes() }
    }
}

/// What tells the outgoing packet from the entry it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) ssrc: Ssrc,
    /// The SRTP index: whoever fills it in never uses one twice.
    pub(crate) seq: Seq,
    pub(crate) ts: u32,
    pub(crate) pt: Pt,
    pub(crate) marker: bool,
    /// Added to the picture id and to TL0PICIDX.
    pub(crate) picture_shift: u16,
    pub(crate) tl0_shift: u8,
    /// Added to the frame number of the dependency descriptor.
    pub(crate) frame_shift: u16,
    /// The decode targets to name in it, if any.
    pub(crate) active: Option<Active>,
    /// Whether to leave out what the entry carries: only its number is spent.
    pub(crate) blank: bool,
    /// For a retransmission, the number of the original (RFC 4588 section 4).
    pub(crate) original: Option<u16>,
    /// Whether only the packet's own sound is sent, without what it repeats (RFC 2198).
    pub(crate) unwrap: bool,
    /// The payload is to be padded to this, so that it leaves together with those that follow; 0 is not at all.
    pub(crate) even: u16,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is in the batch, this many bytes.
    Yes(usize),
    /// The batch is full: send it, then try again.
    Full,
    /// It fits into no datagram, or there are no keys.
    Never,
}

/// Where the packets of one session go out.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// The selected path; nothing goes out without.
    pub(crate) path: Option<Path>,
    /// The keys; nothing but DTLS and STUN goes out without.
    pub(crate) sealer: Option<Sealer>,
    extensions: ExtensionIds,
    /// Whether all ids fit the one-byte form (RFC 8285 section 4.2).
    one_byte: bool,
    pub(crate) transport_seq: u16,
    /// What feedback tells of the way, once a packet with a transport-wide number was sent.
    pub(crate) estimator: Option<Box<Estimator>>,
    /// What would be sent if there were room for it.
    wanted: Bitrate,
    pub(crate) pacer: Pacer,
    /// Packets and bytes ever sent.
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// The headers of all packets, while somebody asked for them.
    pub(crate) headers: Option<Box<Headers>>,
}

/// The longest that any SRTP profile of ours adds.
const LONGEST_TAG: usize = 16;
/// A packet shorter than the others of its run by no more than this is padded: packets that are alike, with and without
/// the extensions that only some have.
const RUN_SLACK: usize = 128;
/// Room for a dependency descriptor: what an extension element holds.
const DESCRIPTOR_ROOM: usize = 255;
/// Room for a header with all extensions that we ever write in the one-byte form.
const HEADER_ROOM: usize = 96;

impl Outlet {
    pub(crate) fn new(extensions: ExtensionIds) -> Self {
        let ids = [
            extensions.mid,
            extensions.audio_level,
            extensions.twcc,
            extensions.abs_send_time,
            extensions.video_orientation,
            extensions.playout_delay,
            extensions.capture_time,
            extensions.dependency_descriptor,
        ];
        Self {
            path: None,
            sealer: None,
            extensions,
            one_byte: ids.iter().all(|id| *id < 15),
            transport_seq: 0,
            estimator: None,
            wanted: Bitrate::ZERO,
            pacer: Pacer::new(extensions.twcc != 0),
            packets: 0,
            bytes: 0,
            headers: None,
        }
    }

    /// Keeps the headers of what comes and goes until then.
    pub(crate) fn keep_headers(&mut self, now: Instant, until: Instant) {
        match &mut self.headers {
            Some(_) if until <= now => self.headers = None,
            Some(headers) => headers.go_on(until),
            none if until > now => *none = Some(Box::new(Headers::new(until))),
            _ => {}
        }
    }

    /// Forgets the headers that nobody can have any more.
    pub(crate) fn drop_headers(&mut self, now: Instant) {
        self.headers = self.headers.take().filter(|headers| !headers.is_over(now));
    }

    /// Keeps the front of a packet of `len` bytes, if it is asked for.
    #[inline]
    pub(crate) fn record(&mut self, now: Instant, way: Way, front: &[u8], len: usize) {
        if let (Some(headers), Some(path)) = (self.headers.as_deref_mut(), self.path) {
            headers.keep(now, way, path, front, len);
        }
    }

    /// Makes a packet of `entry` and puts it into the batch.
    #[inline]
    pub(crate) fn send(
        &mut self,
        batch: &mut TxBatch,
        turn: &Turn,
        head: &Head,
        log: &Log,
        entry: &Entry,
        mid: Option<&Mid>,
    ) -> Sent {
        let (Some(path), Some(sealer)) = (self.path, self.sealer.as_ref()) else { return Sent::Never };
        let segment = if head.even == 0 { None } else { batch.segment(&path) };
        let Some(room) = batch.reserve() else { return Sent::Full };
        let (extra, payload) = if head.blank { Default::default() } else { log.content(entry) };
        let own = if head.unwrap { red::primary(payload) } else { Some(payload) };
        let Some(payload) = own else { return Sent::Never };
        let (captured, descriptor) = extra.split_at_checked(entry.capture.into()).unwrap_or_default();
        let mut scratch;
        let descriptor = if descriptor.is_empty() || self.extensions.dependency_descriptor == 0 {
            &[]
        } else {
            scratch = [0; DESCRIPTOR_ROOM];
            let number = entry.frame.wrapping_add(head.frame_shift);
            let len = dependency_descriptor::forward(descriptor, number, head.active, &mut scratch);
            len.and_then(|len| scratch.get(..len)).unwrap_or_default()
        };
        let header = if self.one_byte && descriptor.len() <= 16 {
            self.short_header(room, turn, head, entry, (captured, descriptor), mid)
        } else {
            self.long_header(room, turn, head, entry, (captured, descriptor), mid)
        };
        let Some(header) = header else { return Sent::Never };
        let Some(len) = write_payload(room, header, head, entry, payload) else { return Sent::Never };
        let len = match head.even {
            0 => len,
            even => {
                // What is in the run that it may join counts its tag.
                let run = segment.and_then(|segment| segment.checked_sub(sealer.tag_len()));
                let joins = |run: &usize| (len..len + RUN_SLACK).contains(run);
                pad(room, len, run.filter(joins).unwrap_or_else(|| header + usize::from(even)))
            }
        };
        let Some(len) = sealer.seal_rtp(room, len, header, head.seq, head.ssrc) else { return Sent::Never };
        if self.headers.is_some() {
            self.record(turn.now, Way::Out, room.get(..header).unwrap_or_default(), len);
        }
        batch.commit(path, len);
        self.note(len, turn.now);
        Sent::Yes(len)
    }

    /// Sends a retransmission of nothing, all padding (RFC 3550 section 5.1).
    pub(crate) fn send_padding(
        &mut self,
        batch: &mut TxBatch,
        turn: &Turn,
        ssrc: Ssrc,
        index: u64,
        ts: u32,
        pt: Pt,
    ) -> Sent {
        /// The most that the one byte for it can say, in whole words.
        const PADDING: u8 = 252;
        let (Some(path), Some(sealer)) = (self.path, self.sealer.as_ref()) else { return Sent::Never };
        let Some(room) = batch.reserve() else { return Sent::Full };
        let seq = Seq(index);
        let numbered = [(self.extensions.twcc, &self.transport_seq.to_be_bytes()[..])];
        let header = rtp::Header { marker: false, pt, seq: seq.wire(), ts: RtpTs(ts), ssrc };
        let Some(header) = header.write(room, &numbered) else { return Sent::Never };
        let end = header + usize::from(PADDING);
        let Some([padding @ .., last]) = room.get_mut(header..end) else { return Sent::Never };
        padding.fill(0);
        *last = PADDING;
        if let Some(first) = room.first_mut() {
            *first |= 0x20;
        }
        let Some(len) = sealer.seal_rtp(room, end, header, seq, ssrc) else { return Sent::Never };
        self.record(turn.now, Way::Out, room.get(..header).unwrap_or_default(), len);
        batch.commit(path, len);
        self.note(len, turn.now);
        Sent::Yes(len)
    }

    /// A packet is on its way.
    #[inline]
    fn note(&mut self, len: usize, now: Instant) {
        if self.extensions.twcc != 0 {
            let wanted = self.wanted;
            let estimator = self.estimator.get_or_insert_with(|| new_estimator(wanted, now));
            estimator.on_sent(self.transport_seq, len, now);
        }
        self.pacer.spend(len);
        self.transport_seq = self.transport_seq.wrapping_add(1);
        self.packets += 1;
        self.bytes += len as u64;
    }

    /// What would be sent if there were room for it.
    pub(crate) fn want(&mut self, rate: Bitrate) {
        self.wanted = rate;
        if let Some(estimator) = self.estimator.as_deref_mut() {
            estimator.wanted(rate);
        }
    }

    /// The header with one-byte extension elements, written field by field: this runs for every packet and viewer.
    #[inline]
    fn short_header(
        &self,
        room: &mut [u8],
        turn: &Turn,
        head: &Head,
        entry: &Entry,
        (captured, descriptor): (&[u8], &[u8]),
        mid: Option<&Mid>,
    ) -> Option<usize> {
        let ids = &self.extensions;
        let room: &mut [u8; HEADER_ROOM] = room.first_chunk_mut()?;
        let mut out = Elements { room, at: 16 };
        if ids.twcc != 0 {
            let [high, low] = self.transport_seq.to_be_bytes();
            out.put3(ids.twcc << 4 | 1, high, low);
        } else if ids.abs_send_time != 0 {
            // A receiver that counts transport-wide has no use for send times.
            let [a, b, c] = turn.abs_send_time;
            out.put4(ids.abs_send_time << 4 | 2, a, b, c);
        }
        if entry.level != ABSENT && ids.audio_level != 0 {
            out.put2(ids.audio_level << 4, entry.level);
        }
        if entry.orientation != ABSENT && ids.video_orientation != 0 {
            out.put2(ids.video_orientation << 4, entry.orientation);
        }
        if entry.playout_delay != ABSENT_DELAY && ids.playout_delay != 0 {
            let [_, a, b, c] = entry.playout_delay.to_be_bytes();
            out.put4(ids.playout_delay << 4 | 2, a, b, c);
        }
        if let Some(mid) = mid.filter(|_| ids.mid != 0) {
            out.put_slice(ids.mid, mid.as_bytes());
        }
        if !captured.is_empty() && ids.capture_time != 0 {
            out.put_slice(ids.capture_time, captured);
        }
        if !descriptor.is_empty() && ids.dependency_descriptor != 0 {
            out.put_slice(ids.dependency_descriptor, descriptor);
        }
        let end = out.finish();
        let extended = end > 16;
        let [b0, b1, ..] = room;
        *b0 = 0x80 | u8::from(extended) << 4;
        *b1 = head.pt.0 & 0x7f | u8::from(head.marker) << 7;
        room.get_mut(2..4)?.copy_from_slice(&head.seq.wire().0.to_be_bytes());
        room.get_mut(4..8)?.copy_from_slice(&head.ts.to_be_bytes());
        room.get_mut(8..12)?.copy_from_slice(&head.ssrc.0.to_be_bytes());
        if !extended {
            return Some(12);
        }
        let words = ((end - 16) / 4) as u16;
        let [high, low] = words.to_be_bytes();
        room.get_mut(12..16)?.copy_from_slice(&[0xbe, 0xde, high, low]);
        Some(end)
    }

    /// The header when an element needs the two-byte form: a dependency descriptor with its template structure.
    #[cold]
    fn long_header(
        &self,
        room: &mut [u8],
        turn: &Turn,
        head: &Head,
        entry: &Entry,
        (captured, descriptor): (&[u8], &[u8]),
        mid: Option<&Mid>,
    ) -> Option<usize> {
        let ids = &self.extensions;
        let transport_seq = self.transport_seq.to_be_bytes();
        let delay = entry.playout_delay.to_be_bytes();
        let all: [(u8, &[u8], bool); 8] = [
            (ids.twcc, &transport_seq, true),
            (ids.abs_send_time, &turn.abs_send_time, ids.twcc == 0),
            (ids.audio_level, &[entry.level], entry.level != ABSENT),
            (ids.video_orientation, &[entry.orientation], entry.orientation != ABSENT),
            (ids.playout_delay, delay.get(1..)?, entry.playout_delay != ABSENT_DELAY),
            (ids.mid, mid.map(Mid::as_bytes).unwrap_or_default(), mid.is_some()),
            (ids.capture_time, captured, !captured.is_empty()),
            (ids.dependency_descriptor, descriptor, !descriptor.is_empty()),
        ];
        let mut elements: [(u8, &[u8]); 8] = Default::default();
        let mut count = 0;
        for (id, value, present) in all {
            if let Some(place) = elements.get_mut(count).filter(|_| present && id != 0) {
                *place = (id, value);
                count += 1;
            }
        }
        let header = rtp::Header {
            marker: head.marker,
            pt: head.pt,
            seq: head.seq.wire(),
            ts: RtpTs(head.ts),
            ssrc: head.ssrc,
        };
        header.write(room, elements.get(..count)?)
    }
}

#[cold]
fn new_estimator(wanted: Bitrate, now: Instant) -> Box<Estimator> {
    let mut estimator = Box::new(Estimator::new(now));
    estimator.wanted(wanted);
    estimator
}

/// Copies the payload behind the header, with the original's number before it in a retransmission, and renumbers
/// its picture.
#[inline]
fn write_payload(
    room: &mut [u8],
    header: usize,
    head: &Head,
    entry: &Entry,
    payload: &[u8],
) -> Option<usize> {
    let mut at = header;
    if let Some(original) = head.original {
        room.get_mut(at..at + 2)?.copy_from_slice(&original.to_be_bytes());
        at += 2;
    }
    let end = at + payload.len();
    if end + LONGEST_TAG > MAX_DATAGRAM {
        return None;
    }
    let out = room.get_mut(at..end)?;
    out.copy_from_slice(payload);
    if head.blank {
        return Some(end);
    }
    let id_at = usize::from(entry.picture_id_at);
    if id_at != 0 {
        let id = entry.picture_id.wrapping_add(head.picture_shift);
        if entry.is(WIDE_ID) {
            out.get_mut(id_at..id_at + 2)?.copy_from_slice(&(id | 0x8000).to_be_bytes());
        } else {
            *out.get_mut(id_at)? = id as u8 & 0x7f;
        }
    }
    let tl0_at = usize::from(entry.tl0_at);
    if tl0_at != 0 {
        *out.get_mut(tl0_at)? = entry.tl0.wrapping_add(head.tl0_shift);
    }
    Some(end)
}

/// Pads a packet to `end` bytes (RFC 3550 section 5.1: the last says how many there are); how long it is then.
#[inline]
fn pad(room: &mut [u8], len: usize, end: usize) -> usize {
    let padding = match end.checked_sub(len).map(u8::try_from) {
        Some(Ok(padding @ 1..)) if end + LONGEST_TAG <= MAX_DATAGRAM => padding,
        _ => return len,
    };
    let Some([zeros @ .., last]) = room.get_mut(len..end) else { return len };
    zeros.fill(0);
    *last = padding;
    if let Some(first) = room.first_mut() {
        *first |= 0x20;
    }
    end
}

/// One-byte extension elements (RFC 8285 section 4.2), appended; what does not fit is left out.
struct Elements<'a> {
    room: &'a mut [u8; HEADER_ROOM],
    at: usize,
}

impl Elements<'_> {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.room.get_mut(self.at..self.at + N) {
            room.copy_from_slice(&bytes);
            self.at += N;
        }
    }

    #[inline]
    fn put2(&mut self, a: u8, b: u8) {
        self.put([a, b]);
    }

    #[inline]
    fn put3(&mut self, a: u8, b: u8, c: u8) {
        self.put([a, b, c]);
    }

    #[inline]
    fn put4(&mut self, a: u8, b: u8, c: u8, d: u8) {
        self.put([a, b, c, d]);
    }

    fn put_slice(&mut self, id: u8, value: &[u8]) {
        let end = self.at + 1 + value.len();
        if value.is_empty() || value.len() > 16 {
            return;
        }
        if let Some([first, rest @ ..]) = self.room.get_mut(self.at..end) {
            *first = id << 4 | (value.len() - 1) as u8;
            rest.copy_from_slice(value);
            self.at = end;
        }
    }

    /// Pads to whole words; where the block ends.
    #[inline]
    fn finish(self) -> usize {
        let end = self.at.next_multiple_of(4);
        if let Some(padding) = self.room.get_mut(self.at..end) {
            padding.fill(0);
        }
        end
    }
}
