//! How a link is described on the command line, and the simulator's time beside ours.

use std::time::{Duration, Instant};

use millrace_core::units;
use millrace_sim::bottleneck::{Bottleneck, Depth, Schedule};
use millrace_sim::loss::Loss;

/// Stands for "as fast as it comes".
const UNLIMITED_KBPS: u64 = 10_000_000;

/// One direction: `rate=3000,delay=20,jitter=0,loss=5,queue=300`, in kbit/s, milliseconds and percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Impairment {
    /// kbit/s.
    pub rate: u64,
    /// Milliseconds from the end of the queue to the receiver.
    pub delay: u64,
    /// Milliseconds more, at most; nothing is overtaken.
    pub jitter: u64,
    /// Percent, each packet by itself; `None`: 5 % in bursts.
    pub loss: Option<f64>,
    /// Milliseconds that a packet may wait at most.
    pub queue: u64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self { rate: UNLIMITED_KBPS, delay: 0, jitter: 0, loss: Some(0.0), queue: 300 }
    }
}

impl std::str::FromStr for Impairment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no NAME=VALUE"))?;
            let number = || value.parse().map_err(|_| format!("{name} wants a number, not `{value}`"));
            match name {
                "rate" => all.rate = number()?,
                "delay" => all.delay = number()?,
                "jitter" => all.jitter = number()?,
                "queue" => all.queue = number()?,
                "loss" if value == "bursts" => all.loss = None,
                "loss" => {
                    let percent: f64 =
                        value.parse().map_err(|_| format!("loss wants percent, not `{value}`"))?;
                    all.loss = Some(percent);
                }
                _ => return Err(format!("`{name}` is none of rate, delay, jitter, loss, queue")),
            }
        }
        if all.rate == 0 || all.loss.is_some_and(|loss| !(0.0..=100.0).contains(&loss)) {
            return Err("a rate is above 0, and loss is between 0 and 100 percent".to_owned());
        }
        Ok(all)
    }
}

impl Impairment {
    /// The link, with these rates from a time on in place of its own.
    pub(crate) fn link(&self, schedule: &[(u64, u64)], zero: units::Instant) -> Bottleneck {
        let schedule = if schedule.is_empty() {
            Schedule::constant(units::Bitrate::from_kbps(self.rate))
        } else {
            let steps: Vec<_> = schedule.iter().map(|(second, kbps)| (second * 1000, *kbps)).collect();
            Schedule::steps(zero, &steps)
        };
        let mut link = Bottleneck::new(schedule);
        link.delay = Duration::from_millis(self.delay);
        link.jitter = Duration::from_millis(self.jitter);
        link.depth = Depth::Time(Duration::from_millis(self.queue));
        link.loss = self.loss.map_or_else(Loss::bursts, |percent| Loss::Random(percent / 100.0));
        link
    }
}

/// `5:600,10:3000`: from second 5 on 600 kbit/s, from second 10 on 3000. The first counts from the beginning.
pub fn schedule(text: &str) -> Result<Vec<(u64, u64)>, String> {
    let step = |part: &str| {
        let (second, kbps) = part.split_once(':')?;
        Some((second.parse().ok()?, kbps.parse().ok().filter(|kbps| *kbps > 0)?))
    };
    let steps: Option<Vec<(u64, u64)>> = text.split(',').map(step).collect();
    steps
        .filter(|steps| steps.is_sorted_by_key(|(second, _)| *second))
        .ok_or_else(|| "a schedule is SECOND:KBPS,SECOND:KBPS,.. in ascending order".to_owned())
}

/// Our time as the simulator counts it.
pub(crate) fn at(began: Instant, now: Instant) -> units::Instant {
    units::Instant::ZERO + now.duration_since(began)
}

/// And back.
pub(crate) fn instant(began: Instant, at: units::Instant) -> Instant {
    began + Duration::from_micros(at.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_described_in_a_few_words() {
        let link: Impairment = "rate=3000,delay=20,loss=5,queue=250".parse().expect("well-formed");
        assert_eq!(link, Impairment { rate: 3000, delay: 20, jitter: 0, loss: Some(5.0), queue: 250 });
        assert_eq!("loss=bursts".parse::<Impairment>().expect("well-formed").loss, None);
        for wrong in ["rate", "rate=fast", "loss=101", "rate=0", "colour=3"] {
            assert!(wrong.parse::<Impairment>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_schedule_ascends() {
        assert_eq!(schedule("0:3000,20:600"), Ok(vec![(0, 3000), (20, 600)]));
        for wrong in ["", "5", "5:0", "5:100,1:100"] {
            assert!(schedule(wrong).is_err(), "{wrong}");
        }
    }
}
