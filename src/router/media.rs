//! Media of publishers, from the datagram to the log.

use super::command::Kind;
use super::event::SessionStats;
use super::history::{ABSENT, KEYFRAME};
use super::ingest::packet::{self, Extensions};
use super::ingest::reception::{Arrival, Reception};
use super::ingest::streams::Stream;
use super::recorder::Way;
use super::{Router, session_at};
use crate::units::Instant;
use crate::wire::id::Seq16;
use crate::wire::{rtp, srtp};

impl Router {
    /// One SRTP packet of a session of ours.
    pub(super) fn take_media(&mut self, now: Instant, place: u32, datagram: &mut [u8]) {
        self.at_work = Some(place);
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        let Some(opener) = session.opener.as_mut() else {
            self.counters.drops.no_keys += u64::from(!session.keep_early(datagram));
            return;
        };
        let len = match opener.open_rtp(datagram) {
            Ok(len) => len,
            Err(why) => return self.count_drop(why),
        };
        let Some(header) = datagram.get(..len).and_then(|p| rtp::View::parse(p).ok()) else {
            self.counters.drops.malformed += 1;
            return;
        };
        let front = datagram.get(..header.header_len()).unwrap_or_default();
        session.outlet.record(now, Way::In, front, datagram.len());
        let params = &*session.params;
        let extensions = Extensions::read(&header, &params.extensions);
        let found = session.streams.find(header.ssrc());
        let found = found.or_else(|| session.streams.discover(&header, &params.extensions, &params.tracks));
        if let Some(seq) = extensions.transport_seq {
            session.arrived(seq, now);
        }
        let Some(stream) = found else {
            self.counters.drops.unknown_source += 1;
            return;
        };
        self.take_packet(now, place, stream, &header, &extensions, len);
        if let Some(session) = session_at(&mut self.sessions, place) {
            session.arm(place, &mut self.timers);
        }
    }

    fn take_packet(
        &mut self,
        now: Instant,
        place: u32,
        stream: Stream,
        header: &rtp::View<'_>,
        extensions: &Extensions<'_>,
        len: usize,
    ) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        let Some(params) = session.params.tracks.get(usize::from(stream.track)) else { return };
        let id = params.id;
        let Some((payload, resent)) = packet::payload_of(params, header.pt()) else {
            self.counters.drops.unknown_source += 1;
            return;
        };
        let Some(codec) = params.payloads.get(usize::from(payload)).map(|p| p.codec) else { return };
        count_in(&mut session.stats, len);
        let (seq, bytes) = match header.payload() {
            // RFC 4588 section 4: the original's number, then its payload. Without one it is padding.
            [high, low, rest @ ..] if resent => (Seq16(u16::from_be_bytes([*high, *low])), rest),
            _ if resent => return,
            all => (header.seq(), all),
        };
        let Some(track) = self.tracks.find_mut(id) else { return };
        if track.muted {
            self.counters.drops.muted += 1;
            return;
        }
        let refused = track.limit.most.payloads >> payload & 1 == 0;
        if refused || (track.kind == Kind::Audio && !track.limit.lets_sound(now, bytes.len())) {
            self.counters.drops.limited += 1;
            return;
        }
        let Some(layer) = track.layers.get_mut(usize::from(stream.layer)) else { return };

        if layer.refused {
            // Only its rate and its size tell when it is within the limit again.
            self.counters.drops.limited += 1;
            layer.meter.count(now, len);
            let read = packet::read(header, extensions, codec, payload, bytes);
            layer.size = read.size.or(layer.size);
            return;
        }

        let known = layer.reception.as_ref().is_some_and(|r| resent || r.ssrc == header.ssrc());
        if !known {
            // A retransmission comes under its own source, and cannot be the first.
            if resent {
                return;
            }
            let asks = track.kind == Kind::Video;
            layer.reception = Some(Box::new(Reception::new(header.ssrc(), asks)));
            layer.clock = None;
            self.tracks.begin_epoch(id, stream.layer);
        }
        let layer = self.tracks.find_mut(id).and_then(|t| t.layers.get_mut(usize::from(stream.layer)));
        let Some(reception) = layer.and_then(|l| l.reception.as_mut()) else { return };
        let seq = match reception.accept(seq, resent, now) {
            Arrival::Fresh(seq) => seq,
            Arrival::Restart(seq) => {
                self.tracks.begin_epoch(id, stream.layer);
                seq
            }
            Arrival::Repeated => {
                // Nothing is lost by it: who retransmits what nobody asked for probes its way, or was asked twice.
                let count =
                    if resent { &mut self.counters.repeated } else { &mut self.counters.drops.replay };
                *count += 1;
                return;
            }
            Arrival::Late => {
                self.counters.drops.late += 1;
                return;
            }
        };
        let Some(track) = self.tracks.find_mut(id) else { return };
        let Some(layer) = track.layers.get_mut(usize::from(stream.layer)) else { return };
        let Some(reception) = layer.reception.as_mut() else { return };
        if let Some(asked) = reception.found(seq, resent, now) {
            session.round_trip.note(asked, now);
        }
        if resent {
            self.counters.recovered += 1;
        } else {
            reception.time(header.ts().0, params.clock_rate, now);
        }
        session.ask_at = session.ask_at.min(reception.next_ask());

