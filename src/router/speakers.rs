//! Who is talking, by the audio level extension (RFC 6464), and who of them dominates: after Volfin and Cohen,
//! "Dominant Speaker Identification for Multipoint Videoconferencing" (2008).
//!
//! Speech is looked at on three scales: how loud it is now, how much of the last half second it fills, and how much of
//! the last second. On each scale the score is how much likelier what was heard is for speech than for none. Whoever
//! talks stays ahead of everyone who does not beat it on all three: a cough wins the first, a word the second, and only
//! who goes on talking the third.

use super::id::TrackId;
use crate::units::{Duration, Instant};

/// Changes of who is talking are told at most this often.
const EVERY: Duration = Duration::from_millis(200);
/// The most that are ranked, of all rooms together.
const MOST: usize = 256;
/// A frame of sound, as nearly all send it; a gap is counted in frames.
const FRAME: Duration = Duration::from_millis(20);
/// Loudness is 127 less the level in -dBov: a frame is speech from -50 dBov on ...
const SPEECH: u8 = 77;
/// ... if it is as much above the least of late, which rises by one in so many frames: a fan is no speech.
const ABOVE_FLOOR: u8 = 9;
const FLOOR_RISES: u16 = 25;
/// Below -60 dBov nobody misses anything.
const HUSHED: u8 = 67;
/// One talks with so many frames of speech among the last few ...
const ONSET: (u32, u64) = (3, 0b11_1111);
/// ... until this long without any ...
const TALKS_ON: u32 = 40;
/// ... and after this long below [`HUSHED`] nothing needs to be sent.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// The medium scale: frames of the last half second.
const MEDIUM: u32 = 25;
/// The long scale: blocks of frames, and how many of a block make it speech.
const LONG: u32 = 12;
const BLOCK: u32 = 5;
const BLOCK_SPEECH: u32 = 3;
/// The short scale: steps of loudness, and where they begin.
const SHORT: u32 = 12;
const STEP: u8 = 4;

/// What is heard of one track.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Voice {
    /// Which of the last frames were speech, the newest lowest.
    frames: u64,
    heard: Option<Instant>,
    loudness: u8,
    floor: u8,
    frames_to_rise: u16,
    /// When it was last above [`HUSHED`].
    audible: Instant,
    pub(crate) talking: bool,
    /// Nothing needs to be sent of it.
    pub(crate) quiet: bool,
    /// When it last talked.
    pub(crate) talked: Instant,
}

impl Voice {
    /// A packet came with this level, the extension's byte. True if it began to talk or to be heard.
    pub(crate) fn hear(&mut self, level: u8, now: Instant) -> bool {
        let before = (self.talking, self.quiet);
        let gap = self.heard.replace(now).map_or(0, |heard| now.since(heard).as_millis());
        let passed = (gap / FRAME.as_millis()) as u32;
        // What jitter brought late was spoken in time.
        self.shift(if passed > 3 { passed } else { 1 });
        if before == (false, false) && self.audible == Instant::ZERO {
            self.audible = now;
        }
        self.loudness = 127 - (level & 0x7f);
        self.frames_to_rise += 1;
        if self.loudness < self.floor {
            self.floor = self.loudness;
        } else if self.frames_to_rise >= FLOOR_RISES {
            self.floor = self.floor.saturating_add(1);
            self.frames_to_rise = 0;
        }
        let speech = self.loudness >= SPEECH.max(self.floor.saturating_add(ABOVE_FLOOR));
        self.frames |= u64::from(speech);
        if self.loudness >= HUSHED {
            self.audible = now;
            self.quiet = false;
        }
        if (self.frames & ONSET.1).count_ones() >= ONSET.0 {
            self.talking = true;
        }
        if self.talking && speech {
            self.talked = now;
        }
        before != (self.talking, self.quiet)
    }

