//! The packets of Chromium's camera as they came.

use std::time::Duration;

/// When each packet of two seconds came, in microseconds, and the bytes of its payload.
const RECORDED: &str = include_str!("../../tests/fixtures/arrivals/chromium-vp8.txt");
/// What comes closer together than this is one burst.
const TOGETHER_US: u64 = 500;

/// Packets that came together.
pub(crate) struct Burst {
    /// Since the burst before.
    pub(crate) pause: Duration,
    /// Since the first packet of the burst.
    pub(crate) after: Vec<Duration>,
    /// Bytes of payload.
    pub(crate) sizes: Vec<usize>,
}

/// The recording.
pub(crate) fn bursts() -> Vec<Burst> {
    let (mut bursts, mut first, mut last): (Vec<Burst>, _, _) = (Vec::new(), 0, 0);
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ').take(2).map(|field| field.parse::<u64>().expect("a number"));
        let (at, size) = (fields.next().expect("a time"), fields.next().expect("a size"));
        if bursts.is_empty() || at - last > TOGETHER_US {
            let pause = Duration::from_micros(at - last);
            bursts.push(Burst { pause, after: Vec::new(), sizes: Vec::new() });
            first = at;
        }
        let burst = bursts.last_mut().expect("one was just begun");
        burst.after.push(Duration::from_micros(at - first));
        burst.sizes.push(size as usize);
        last = at;
    }
    bursts
}
