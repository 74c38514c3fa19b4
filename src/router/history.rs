//! What arrived on one layer: an append-only log from which every subscription pulls, and from which losses are
//! answered.
//!
//! Positions grow in the order of arrival. Bytes live in one ring, entries in another; both grow until they hold
//! [`KEEP`], or to their bounds. The oldest make room for the newest.

use crate::units::{Duration, Instant};

/// How much of the past is kept, and the oldest keyframe at which a viewer may begin: one that is older makes it
/// catch up for too long. A retransmission later than this comes too late to be played, too.
pub(crate) const KEEP: Duration = Duration::from_millis(1500);
/// The most that a viewer is sent at once when it begins: that much at 4 Mbit/s.
const MOST_BACKLOG: u64 = 768 * 1024;
/// At first: enough for audio, and for a layer that nobody watches.
const FIRST_BYTES: usize = 16 * 1024;
const FIRST_ENTRIES: usize = 32;
/// At most: 1.5 s at 11 Mbit/s.
const MOST_BYTES: usize = 2 * 1024 * 1024;
const MOST_ENTRIES: usize = 2048;

/// Packets are alike if their payloads differ by no more than this part of the larger: for what a send of its own
/// costs, a sixteenth of a packet may be padding. Most frames are split into packets that differ by one byte.
const UNLIKE: u16 = 16;

/// The packet ends a picture.
pub(crate) const MARKER: u8 = 1;
/// The packet begins a keyframe.
pub(crate) const KEYFRAME: u8 = 2;
/// The picture id is 15 bits wide, else 7.
pub(crate) const WIDE_ID: u8 = 4;
/// The packet ends a spatial layer of a picture.
pub(crate) const ENDS_LAYER: u8 = 8;
/// Whoever has the temporal layers below this one can go up to it here.
pub(crate) const UP_HERE: u8 = 16;
/// Whoever has this temporal layer can go up to any from here on.
pub(crate) const UP_FROM_HERE: u8 = 32;
/// Whoever has the spatial layers below of this picture can go up to this one here.
pub(crate) const UP_SPATIAL: u8 = 64;

/// "Not in the packet" for [`Entry::level`] and [`Entry::orientation`].
pub(crate) const ABSENT: u8 = 0xff;
/// "Not in the packet" for [`Entry::playout_delay`].
pub(crate) const ABSENT_DELAY: u32 = u32::MAX;

/// All that subscriptions must know of a packet, parsed once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its sequence number, rollovers counted.
    pub(crate) seq: u64,
    /// When it came.
    pub(crate) arrival: Instant,
    /// Where its bytes begin, counted from the first byte ever appended.
    pub(super) start: u64,
    /// Its timestamp.
    pub(crate) ts: u32,
    /// Grows whenever sequence numbers or timestamps of the layer begin anew.
    pub(crate) epoch: u32,
    /// [`ABSENT_DELAY`], or the playout delay extension's 24 bits.
    pub(crate) playout_delay: u32,
    /// Bytes of payload.
    pub(crate) len: u16,
    /// Its picture id, if [`Entry::picture_id_at`] says so.
    pub(crate) picture_id: u16,
    /// Its frame's number in the dependency descriptor, if there is one.
    pub(crate) frame: u16,
    /// Bytes of capture time and dependency descriptor.
    pub(crate) descriptor: u8,
    /// [`MARKER`] and so on.
    pub(crate) flags: u8,
    /// Where in the payload the picture id is; 0 is nowhere.
    pub(crate) picture_id_at: u8,
    /// Where in the payload TL0PICIDX is; 0 is nowhere.
    pub(crate) tl0_at: u8,
    /// TL0PICIDX.
    pub(crate) tl0: u8,
    /// Which of the track's payloads.
    pub(crate) payload: u8,
    /// Bytes of capture time before the descriptor.
    pub(crate) capture: u8,
    /// Its spatial layer, 0 is the base.
    pub(crate) spatial: u8,
    /// Its temporal layer, 0 is the base.
    pub(crate) temporal: u8,
    /// The audio level extension as it came, or [`ABSENT`].
    pub(crate) level: u8,
    /// The video orientation extension as it came, or [`ABSENT`].
    pub(crate) orientation: u8,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            seq: 0,
            arrival: Instant::ZERO,
            start: 0,
            ts: 0,
            epoch: 0,
            playout_delay: ABSENT_DELAY,
            len: 0,
            picture_id: 0,
            frame: 0,
            descriptor: 0,
            flags: 0,
            picture_id_at: 0,
            tl0_at: 0,
            tl0: 0,
            payload: 0,
            capture: 0,
            spatial: 0,
            temporal: 0,
            level: ABSENT,
            orientation: ABSENT,
        }
    }
}

