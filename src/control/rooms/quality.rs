//! Connection quality, as people see it: five levels, told when they change.

use std::time::Duration;

use tracing::debug;

use super::Rooms;
use super::connection::Purpose;
use crate::router::event::SessionStats;
use crate::router::id::SessionId;
use crate::signal::message::Notice;
use crate::units::{Bitrate, Instant};

/// Loss in percent and round-trip time in milliseconds up to which a connection has a level, from the best down.
const LEVELS: [(u64, u64, u8); 4] = [(1, 150, 4), (3, 300, 3), (8, 500, 2), (15, 1000, 1)];

/// What is known of a connection's quality.
#[derive(Debug, Default)]
pub(super) struct Quality {
    last: SessionStats,
    /// The level that was told.
    told: Option<u8>,
    /// When it was measured last, and the loss then.
    at: Instant,
    loss_percent: u8,
    /// The level of the last measurement: it is told when the next one agrees, so that one bad second says nothing.
    seen: Option<u8>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    rtt_ms: u32,
    loss_percent: u8,
    level: u8,
}

/// How a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// What passed since it began; what passes now is nothing where nothing was heard of it lately.
    pub stats: SessionStats,
    /// Packets lost of late.
    pub loss_percent: u8,
}

impl Quality {
    /// How the connection does, if anything is known of it.
    pub(super) fn health(&self, now: Instant, stale: Duration) -> Option<Health> {
        let Self { mut last, at, mut loss_percent, .. } = *self;
        if at == Instant::ZERO {
            return None;
        }
        if now.since(at) > stale {
            (last.bitrate_in, last.bitrate_out, loss_percent) = (Bitrate::ZERO, Bitrate::ZERO, 0);
        }
        Some(Health { stats: last, loss_percent })
    }

    /// Takes a snapshot; returns what is to be told.
    fn measure(&mut self, stats: &SessionStats, publishing: bool) -> Option<Measured> {
        let last = std::mem::replace(&mut self.last, *stats);
        let loss = if publishing {
            let lost = stats.lost_in.saturating_sub(last.lost_in);
            let arrived = stats.packets_in.saturating_sub(last.packets_in);
            lost.saturating_mul(100).checked_div(lost.saturating_add(arrived)).unwrap_or(0)
        } else {
            u64::from(stats.fraction_lost_out) * 100 / 256
        };
        let rtt = u64::try_from(stats.rtt.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX);
        let fitting = LEVELS.iter().find(|(max_loss, max_rtt, _)| loss <= *max_loss && rtt <= *max_rtt);
        let level = fitting.map_or(0, |(_, _, level)| *level);

        self.loss_percent = u8::try_from(loss).unwrap_or(100);
        let settled = self.seen.replace(level) == Some(level);
        if !settled || self.told == Some(level) {
            return None;
        }
        self.told = Some(level);
        let rtt_ms = u32::try_from(rtt).unwrap_or(u32::MAX);
        Some(Measured { rtt_ms, loss_percent: self.loss_percent, level })
    }
}

impl Rooms {
    pub(super) fn measured(&mut self, now: Instant, id: SessionId, stats: &SessionStats) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let purpose = session.purpose;
        session.quality.at = now;
        if let Some(estimate) = stats.estimate {
            let (estimate_bps, sent_bps) = (estimate.as_bps(), stats.bitrate_out.as_bps());
            debug!(session = id.index, estimate_bps, sent_bps, "measured");
        }
        let publishing = matches!(purpose, Purpose::Publishing(_));
        let Some(Measured { rtt_ms, loss_percent, level }) = session.quality.measure(stats, publishing)
        else {
            return;
        };
        let (link, sid) = match purpose {
            Purpose::Watching(link) => (Some(link), None),
            Purpose::Publishing(stream) => {
                (self.streams.get(&stream).map(|published| published.link), Some(stream.sid))
            }
        };
        if let Some(link) = link {
            self.tell(link, Notice::Quality { sid, watching: sid.is_none(), rtt_ms, loss_percent, level });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(fraction_lost_out: u8, rtt_ms: u64) -> SessionStats {
        SessionStats {
            fraction_lost_out,
            rtt: Some(Duration::from_millis(rtt_ms)),
            ..SessionStats::default()
        }
    }

    #[test]
    fn a_level_is_told_when_two_measurements_agree_and_only_once() {
        let mut quality = Quality::default();
        let good = outgoing(0, 40);
        assert_eq!(quality.measure(&good, false), None);
        assert_eq!(quality.measure(&good, false), Some(Measured { rtt_ms: 40, loss_percent: 0, level: 4 }));
        assert_eq!(quality.measure(&good, false), None);
        assert_eq!(quality.measure(&outgoing(60, 40), false), None);
        assert_eq!(quality.measure(&good, false), None);
    }

    #[test]
    fn a_publishers_loss_is_that_of_the_last_second() {
        let mut quality = Quality::default();
        let mut stats = SessionStats { packets_in: 1000, lost_in: 0, ..SessionStats::default() };
        quality.measure(&stats, true);
        quality.measure(&stats, true);
        stats.packets_in += 80;
        stats.lost_in += 20;
        quality.measure(&stats, true);
        stats.packets_in += 80;
        stats.lost_in += 20;
        let told = quality.measure(&stats, true);
        assert_eq!(told, Some(Measured { rtt_ms: 0, loss_percent: 20, level: 0 }));
    }
}
