//! What a load test does, as data: groups of clients that come, publish, watch and leave.

pub mod attend;
pub mod elsewhere;
pub mod janus;
pub mod known;
pub mod run;
mod sampler;
mod views;
pub mod whip;

use std::time::Duration;

use serde::Deserialize;

use crate::drive::Link;
use crate::publisher::{EncodingPlan, FPS, Plan, Video};
use crate::relay::Impairment;

/// A load test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it is called.
    #[serde(default = "unnamed")]
    pub name: String,
    /// Length of the measured part.
    #[serde(default = "seconds")]
    pub seconds: u64,
    /// Rooms; every one gets all of the cohorts.
    #[serde(default = "one")]
    pub rooms: usize,
    /// The same seed, the same losses.
    #[serde(default)]
    pub seed: u64,
    /// Who comes, in this order.
    #[serde(rename = "cohort")]
    pub cohorts: Vec<Cohort>,
}

/// Clients that do the same, and are reported together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cohort {
    /// What they are called.
    pub name: String,
    /// How many, in each room.
    pub count: usize,
    /// They come while it is measured, not before.
    #[serde(default)]
    pub during: bool,
    /// How many come in a second, whether those before have arrived or not; else as `joins` says.
    pub rate: Option<f64>,
    /// How many join at the same time: the next comes when one has arrived.
    #[serde(default = "joins")]
    pub joins: usize,
    /// When they leave.
    #[serde(default)]
    pub stay: Stay,
    /// What they publish.
    pub publish: Option<Publishing>,
    /// What they watch.
    pub watch: Option<Watching>,
    /// What their links do to what the server sends, as `millrace-load relay` takes it.
    #[serde(default, deserialize_with = "impairment")]
    pub down: Impairment,
    /// What their links do to what they send.
    #[serde(default, deserialize_with = "impairment")]
    pub up: Impairment,
    /// Share of the viewers that open every packet, put frames together and check them, 0 to 1.
    #[serde(default = "check_share")]
    pub check_share: f64,
    /// Share of the viewers that are made of other people's code, 0 to 1.
    #[serde(default = "reference_share")]
    pub reference_share: f64,
}

/// When a client leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stay {
    /// At the end.
    #[default]
    End,
    /// When it has its first whole frame.
    FirstFrame,
    /// After so many seconds.
    Seconds(f64),
}

/// What a client publishes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publishing {
    /// Picture or not.
    pub video: bool,
    /// What it is made of.
    pub media: Video,
    /// Sound or not.
    pub audio: bool,
    /// Three simulcast layers.
    pub simulcast: bool,
    /// Of synthetic packets: kbit/s of RTP packets in all.
    pub bitrate: u32,
    /// Bytes of an RTP packet.
    pub packet: u16,
    /// Of synthetic packets: those that leave at once, a frame.
    pub burst: u16,
    /// They talk in turns, not all at once.
    pub turns: bool,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            video: true,
            media: Video::Packets,
            audio: true,
            simulcast: true,
            bitrate: 1920,
            packet: 1200,
            burst: 8,
            turns: false,
        }
    }
}

impl Publishing {
    /// What its publisher does.
    pub fn plan(&self) -> Plan {
        let packets = f64::from(self.bitrate.max(1)) * 1000.0 / 8.0 / f64::from(self.packet.max(1));
        let burst = self.burst.max(1);
        let encoding = |rid: &str, size, burst: u16| EncodingPlan {
            rid: self.simulcast.then(|| rid.to_owned()),
            width: 320u16 << size,
            height: 180u16 << size,
            burst: burst.max(1),
            size,
        };
        let encodings = match (self.video, self.simulcast) {
            (false, _) => vec![],
            (true, true) => vec![
                encoding("q", 0, burst / 8),
                encoding("h", 1, burst / 4),
                encoding("f", 2, burst.saturating_sub(burst / 8 + burst / 4)),
            ],
            (true, false) => vec![encoding("", 2, burst)],
        };
        let per_frame: u16 = encodings.iter().map(|e| e.burst).sum();
        let seconds = match self.media {
            Video::Packets => f64::from(per_frame.max(1)) / packets,
            Video::Vp8 | Video::H264 => 1.0 / FPS,
        };
        Plan {
            video: self.media,
            frame: Duration::from_secs_f64(seconds),
            packet: self.packet.into(),
            audio: self.audio,
            encodings,
            key_every: None,
            turn: None,
        }
    }
}

/// What a client watches.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Watching {
    /// Pictures or not.
    pub video: bool,
    /// Sound or not.
    pub audio: bool,
    /// Tiles on the screen: of more streams, those that talked last are seen, all are heard. 0: all streams.
    pub tiles: usize,
    /// A tile in device pixels.
    pub tile: (u16, u16),
}

