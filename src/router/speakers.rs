//! Who is talking, by the audio level extension (RFC 6464).

use super::id::TrackId;
use crate::units::{Duration, Instant};

/// At most one change in this time.
const EVERY: Duration = Duration::from_millis(200);
/// The most that are named.
const MOST: usize = 8;
/// Loudness is 127 less the level in -dBov, in 16ths: one talks from -50 dBov on, and until below -60.
const ON: u16 = 77 * 16;
const OFF: u16 = 67 * 16;

#[derive(Debug)]
struct Voice {
    track: TrackId,
    /// Smoothed, in 16ths.
    loudness: u16,
    talking: bool,
    heard: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    voices: Vec<Voice>,
    told: Vec<TrackId>,
    told_at: Option<Instant>,
    changed: bool,
}

impl Speakers {
    /// A packet of a track came with this level, the extension's byte.
    pub(crate) fn hear(&mut self, track: TrackId, level: u8, now: Instant) {
        let loudness = u16::from(127 - (level & 0x7f)) * 16;
        match self.voices.iter_mut().find(|v| v.track == track) {
            Some(voice) => {
                // Rises within some 100 ms, falls within half a second.
                let weight = if loudness > voice.loudness { 4 } else { 16 };
                voice.loudness =
                    (u32::from(voice.loudness) * (weight - 1) / weight + u32::from(loudness) / weight) as u16;
                voice.heard = now;
            }
            None => self.voices.push(Voice { track, loudness: loudness / 4, talking: false, heard: now }),
        }
    }

    /// The track is gone or muted.
    pub(crate) fn forget(&mut self, track: TrackId) {
        self.voices.retain(|v| v.track != track);
    }

    /// Finds out who is talking now.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.told_at.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        for voice in &mut self.voices {
            // Who sends nothing for so long is silent, whatever was heard last (DTX sends every 400 ms).
            if now.since(voice.heard) > Duration::from_millis(600) {
                voice.loudness = 0;
            }
            voice.talking = voice.loudness >= if voice.talking { OFF } else { ON };
        }
        let mut talking: Vec<_> =
            self.voices.iter().filter(|v| v.talking).map(|v| (v.loudness / 64, v.track)).collect();
        // Near equals keep their order, so that it does not flutter.
        let place = |track: &TrackId| self.told.iter().position(|t| t == track).unwrap_or(MOST);
        talking.sort_by_key(|(loudness, track)| (std::cmp::Reverse(*loudness), place(track), *track));
        let talking: Vec<_> = talking.into_iter().map(|(_, track)| track).take(MOST).collect();
        if talking != self.told {
            self.told = talking;
            self.told_at = Some(now);
            self.changed = true;
        }
    }

    /// Who is talking, if that changed.
    pub(crate) fn news(&mut self) -> Option<Vec<TrackId>> {
        std::mem::take(&mut self.changed).then(|| self.told.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TrackId = TrackId { index: 1, generation: 0 };
    const B: TrackId = TrackId { index: 2, generation: 0 };

    #[test]
    fn one_talks_until_silent_for_a_while() {
        let mut speakers = Speakers::default();
        let mut told = Vec::new();
        for n in 0..200u64 {
            let now = Instant::from_millis(n * 20);
            speakers.hear(A, if (50..100).contains(&n) { 0x80 | 30 } else { 127 }, now);
            speakers.hear(B, 127, now);
            if n % 5 == 0 {
                speakers.tick(now);
            }
            told.extend(speakers.news().map(|who| (n, who)));
        }
        let [(began, first), (ended, second)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&first[..], &second[..]), (&[A][..], &[][..]));
        assert!((50..=65).contains(began) && (101..=135).contains(ended), "{told:?}");
    }

    #[test]
    fn a_short_noise_is_not_talking() {
        let mut speakers = Speakers::default();
        for n in 0..50u64 {
            speakers.hear(A, if n == 20 { 20 } else { 127 }, Instant::from_millis(n * 20));
            speakers.tick(Instant::from_millis(n * 20));
        }
        assert_eq!(speakers.news(), None);
    }

    #[test]
    fn who_stops_sending_stops_talking() {
        let mut speakers = Speakers::default();
        for n in 0..20u64 {
            speakers.hear(A, 20, Instant::from_millis(n * 20));
        }
        speakers.tick(Instant::from_millis(400));
        assert_eq!(speakers.news(), Some(vec![A]));
        speakers.tick(Instant::from_millis(1100));
        assert_eq!(speakers.news(), Some(vec![]));
    }
}
