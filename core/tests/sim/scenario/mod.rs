//! Scenarios: viewers behind a link with a story, two sources that could fill it, and what became of it.

pub mod figures;
pub mod list;

use millrace::router::id::LayerId;
use millrace::units::{Bitrate, Duration, Instant};

use super::bottleneck::{Bottleneck, Passage};
use super::browser::frames::Shown;
use super::network::Link;
use super::tcp::Download;
use super::{World, tile};
use figures::Figures;

/// What each source sends: three layers, and two sources: 4.3 Mbit/s altogether, of which a viewer can have 3.
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const RATES_KBPS: [u64; 3] = [150, 500, 1500];
const SOURCES: u16 = 2;
/// What publishers have upwards: an encoder's bursts are spread by it, as a browser's pacer does.
const UPLINK: Bitrate = Bitrate::from_kbps(12_000);
/// How often everything is looked at.
pub const SAMPLE: Duration = Duration::from_millis(100);
/// The download's name at the bottleneck.
pub const DOWNLOAD: usize = usize::MAX;

/// What happens, and what must hold.
pub struct Scenario {
    pub name: &'static str,
    /// In a few words.
    pub story: &'static str,
    pub seconds: u64,
    pub viewers: usize,
    /// The link, for a story that begins at this time.
    pub link: fn(Instant) -> Bottleneck,
    /// From the viewers back to the server.
    pub back: Duration,
    /// When a download begins, in seconds.
    pub download: Option<u64>,
    /// From when on figures count: before, the estimate is still on its way up.
    pub settled: u64,
    pub bounds: fn(&Outcome) -> Vec<Bound>,
}

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct Bound {
    pub what: &'static str,
    pub value: f64,
    pub holds: bool,
}

impl Bound {
    pub fn at_least(what: &'static str, value: f64, least: f64) -> Self {
        Self { what, value, holds: value >= least }
    }

    pub fn at_most(what: &'static str, value: f64, most: f64) -> Self {
        Self { what, value, holds: value <= most }
    }
}

/// How things stood at one time, for one viewer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the story began.
    pub at: Duration,
    pub link: Bitrate,
    pub estimate: Option<Bitrate>,
    /// What was sent since the last sample.
    pub sent: Bitrate,
    /// The longest that one of its packets had to wait since then.
    pub queue: Duration,
    pub dropped: usize,
    pub layers: Vec<Option<LayerId>>,
}

/// One viewer's part.
pub struct Seen {
    pub samples: Vec<Sample>,
    /// Its packets at the link.
    pub passages: Vec<Passage>,
    /// By slot.
    pub shown: Vec<Vec<Shown>>,
    pub frames_lost: u64,
    pub padding: u64,
    pub nacked: u64,
    pub keyframes_asked: usize,
}

/// What became of it.
pub struct Outcome {
    pub zero: Instant,
    pub seconds: u64,
    pub settled: u64,
    pub link: Bottleneck,
    pub viewers: Vec<Seen>,
}

/// What is printed.
pub struct Verdict {
    pub name: &'static str,
    pub figures: Figures,
    pub bounds: Vec<Bound>,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        self.bounds.iter().all(|b| b.holds)
    }
}

impl Scenario {
    /// Plays it.
    pub fn play(&self, seed: u64) -> Outcome {
        let mut world = World::new(1, seed);
        let rates = RATES_KBPS.map(Bitrate::from_kbps);
        let mut videos = vec![];
        let mut audio = None;
        for n in 0..SOURCES {
            let (place, sound, video) = world.publish(Link::narrow(UPLINK), &SIZES);
            world.publishers.get_mut(&place).expect("is there").encode_differently(&rates, seed);
            audio.get_or_insert(sound);
            videos.push(video);
            // Their frames do not come together.
            world.run_ms(1000 + 13 * u64::from(n));
        }
        let viewers: Vec<_> = (0..self.viewers)
            .map(|_| {
                let mut link = Link::good();
                link.delay = self.back;
                let viewer = world.browse(link, SOURCES);
                world.narrow(viewer, 0);
                viewer
            })
            .collect();
        let zero = world.now + Duration::from_secs(1);
        world.bottlenecks.push((self.link)(zero));
        if let Some(at) = self.download {
            let download = Download::new(DOWNLOAD, zero + Duration::from_secs(at), self.back);
            world.downloads.push((0, download));
        }
        world.run_ms(1000);
        for viewer in &viewers {
            world.watch(*viewer, 0, audio, tile(0, 0));
            for (slot, video) in (1..).zip(&videos) {
                world.watch(*viewer, slot, Some(*video), tile(1280, 720));
            }
        }
        let mut samples = vec![vec![]; viewers.len()];
        let mut logged = world.bottlenecks[0].log.len();
        while world.now < zero + Duration::from_secs(self.seconds) {
            world.run(SAMPLE);
            for (viewer, samples) in viewers.iter().zip(&mut samples) {
                samples.push(sample(&world, *viewer, zero, logged));
            }
            logged = world.bottlenecks[0].log.len();
        }
        let seen = viewers.iter().zip(samples).map(|(viewer, samples)| seen(&world, *viewer, samples));
        Outcome {
            zero,
            seconds: self.seconds,
            settled: self.settled,
            viewers: seen.collect(),
            link: world.bottlenecks.remove(0),
        }
    }

    /// Plays it and judges.
    pub fn judge(&self, seed: u64) -> (Outcome, Verdict) {
        let outcome = self.play(seed);
        let (figures, bounds) = (Figures::of(&outcome), (self.bounds)(&outcome));
        (outcome, Verdict { name: self.name, figures, bounds })
    }
}

fn sample(world: &World, viewer: usize, zero: Instant, logged: usize) -> Sample {
    let link = &world.bottlenecks[0];
    let ours = || link.log[logged..].iter().filter(|p| p.flow == viewer);
    Sample {
        at: world.now.since(zero),
        link: link.schedule.rate(world.now - SAMPLE),
        estimate: world.estimate(viewer),
        sent: Bitrate::of(ours().map(|p| p.bytes as u64).sum(), SAMPLE),
        queue: ours().filter_map(|p| p.queued).max().unwrap_or_default(),
        dropped: ours().filter(|p| p.queued.is_none()).count(),
        layers: (1..=SOURCES).map(|slot| world.shown(viewer, slot).and_then(|(layer, _)| layer)).collect(),
    }
}

fn seen(world: &World, viewer: usize, samples: Vec<Sample>) -> Seen {
    let browser = world.browser(viewer);
    let videos = || (1..=SOURCES).map(|slot| browser.slot(slot));
    Seen {
        samples,
        passages: world.bottlenecks[0].log.iter().filter(|p| p.flow == viewer).copied().collect(),
        shown: videos().map(|slot| slot.frames.shown.clone()).collect(),
        frames_lost: videos().map(|slot| slot.frames.lost(world.now - Duration::from_secs(1))).sum(),
        padding: browser.padding,
        nacked: videos().map(|slot| slot.nack.asked).sum(),
        keyframes_asked: videos().map(|slot| slot.frames.plis.len()).sum(),
    }
}
