use proptest::prelude::*;

use super::*;
use crate::router::target::{Rung, Target};

/// Rates of the layers of a camera, in kbit/s.
const CAMERA: [u64; 3] = [150, 500, 2500];
const SOUND: Bitrate = Bitrate::from_kbps(40);

fn ask(slot: u16, priority: u8, kbps: &[u64]) -> Ask {
    let mut rungs = Rungs::new();
    for (at, rate) in kbps.iter().enumerate() {
        let rate = Bitrate::from_kbps(*rate);
        rungs.push(Rung { target: Target::whole(at as u8), size: None, rate, opening: 0 });
    }
    Ask {
        slot,
        priority,
        talking: false,
        area: 1000,
        rungs,
        wanted: kbps.len() - 1,
        why: Why::Tile,
        now: None,
        limited: false,
        given: None,
    }
}

/// A viewer, as the router asks for it again and again.
struct Viewer {
    now: Instant,
    allocation: Allocation,
    asks: Vec<Ask>,
    switches: usize,
}

impl Viewer {
    fn new(asks: Vec<Ask>) -> Self {
        let now = Instant::from_millis(1000);
        Self { now, allocation: Allocation::new(now), asks, switches: 0 }
    }

    /// What each slot gets, in the order of the slots.
    fn give(&mut self, kbps: u64) -> Vec<Option<usize>> {
        self.allocation.give_out(self.now, Some(Bitrate::from_kbps(kbps)), Bitrate::ZERO, &mut self.asks);
        for ask in &mut self.asks {
            self.switches += usize::from(ask.given != ask.now);
            ask.now = ask.given;
            ask.limited = ask.given != Some(ask.wanted);
        }
        self.asks.sort_by_key(|ask| ask.slot);
        self.asks.iter().map(|ask| ask.given).collect()
    }

    /// The same every 100 ms, as the estimate says at that time.
    fn follow(&mut self, ms: u64, mut kbps: impl FnMut(Instant) -> u64) -> Vec<Option<usize>> {
        let mut given = Vec::new();
        for _ in 0..ms / 100 {
            self.now += Duration::from_millis(100);
            let budget = kbps(self.now);
            if self.allocation.is_due(Some(Bitrate::from_kbps(budget)))
                || self.now.as_micros().is_multiple_of(1_000_000)
            {
                given = self.give(budget);
            }
        }
        given
    }
}