    /// Lets time pass. True if it ceased to talk or to be heard.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let Some(heard) = self.heard else { return false };
        let before = (self.talking, self.quiet);
        // Who sends nothing for so long is silent, whatever was heard last (DTX sends every 400 ms).
        let gap = now.since(heard);
        let since_speech = self.frames.trailing_zeros().saturating_add((gap.as_millis() / 20) as u32);
        self.talking &= since_speech < TALKS_ON;
        self.quiet |= now.since(self.audible) >= QUIET_AFTER;
        before != (self.talking, self.quiet)
    }

    /// Forgets everything: the track is muted.
    pub(crate) fn forget(&mut self) {
        *self = Self { talked: self.talked, ..Self::default() };
    }

    fn shift(&mut self, frames: u32) {
        self.frames = self.frames.checked_shl(frames).unwrap_or(0);
    }

    fn activity(&self) -> Activity {
        Activity {
            short: (self.loudness.saturating_sub(SPEECH) / STEP).min(SHORT as u8),
            medium: self.medium() as u8,
            long: self.long() as u8,
        }
    }

    /// Frames of speech in the last half second.
    pub(crate) const fn medium(&self) -> u32 {
        (self.frames & ((1 << MEDIUM) - 1)).count_ones()
    }

    /// Blocks of speech in the last second and a bit.
    pub(crate) fn long(&self) -> u32 {
        let block = |at: u32| (self.frames >> (at * BLOCK) & ((1 << BLOCK) - 1)).count_ones();
        (0..LONG).filter(|at| block(*at) >= BLOCK_SPEECH).count() as u32
    }
}

/// How much somebody talks, on the three scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Steps of loudness now.
    pub short: u8,
    /// Frames of speech in the last half second.
    pub medium: u8,
    /// Blocks of speech in the last second and a bit.
    pub long: u8,
}

impl Activity {
    /// Whether it takes the lead from another.
    fn beats(self, other: Self) -> bool {
        // The score grows with what is scored, so most are told apart without it.
        let ahead = |ours: u8, theirs: u8, of, rate, by| {
            ours > theirs && score(ours.into(), of, rate) - score(theirs.into(), of, rate) > by
        };
        ahead(self.short, other.short, SHORT, 3.0, 0.0)
            && ahead(self.medium, other.medium, MEDIUM, 4.0, 2.0)
            && ahead(self.long, other.long, LONG, 3.0, 0.0)
    }
}

/// Who talks, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talker {
    /// Whose sound.
    pub track: TrackId,
    /// How much.
    pub activity: Activity,
}

/// How much likelier it is, in logarithms, that `active` of `count` parts are speech (half of them are, binomially)
/// than that none is (few are, exponentially with `rate`): equation 9 of the paper, without what is constant.
fn score(active: u32, count: u32, rate: f32) -> f32 {
    let ways = (1..=active).map(|k| ((count + 1 - k) as f32 / k as f32).ln());
    ways.sum::<f32>() + rate * active as f32
}

/// The order of those who talk, the dominant first. Each shard has one of its own voices, and the control plane one of all
/// shards' together.
#[derive(Debug, Default)]
pub struct Ranking(Vec<Talker>);

impl Ranking {
    /// Orders those who talk now: who led goes on leading until beaten, or silent.
    pub fn rank(&mut self, talkers: &[Talker]) {
        let now = |track: TrackId| talkers.iter().find(|talker| talker.track == track);
        self.0.retain_mut(|known| {
            now(known.track).is_some_and(|talker| {
                *known = *talker;
                true
            })
        });
        for talker in talkers {
            if self.0.iter().all(|known| known.track != talker.track) && self.0.len() < MOST {
                self.0.push(*talker);
            }
        }
        for at in 1..self.0.len() {
            let Some(challenger) = self.0.get(at).copied() else { continue };
            // Those between may be of other rooms: whom it does not beat there it passes all the same.
            let mut ahead = self.0.iter().take(at);
            if let Some(place) = ahead.position(|known| challenger.activity.beats(known.activity)) {
                self.0.remove(at);
                self.0.insert(place, challenger);
            }
        }
    }

    /// Who talks, the dominant first.
    pub fn talkers(&self) -> &[Talker] {
        &self.0
    }
}

/// Who is talking, of all tracks that are published here.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    ranking: Ranking,
    told: Vec<TrackId>,
    told_at: Option<Instant>,
    changed: bool,
}

impl Speakers {
    /// Finds out who is talking now, given all who are. Where other shards' voices are to be compared with ours, how much
    /// each talks is news as well.
    pub(crate) fn tick(&mut self, now: Instant, voices: &[(TrackId, Voice)], compared: bool) {
        let talker = |(track, voice): &(TrackId, Voice)| Talker { track: *track, activity: voice.activity() };
        self.ranking.rank(&voices.iter().map(talker).collect::<Vec<_>>());
        let order = self.ranking.talkers().iter().map(|talker| talker.track);
        let news = compared && !voices.is_empty() || !order.clone().eq(self.told.iter().copied());
        if news && self.told_at.is_none_or(|at| now.since(at) >= EVERY) {
            self.told = order.collect();
            self.told_at = Some(now);
            self.changed = true;
        }
    }