        let mut read = packet::read(header, extensions, codec, payload, bytes);
        (read.entry.seq, read.entry.epoch, read.entry.arrival) = (seq, layer.epoch, now);
        layer.dependencies.read(extensions.descriptor, &mut read.entry);
        let captured = extensions.captured.zip(session.clock_offset);
        let epoch = session.epoch.as_micros() as i64;
        match captured.map(|(captured, ahead)| captured.passed_on(ahead.wrapping_add(epoch)).bytes()) {
            None => layer.log.append(read.entry, extensions.descriptor, bytes),
            Some(captured) => {
                read.entry.capture = captured.len() as u8;
                let mut both = [0; 255];
                let len = captured.len() + extensions.descriptor.len();
                let parts = captured.iter().chain(extensions.descriptor);
                both.iter_mut().zip(parts).for_each(|(room, byte)| *room = *byte);
                layer.log.append(read.entry, both.get(..len).unwrap_or(&captured), bytes)
            }
        };
        layer.keyframes.count(read.entry.ts, read.entry.is(KEYFRAME), bytes.len());
        layer.shaper.count(&read.entry, len, now);
        if !resent {
            layer.frames.count(&read.entry, now);
        }
        if let Some(structure) = &read.structure {
            let sizes = (0..structure.spatial_layers).filter_map(|s| Some((s, structure.size(s)?)));
            sizes.for_each(|(spatial, size)| layer.shape.set_size(spatial, size));
        }
        if read.entry.is(KEYFRAME) && !extensions.descriptor.is_empty() {
            for (spatial, size) in layer.dependencies.sizes() {
                layer.shape.set_size(spatial, size);
                read.size = Some(size);
            }
        }
        self.counters.packets_in += 1;
        self.counters.bytes_in += len as u64;
        track.payload = payload;

        let resized = read.size.is_some_and(|size| layer.size.replace(size) != Some(size));
        if read.entry.is(KEYFRAME) {
            track.keyframe_came(stream.layer);
        }
        let came_alive = track.heard(stream.layer, len, now);
        self.tracks.freshen(id.index, stream.layer);
        if read.entry.level != ABSENT && !resent {
            self.hear(now, id, read.entry.level);
        }
        if came_alive || resized {
            if self.tracks.find(id).is_some_and(|t| t.unmeasured(stream.layer)) {
                // Without its size the layer cannot be chosen well, and only a keyframe tells.
                self.tracks.want_keyframe(id.index, stream.layer);
            }
            self.tracks.changed(id.index);
            self.reselect(id);
        }
    }

    /// One SRTCP packet of a session of ours.
    pub(super) fn take_control(&mut self, now: Instant, place: u32, datagram: &mut [u8]) {
        self.at_work = Some(place);
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        let Some(opener) = session.opener.as_mut() else {
            self.counters.drops.no_keys += 1;
            return;
        };
        let len = match opener.open_rtcp(datagram) {
            Ok(len) => len,
            Err(why) => return self.count_drop(why),
        };
        if !session.allowance.takes(now) {
            self.counters.drops.excess += 1;
            return;
        }
        let compound = datagram.get(..len).unwrap_or_default();
        session.outlet.record(now, Way::In, compound, len);
        if session.read_control(compound, now, &mut self.tracks, &mut self.counters) {
            self.queue.mark_control(place);
        }
        if session_at(&mut self.sessions, place).is_some_and(|s| s.allocation.is_due(s.budget(now))) {
            self.aim(place);
        }
    }

    const fn count_drop(&mut self, why: srtp::Drop) {
        let drops = &mut self.counters.drops;
        match why {
            srtp::Drop::Malformed => drops.malformed += 1,
            srtp::Drop::Replay => drops.replay += 1,
            srtp::Drop::Auth => drops.auth += 1,
            srtp::Drop::TooManySsrcs => drops.unknown_source += 1,
        }
    }
}

const fn count_in(stats: &mut SessionStats, len: usize) {
    stats.packets_in += 1;
    stats.bytes_in += len as u64;
}