impl Entry {
    /// Whether there is a dependency descriptor.
    pub(crate) const fn is_described(&self) -> bool {
        self.descriptor > self.capture
    }

    /// Whether all of `flags` are set.
    pub(crate) const fn is(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// The log of one layer.
#[derive(Debug, Default)]
pub(crate) struct Log {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Low bits of the position of each sequence number, by its low bits.
    by_seq: Vec<u32>,
    tail: u64,
    head: u64,
    /// Bytes ever appended, gaps at the ring's end included.
    written: u64,
    /// Position after the newest keyframe's first packet; 0 is none.
    keyframe: u64,
    highest: u64,
}

impl Log {
    /// The position that the next packet will take.
    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// The oldest position still here.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// The packet at a position.
    pub(crate) fn get(&self, position: u64) -> Option<&Entry> {
        if position < self.tail || position >= self.head {
            return None;
        }
        self.entries.get(position as usize & (self.entries.len() - 1))
    }

    /// Its capture time with its dependency descriptor, and its payload.
    pub(crate) fn content(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let start = entry.start as usize & (self.bytes.len().wrapping_sub(1));
        let len = usize::from(entry.descriptor) + usize::from(entry.len);
        self.bytes
            .get(start..start + len)
            .and_then(|all| all.split_at_checked(usize::from(entry.descriptor)))
            .unwrap_or_default()
    }

    /// The packets from a position on whose sizes differ little: where they end, and the largest payload among them.
    pub(crate) fn alike(&self, from: u64) -> (u64, u16) {
        let (mut least, mut most) = (u16::MAX, 0);
        let mut position = from;
        while let Some(entry) = self.get(position) {
            let (low, high) = (least.min(entry.len), most.max(entry.len));
            if high - low > high / UNLIKE {
                break;
            }
            (least, most) = (low, high);
            position += 1;
        }
        (position, most)
    }

    /// Where the packet with this number is.
    pub(crate) fn find(&self, epoch: u32, seq: u64) -> Option<u64> {
        let low = *self.by_seq.get(seq as usize & self.by_seq.len().wrapping_sub(1))?;
        let position = self.head.wrapping_sub(u64::from((self.head as u32).wrapping_sub(low)));
        self.get(position).filter(|e| e.seq == seq && e.epoch == epoch).map(|_| position)
    }

    /// Where a viewer may begin: at the newest keyframe, while little follows it.
    pub(crate) fn beginning(&self, now: Instant) -> Option<u64> {
        let position = self.keyframe.checked_sub(1)?;
        let keyframe = self.get(position)?;
        let short = now.since(keyframe.arrival) <= KEEP && self.written - keyframe.start <= MOST_BACKLOG;
        short.then_some(position)
    }

    /// The earliest position, not far before `position`, of a packet that follows `seq` or is it: what overtook it
    /// on the way.
    pub(crate) fn overtaken(&self, position: u64, epoch: u32, seq: u64) -> u64 {
        const REACH: u64 = 512;
        let end = self.highest.min(seq.saturating_add(REACH));
        (seq..=end).filter_map(|s| self.find(epoch, s)).fold(position, u64::min)
    }

    /// The past no longer leads up to the present: no subscription may begin before the next keyframe.
    pub(crate) const fn cut(&mut self) {
        self.keyframe = 0;
    }

    /// Gives all memory back if nothing has come for so long that nothing here is of use.
    pub(crate) fn rest(&mut self, now: Instant) {
        let newest = self.head.checked_sub(1).and_then(|position| self.get(position));
        if newest.is_some_and(|entry| now.since(entry.arrival) >= KEEP * 2) {
            self.release();
        }
    }

    fn release(&mut self) {
        (self.bytes, self.entries, self.by_seq) = (Vec::new(), Vec::new(), Vec::new());
        (self.tail, self.written, self.keyframe) = (self.head, 0, 0);
    }

    /// Appends a packet; the position it took.
    pub(crate) fn append(&mut self, mut entry: Entry, descriptor: &[u8], payload: &[u8]) -> u64 {
        let descriptor = descriptor.get(..descriptor.len().min(255)).unwrap_or_default();
        let payload = payload.get(..payload.len().min(2048)).unwrap_or_default();
        let len = descriptor.len() + payload.len();
        self.make_room(len, entry.arrival);

        let mask = self.bytes.len() - 1;
        if (self.written as usize & mask) + len > self.bytes.len() {
            self.written += (self.bytes.len() - (self.written as usize & mask)) as u64;
        }
        entry.start = self.written;
        entry.descriptor = descriptor.len() as u8;
        entry.len = payload.len() as u16;
        self.written += len as u64;
        self.forget_overwritten();
        let start = entry.start as usize & mask;
        if let Some(room) = self.bytes.get_mut(start..start + len) {
            let (first, second) = room.split_at_mut(descriptor.len());
            first.copy_from_slice(descriptor);
            second.copy_from_slice(payload);
        }

        let position = self.head;
        if self.head - self.tail == self.entries.len() as u64 {
            self.tail += 1;
        }
        self.place(position, entry);
        self.head += 1;
        self.highest =
            if self.highest.abs_diff(entry.seq) > 1 << 15 { entry.seq } else { self.highest.max(entry.seq) };
        if entry.is(KEYFRAME) {
            self.keyframe = position + 1;
        }
        position
    }

    fn place(&mut self, position: u64, entry: Entry) {
        let mask = self.entries.len() - 1;
        if let Some(place) = self.entries.get_mut(position as usize & mask) {
            *place = entry;
        }
        if let Some(place) = self.by_seq.get_mut(entry.seq as usize & mask) {
            *place = position as u32;
        }
    }

    fn forget_overwritten(&mut self) {
        let oldest = self.written.saturating_sub(self.bytes.len() as u64);
        while self.get(self.tail).is_some_and(|e| e.start < oldest) {
            self.tail += 1;
        }
    }

    /// Grows while what would be overwritten is still worth keeping.
    fn make_room(&mut self, len: usize, now: Instant) {
        if self.entries.is_empty() {
            self.bytes = vec![0; FIRST_BYTES];
            self.entries = vec![Entry::default(); FIRST_ENTRIES];
            self.by_seq = vec![0; FIRST_ENTRIES];
        }
        let Some(oldest) = self.get(self.tail) else { return };
        if now.since(oldest.arrival) >= KEEP {
            return;
        }
        let (start, count) = (oldest.start, self.head - self.tail);
        // A wrap may skip up to `len` bytes at the ring's end.
        let needed = (self.written - start) as usize + 2 * len;
        if needed > self.bytes.len() && self.bytes.len() < MOST_BYTES {
            self.grow_bytes();
        }
        if count == self.entries.len() as u64 && self.entries.len() < MOST_ENTRIES {
            self.grow_entries();
        }
    }

    fn grow_bytes(&mut self) {
        let mut bytes = vec![0; self.bytes.len() * 2];
        let mut written = 0;
        for position in self.tail..self.head {
            let Some(mut entry) = self.get(position).copied() else { continue };
            let (descriptor, payload) = self.content(&entry);
            let (middle, end) = (written + descriptor.len(), written + descriptor.len() + payload.len());
            if let Some(room) = bytes.get_mut(written..middle) {
                room.copy_from_slice(descriptor);
            }
            if let Some(room) = bytes.get_mut(middle..end) {
                room.copy_from_slice(payload);
            }
            entry.start = written as u64;
            written = end;
            let place = position as usize & (self.entries.len() - 1);
            // The old bytes are still read by the old start of later entries only.
            if let Some(place) = self.entries.get_mut(place) {
                *place = entry;
            }
        }
        self.bytes = bytes;
        self.written = written as u64;
    }

    fn grow_entries(&mut self) {
        let len = self.entries.len() * 2;
        let old: Vec<Entry> = (self.tail..self.head).filter_map(|p| self.get(p).copied()).collect();
        self.entries = vec![Entry::default(); len];
        self.by_seq = vec![0; len];
        for (position, entry) in (self.tail..self.head).zip(old) {
            self.place(position, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u64, ms: u64) -> Entry {
        Entry { seq, arrival: Instant::from_millis(ms), ..Entry::default() }
    }

    #[test]
    fn everything_of_the_last_second_is_found_whatever_the_sizes() {
        let mut log = Log::default();
        for seq in 0..5000u64 {
            // 500 packets a second, sizes from 1 to 1200.
            let len = (seq * 7919 % 1200) as usize + 1;
            log.append(packet(seq, seq * 2), &[seq as u8; 3], &vec![seq as u8; len]);
            for back in [0, 1, 17, 400] {
                let Some(seq) = seq.checked_sub(back) else { continue };
                let position = log.find(0, seq).expect("kept");
                let entry = *log.get(position).expect("kept");
                let (descriptor, payload) = log.content(&entry);
                assert_eq!(descriptor, [seq as u8; 3]);
                assert_eq!(payload.len(), (seq * 7919 % 1200) as usize + 1);
                assert!(payload.iter().all(|b| *b == seq as u8));
            }
        }
        assert!(log.bytes.len() <= 1024 * 1024 && log.entries.len() <= 1024);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut log = Log::default();
        for seq in 0..10_000 {
            log.append(packet(seq, 1), &[], &[1; 1200]);
        }
        assert_eq!((log.bytes.len(), log.entries.len()), (MOST_BYTES, MOST_ENTRIES));
        assert!(log.find(0, 9_999).is_some() && log.find(0, 100).is_none());
        assert!(log.get(log.tail()).is_some() && log.get(log.head()).is_none());
    }

    #[test]
    fn a_keyframe_is_found_until_it_is_overwritten_or_cut_off() {
        let mut log = Log::default();
        log.append(packet(1, 0), &[], &[0; 10]);
        log.append(Entry { flags: KEYFRAME, ..packet(2, 1) }, &[], &[0; 10]);
        assert_eq!(log.beginning(Instant::from_millis(1)), Some(1));
        for seq in 3..40 {
            log.append(packet(seq, 5000 + seq), &[], &[0; 10]);
        }
        assert_eq!(log.beginning(Instant::from_millis(1)), None);
    }

    #[test]
    fn nobody_begins_far_back_and_a_long_gop_holds_no_memory() {
        let mut log = Log::default();
        log.append(Entry { flags: KEYFRAME, ..packet(0, 0) }, &[], &[0; 1000]);
        // 1.6 Mbit/s for a minute, all on one keyframe.
        for seq in 1..12_000 {
            log.append(packet(seq, seq * 5), &[], &[0; 1000]);
            let begins = log.beginning(Instant::from_millis(seq * 5));
            assert_eq!(begins, (seq * 5 <= 1500).then_some(0), "{seq}");
        }
        assert!(log.bytes.len() <= 512 * 1024, "{}", log.bytes.len());
        // A burst is no place to begin either, however short.
        log.append(Entry { flags: KEYFRAME, ..packet(20_000, 70_000) }, &[], &[0; 1000]);
        assert!(log.beginning(Instant::from_millis(70_000)).is_some());
        (20_001..21_000).for_each(|seq| _ = log.append(packet(seq, 70_000), &[], &[0; 1000]));
        assert_eq!(log.beginning(Instant::from_millis(70_000)), None);
    }

    #[test]
    fn a_silent_layer_costs_nothing_and_its_positions_go_on() {
        let mut log = Log::default();
        (0..100).for_each(|seq| _ = log.append(packet(seq, seq), &[], &[0; 1000]));
        log.rest(Instant::from_millis(3000));
        assert!(log.find(0, 99).is_some(), "a viewer may still ask for it");
        log.rest(Instant::from_millis(4000));
        assert!(log.bytes.is_empty() && log.get(99).is_none() && log.find(0, 99).is_none());
        assert_eq!((log.tail(), log.append(packet(100, 5000), &[], &[7; 10])), (100, 100));
        let entry = *log.get(100).expect("kept");
        assert_eq!((log.find(0, 100), log.content(&entry).1), (Some(100), &[7; 10][..]));
    }

    #[test]
    fn what_overtook_a_packet_is_found_before_it() {
        let mut log = Log::default();
        for seq in [10, 13, 14, 12] {
            log.append(packet(seq, 0), &[], &[0; 10]);
        }
        assert_eq!(log.overtaken(3, 0, 12), 1);
    }

    #[test]
    fn another_epoch_is_another_packet() {
        let mut log = Log::default();
        log.append(Entry { epoch: 1, ..packet(7, 0) }, &[], &[0; 10]);
        assert!(log.find(1, 7).is_some() && log.find(2, 7).is_none());
    }
}