    /// Who is talking, the dominant first, if that changed.
    pub(crate) fn news(&mut self) -> Option<Vec<Talker>> {
        std::mem::take(&mut self.changed).then(|| self.ranking.talkers().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: u8 = 127;

    /// Some people, heard every 20 ms; a tick comes every 100 ms.
    struct Table {
        speakers: Speakers,
        voices: Vec<Voice>,
        now: Instant,
        /// What was told: when, in milliseconds, and who.
        told: Vec<(u64, Vec<u32>)>,
    }

    impl Table {
        fn of(people: usize) -> Self {
            Self {
                speakers: Speakers::default(),
                voices: vec![Voice::default(); people],
                now: Instant::from_millis(1000),
                told: Vec::new(),
            }
        }

        fn hear(&mut self, ms: u64, level: impl Fn(u32, u64) -> u8) {
            for frame in 0..ms / 20 {
                self.now += FRAME;
                for (who, voice) in (0..).zip(&mut self.voices) {
                    voice.hear(level(who, frame), self.now);
                }
                if self.now.as_micros().is_multiple_of(100_000) {
                    self.tick();
                }
            }
        }

        fn tick(&mut self) {
            self.voices.iter_mut().for_each(|v| _ = v.tick(self.now));
            let track = |index| TrackId { index, generation: 0 };
            let talking = (0..).zip(&self.voices).filter(|(_, v)| v.talking);
            let talking: Vec<_> = talking.map(|(who, v)| (track(who), *v)).collect();
            self.speakers.tick(self.now, &talking, false);
            let news = self.speakers.news().map(|who| who.iter().map(|t| t.track.index).collect());
            self.told.extend(news.map(|who| (self.now.as_micros() / 1000, who)));
        }

        fn first(&self) -> Option<u32> {
            self.told.last().and_then(|(_, who)| who.first().copied())
        }
    }

    #[test]
    fn one_talks_until_silent_for_a_while() {
        let mut table = Table::of(2);
        table.hear(1000, |_, _| SILENCE);
        table.hear(1000, |who, _| if who == 0 { 30 } else { SILENCE });
        table.hear(2000, |_, _| SILENCE);
        let [(began, first), (ended, second)] = &table.told[..] else { panic!("{:?}", table.told) };
        assert_eq!((&first[..], &second[..]), (&[0][..], &[][..]));
        assert!((2000..=2200).contains(began) && (3700..=4100).contains(ended), "{:?}", table.told);
    }

    #[test]
    fn a_short_noise_is_not_talking() {
        let mut table = Table::of(1);
        table.hear(2000, |_, frame| if frame == 20 { 20 } else { SILENCE });
        assert_eq!(table.told, []);
    }

    #[test]
    fn who_stops_sending_stops_talking() {
        let mut table = Table::of(1);
        table.hear(400, |_, _| 20);
        assert_eq!(table.first(), Some(0));
        table.now += Duration::from_millis(900);
        table.tick();
        assert_eq!(table.told.last().map(|(_, who)| who.len()), Some(0));
    }

    #[test]
    fn who_takes_over_dominates_within_a_second_and_who_interrupts_does_not() {
        let mut table = Table::of(3);
        table.hear(3000, |who, _| if who == 0 { 30 } else { SILENCE });
        assert_eq!(table.first(), Some(0));
        // A word in between, louder than the speaker.
        table.hear(300, |who, _| [30, 20, SILENCE][who as usize]);
        table.hear(700, |who, _| if who == 0 { 30 } else { SILENCE });
        assert!(table.told.iter().all(|(_, who)| who.first() == Some(&0)), "{:?}", table.told);
        let took_over = table.now.as_micros() / 1000;
        table.hear(2000, |who, _| if who == 2 { 35 } else { SILENCE });
        let named = table.told.iter().find(|(_, who)| who.first() == Some(&2)).map(|(at, _)| *at);
        assert!(named.is_some_and(|at| at - took_over <= 1000), "{:?} after {took_over}", table.told);
    }

    #[test]
    fn a_fan_is_taken_for_speech_for_a_while_only() {
        let mut table = Table::of(1);
        table.hear(60_000, |_, _| 45);
        assert_eq!(table.told.last().map(|(_, who)| who.len()), Some(0), "{:?}", table.told);
    }

    #[test]
    fn what_nobody_hears_need_not_be_sent_and_the_first_sound_is() {
        let mut voice = Voice::default();
        let at = |n: u64| Instant::from_millis(1000 + n * 20);
        (0..150).for_each(|n| _ = (voice.hear(90, at(n)), voice.tick(at(n))));
        assert!(voice.quiet);
        assert!(voice.hear(40, at(150)));
        assert!(!voice.quiet && !voice.talking);
    }
}