/// A number from 0 to 1 that differs from time to time.
fn noise(now: Instant, seed: u64) -> f64 {
    let z = (now.as_micros() ^ seed << 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn everyone_something_before_anyone_more() {
    let asks = (0..4).map(|slot| ask(slot, 1, &CAMERA)).collect();
    assert_eq!(Viewer::new(asks).give(700), [Some(0); 4]);
    let asks = (0..4).map(|slot| ask(slot, 1, &CAMERA)).collect();
    assert_eq!(Viewer::new(asks).give(1200), [Some(1), Some(0), Some(0), Some(0)]);
}

#[test]
fn the_stage_first_then_who_talks_then_the_larger() {
    let mut asks: Vec<_> = (0..4).map(|slot| ask(slot, 1, &CAMERA)).collect();
    asks[3].priority = 2;
    assert_eq!(Viewer::new(asks.clone()).give(3600), [Some(0), Some(0), Some(0), Some(2)]);
    asks[2].talking = true;
    assert_eq!(Viewer::new(asks.clone()).give(3850), [Some(0), Some(0), Some(1), Some(2)]);
    asks[1].area = 2000;
    assert_eq!(Viewer::new(asks).give(4220), [Some(0), Some(1), Some(1), Some(2)]);
}

#[test]
fn what_does_not_fit_at_all_is_paused_and_sound_is_paid_first() {
    let mut asks = [ask(0, 1, &CAMERA), ask(1, 1, &CAMERA)];
    let mut allocation = Allocation::new(Instant::ZERO);
    let budget = Some(Bitrate::from_kbps(330));
    allocation.give_out(Instant::ZERO, budget, Bitrate::from_kbps(120), &mut asks);
    assert_eq!(asks.map(|ask| ask.given), [Some(0), None]);
    allocation.give_out(Instant::ZERO, Some(Bitrate::from_kbps(50)), Bitrate::from_kbps(120), &mut asks);
    assert_eq!(asks.map(|ask| ask.given), [None, None]);
}

#[test]
fn without_a_budget_everyone_gets_what_it_wants_and_the_estimator_hears_the_sum() {
    let mut asks = [ask(0, 1, &CAMERA), ask(1, 1, &CAMERA)];
    let mut allocation = Allocation::new(Instant::ZERO);
    let all = allocation.give_out(Instant::ZERO, None, SOUND, &mut asks);
    assert_eq!(asks.map(|ask| ask.given), [Some(2), Some(2)]);
    assert!(all >= Bitrate::from_kbps(5040 * 11 / 10), "{all}");
    let few = Some(Bitrate::from_kbps(400));
    assert_eq!(allocation.give_out(Instant::ZERO, few, SOUND, &mut asks), all);
    // With that much it comes true.
    let later = Instant::from_millis(10_000);
    (0..50).for_each(|n| _ = allocation.give_out(later + BETWEEN * n, Some(all), SOUND, &mut asks));
    assert_eq!(asks.map(|ask| ask.given), [Some(2), Some(2)]);
}

#[test]
fn the_only_picture_gets_the_benefit_of_the_doubt_and_less_and_less_often() {
    let mut viewer = Viewer::new(vec![ask(0, 1, &[1_920]), ask(1, 1, &[1_920])]);
    assert_eq!(viewer.give(1_800), [None, None], "the way shows a queue");
    viewer.now += HOLD;
    viewer.allocation.way_is(true);
    assert_eq!(viewer.give(1_800), [Some(0), None]);
    viewer.now += OLD;
    assert_eq!(viewer.give(1_600), [Some(0), None], "it is kept");
    // A way that cannot carry it: there is a queue within a second, and none after it is paused.
    let mut tries = 0;
    for _ in 0..120 {
        let before = viewer.asks[0].given;
        viewer.allocation.way_is(before.is_none());
        viewer.now += Duration::from_secs(1);
        let given = viewer.give(1_600)[0];
        tries += usize::from(before.is_none() && given.is_some());
    }
    assert!((3..12).contains(&tries), "{tries} in two minutes");
    viewer.allocation.way_is(true);
    viewer.now += MAX_HOLD;
    assert_eq!(viewer.give(1_500), [None, None], "too far from it");
}

#[test]
fn down_at_once_and_up_when_it_is_sure() {
    let mut viewer = Viewer::new(vec![ask(0, 1, &CAMERA)]);
    assert_eq!(viewer.follow(5000, |_| 3000), [Some(2)]);
    assert_eq!(viewer.follow(100, |_| 2400), [Some(1)], "at once");
    viewer.follow(1500, |_| 3000);
    assert_eq!(viewer.asks[0].given, Some(1), "not so soon");
    viewer.follow(2000, |_| 3000);
    assert_eq!(viewer.asks[0].given, Some(2), "but then");
}

#[test]
fn a_tile_that_grows_need_not_wait() {
    let mut viewer = Viewer::new(vec![ask(0, 1, &CAMERA), ask(1, 1, &CAMERA)]);
    viewer.asks[0].wanted = 0;
    assert_eq!(viewer.follow(3000, |_| 3000), [Some(0), Some(2)]);
    assert_eq!(viewer.follow(200, |_| 2000), [Some(0), Some(1)]);
    viewer.asks[0].wanted = 1;
    assert_eq!(viewer.give(2000), [Some(1), Some(1)], "though the other must wait");
}

#[test]
fn an_upgrade_that_never_lasts_is_tried_less_and_less_often() {
    // A link of 2.6 Mbit/s whose estimate falls as soon as the large layer is sent.
    let mut viewer = Viewer::new(vec![ask(0, 1, &CAMERA)]);
    let mut sent = Some(0);
    for _ in 0..1200 {
        viewer.now += Duration::from_millis(100);
        let kbps = if sent == Some(2) { 2300 } else { 2900 };
        sent = viewer.give(kbps)[0];
    }
    assert!(viewer.switches <= 14, "{} switches in two minutes", viewer.switches);
    assert!(viewer.switches >= 6, "it is never tried again: {}", viewer.switches);
}

/// Replays a trace of estimates, one every 100 ms; returns switches per minute, and the share of the budget used.
fn replay(minutes: u64, trace: impl Fn(Instant) -> u64) -> (f64, f64) {
    let asks = vec![ask(0, 2, &CAMERA), ask(1, 1, &CAMERA), ask(2, 1, &CAMERA)];
    let mut viewer = Viewer::new(asks);
    let (mut budget, mut used) = (0, 0);
    for _ in 0..minutes * 600 {
        viewer.follow(100, &trace);
        budget += trace(viewer.now).min(7500);
        used += viewer.allocation.used.as_bps() / 1000;
    }
    (viewer.switches as f64 / minutes as f64, used as f64 / budget as f64)
}

#[test]
fn a_noisy_estimate_hardly_switches_anything() {
    // The worst place for each level of noise is searched, not chosen.
    for (percent, most) in [(2, 3.0), (5, 4.0), (10, 12.0)] {
        let worst = (300..8000).step_by(100).map(|kbps| {
            let spread = kbps as f64 * f64::from(percent) / 100.0;
            let trace = |now| (kbps as f64 + (noise(now, kbps) * 2.0 - 1.0) * spread) as u64;
            (replay(2, trace).0, kbps)
        });
        let (switches, kbps) = worst.max_by(|a, b| a.0.total_cmp(&b.0)).expect("some");
        println!("noise of {percent} %: at most {switches} switches per minute, at {kbps} kbit/s");
        assert!(switches <= most, "{switches} per minute at {kbps} kbit/s with noise of {percent} %");
    }
}

#[test]
fn a_link_that_comes_and_goes_is_followed_once_each_time() {
    // 4 and 1 Mbit/s, 15 s each; the estimate falls at once and climbs by 8 % a second, as AIMD does.
    let trace = |now: Instant| {
        let phase = now.as_micros() / 1000 % 30_000;
        let climbed = 900.0 * 1.08f64.powf(phase as f64 / 200.0);
        let kbps = if phase < 15_000 { climbed.min(3900.0) } else { 950.0 };
        (kbps * (0.97 + 0.06 * noise(now, 1))) as u64
    };
    let (switches, used) = replay(5, trace);
    println!("4 <-> 1 Mbit/s: {switches} switches per minute, {:.0} % used", used * 100.0);
    // Two slots go up and down in each half minute, one of them by two steps.
    assert!(switches <= 14.0, "{switches}");
    assert!(used >= 0.6, "{used}");
}

fn ladders() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(20u64..4000, 1..10)
}

fn rising() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(20u64..1500, 1..10)
        .prop_map(|steps| steps.iter().scan(0, |sum, step| Some((*sum += step, *sum).1)).collect())
}