impl Default for Watching {
    fn default() -> Self {
        Self { video: true, audio: true, tiles: 0, tile: (1280, 720) }
    }
}

/// How tiles fill a screen: `1`, or `3x3` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout(pub u16);

impl std::str::FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (a, b) = text.split_once('x').unwrap_or((text, text));
        match (a.parse::<u16>(), b.parse::<u16>()) {
            (Ok(a), Ok(b)) if a == b && (1..=7).contains(&a) => Ok(Self(a)),
            _ => Err(format!("a layout is 1, 3x3, 4x4 or 5x5, not `{text}`")),
        }
    }
}

impl Layout {
    /// Tiles of it on a screen of 1280x720.
    pub fn watching(self) -> Watching {
        let side = usize::from(self.0);
        Watching { tiles: side * side, tile: (1280 / self.0, 720 / self.0), ..Watching::default() }
    }
}

impl Cohort {
    /// A cohort that does nothing yet.
    pub fn new(name: &str, count: usize) -> Self {
        Self {
            name: name.to_owned(),
            count,
            during: false,
            rate: None,
            joins: joins(),
            stay: Stay::End,
            publish: None,
            watch: None,
            down: Impairment::default(),
            up: Impairment::default(),
            check_share: check_share(),
            reference_share: reference_share(),
        }
    }

    /// Its clients' links.
    pub fn link(&self) -> Link {
        Link { down: self.down.clone(), up: self.up.clone() }
    }

    /// Whether client number `n` is one of a share of them, spread evenly. The first is one of every share.
    pub fn is_one_of(share: f64, n: usize) -> bool {
        let count = |n: usize| (n as f64 * share).ceil();
        count(n + 1) > count(n)
    }
}

impl Scenario {
    /// Reads it from TOML.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        let wrong = |cohort: &&Cohort| {
            cohort.rate.is_some_and(|rate| rate <= 0.0) || cohort.joins == 0 || cohort.count == 0
        };
        match scenario.cohorts.iter().find(wrong) {
            Some(cohort) => Err(format!("{}: count, joins and rate are above 0", cohort.name)),
            None => Ok(scenario),
        }
    }
}

fn unnamed() -> String {
    "file".to_owned()
}

fn seconds() -> u64 {
    20
}

fn one() -> usize {
    1
}

fn joins() -> usize {
    8
}

fn check_share() -> f64 {
    0.02
}

fn reference_share() -> f64 {
    0.01
}

fn impairment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Impairment, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_rate_that_was_asked_for() {
        let publishing = Publishing { simulcast: false, audio: false, ..Publishing::default() };
        let plan = publishing.plan();
        assert_eq!(plan.frame, Duration::from_millis(40), "200 packets a second in bursts of 8");
        assert_eq!(plan.encodings.iter().map(|e| e.burst).sum::<u16>(), 8);
    }

    #[test]
    fn a_share_is_spread_evenly() {
        let count = |share, of| (0..of).filter(|n| Cohort::is_one_of(share, *n)).count();
        assert_eq!((count(0.02, 100), count(1.0, 100), count(0.0, 100)), (2, 100, 0));
        assert_eq!((count(0.5, 10), count(0.02, 3)), (5, 1));
    }

    #[test]
    fn a_scenario_is_read_from_a_file() {
        let scenario = Scenario::parse(include_str!("../../town-hall.toml")).expect("well-formed");
        assert_eq!((scenario.name.as_str(), scenario.seconds, scenario.rooms), ("town hall", 15, 1));
        let [stage, audience, late] = scenario.cohorts.as_slice() else { panic!("three cohorts") };
        assert_eq!(stage.publish.as_ref().map(|p| (p.media, p.turns)), Some((Video::Vp8, true)));
        assert_eq!(audience.watch.as_ref().map(|watch| watch.tile), Some((640, 360)));
        assert_eq!((late.stay, late.down.delay, late.during), (Stay::Seconds(5.0), 40, true));
        for wrong in
            ["seconds = 3", "[[cohort]]\nname = 'a'\ncount = 0", "[[cohort]]\nname = 'a'\ncount = 1\nx = 1"]
        {
            assert!(Scenario::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn layouts_are_square() {
        assert_eq!("3x3".parse::<Layout>().map(|l| l.watching().tiles), Ok(9));
        assert_eq!("1".parse::<Layout>().map(|l| l.watching().tile), Ok((1280, 720)));
        assert!("3x4".parse::<Layout>().is_err());
    }
}