fn any_ask() -> impl Strategy<Value = Ask> {
    (ladders(), any::<(u8, u8, bool, u16, bool)>(), proptest::option::of(0usize..10)).prop_map(
        |(ladder, (priority, wanted, talking, area, limited), now)| {
            let count = ladder.len();
            Ask {
                talking,
                area: area.into(),
                wanted: usize::from(wanted) % count,
                now: now.map(|now| now % count),
                limited,
                ..ask(0, priority % 3, &ladder)
            }
        },
    )
}

fn any_asks() -> impl Strategy<Value = Vec<Ask>> {
    proptest::collection::vec(any_ask(), 1..30).prop_map(|mut asks| {
        asks.iter_mut().zip(0..).for_each(|(ask, slot)| ask.slot = slot);
        asks
    })
}

fn cost(asks: &[Ask]) -> u64 {
    asks.iter().map(|ask| ask.rate(ask.given)).sum()
}

fn budget_of(kbps: u64) -> Option<Bitrate> {
    Some(Bitrate::from_kbps(kbps))
}

proptest! {
    #[test]
    fn never_over_budget_and_never_above_what_is_wanted(
        mut asks in any_asks(),
        budgets in proptest::collection::vec(0u64..30_000, 1..20),
        sound in 0u64..500,
    ) {
        let mut allocation = Allocation::new(Instant::ZERO);
        for (at, kbps) in (0..).zip(budgets) {
            let now = Instant::from_millis(at * 300);
            allocation.give_out(now, budget_of(kbps), Bitrate::from_kbps(sound), &mut asks);
            let pictures = cost(&asks);
            prop_assert!(pictures == 0 || pictures + sound * 1000 <= kbps * 1000);
            prop_assert_eq!(allocation.used.as_bps(), pictures + sound * 1000);
            for ask in &mut asks {
                prop_assert!(ask.given <= Some(ask.wanted));
                ask.limited = ask.given < Some(ask.wanted);
                ask.now = ask.given;
            }
        }
    }

    #[test]
    fn nobody_starves_beside_an_equal(mut asks in any_asks(), kbps in 0u64..30_000) {
        for ask in &mut asks {
            (ask.now, ask.limited) = (None, false);
        }
        Allocation::new(Instant::ZERO).give_out(Instant::ZERO, budget_of(kbps), Bitrate::ZERO, &mut asks);
        for high in asks.iter().filter(|ask| ask.given > Some(ask.least(ask.wanted))) {
            for low in asks.iter().filter(|ask| ask.given.is_none()) {
                // Whoever has nothing could not have had even its least, with everyone else at theirs.
                let before = asks.iter().take_while(|ask| ask.slot != low.slot);
                let leasts: u64 = before.filter(|ask| ask.given.is_some()).map(|ask| ask.rate(Some(ask.least(ask.wanted)))).sum();
                let needed = leasts + low.rate(Some(low.least(low.wanted)));
                prop_assert!(needed + needed / HEADROOM > kbps * 1000, "{} has more, {} nothing", high.slot, low.slot);
            }
        }
    }

    #[test]
    fn nothing_is_left_that_anyone_could_use(mut asks in any_asks(), kbps in 0u64..30_000) {
        for ask in &mut asks {
            (ask.now, ask.limited) = (None, false);
        }
        Allocation::new(Instant::ZERO).give_out(Instant::ZERO, budget_of(kbps), Bitrate::ZERO, &mut asks);
        let used = cost(&asks);
        for ask in asks.iter().filter(|ask| ask.given.is_some()) {
            for better in ask.given.unwrap_or(0) + 1..=ask.wanted {
                let after = used - ask.rate(ask.given) + ask.rate(Some(better));
                prop_assert!(after + after / HEADROOM > kbps * 1000);
            }
        }
    }

    #[test]
    fn more_budget_is_never_less_picture(ladder in rising(), count in 1u16..20, kbps in 0u64..20_000, more in 0u64..5000) {
        let levels = |kbps| {
            let asks = (0..count).map(|slot| ask(slot, 1, &ladder)).collect();
            let mut levels = Viewer::new(asks).give(kbps);
            levels.sort();
            levels
        };
        // Of equals, the one that has least has more, or as much and the next one more, and so on.
        let (less, more) = (levels(kbps), levels(kbps + more));
        prop_assert!(less <= more, "{less:?} {more:?}");
    }

    #[test]
    fn what_does_not_change_is_not_given_out_differently(mut asks in any_asks(), kbps in 0u64..30_000) {
        let mut allocation = Allocation::new(Instant::ZERO);
        let mut before = Vec::new();
        // Once it has settled, however it began.
        for at in 0..400 {
            allocation.give_out(Instant::from_millis(at * 500), budget_of(kbps), Bitrate::ZERO, &mut asks);
            for ask in &mut asks {
                ask.limited = ask.given < Some(ask.wanted);
                ask.now = ask.given;
            }
            let given: Vec<_> = asks.iter().map(|ask| ask.given).collect();
            if at > 360 {
                prop_assert_eq!(&given, &before);
            }
            before = given;
        }
    }
}
