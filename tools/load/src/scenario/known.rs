//! The scenarios that come along.

use super::{Cohort, Layout, Publishing, Scenario, Stay, Watching};

fn scenario(name: &str, seconds: u64, cohorts: Vec<Cohort>) -> Scenario {
    Scenario { name: name.to_owned(), seconds, rooms: 1, seed: 0, cohorts }
}

fn publishers(count: usize, publish: Publishing) -> Cohort {
    Cohort { publish: Some(publish), joins: 1, ..Cohort::new("publishers", count) }
}

/// Few publishers, many viewers of them. Without `publish` somebody else publishes.
pub fn webinar(
    seconds: u64,
    publish: Option<(usize, Publishing)>,
    viewers: Cohort,
    watch: Watching,
) -> Scenario {
    let stage = publish.map(|(count, publish)| publishers(count, publish));
    let cohorts = stage.into_iter().chain([Cohort { watch: Some(watch), ..viewers }]);
    scenario("webinar", seconds, cohorts.collect())
}

/// Everyone publishes, hears all the others, and sees as many as the layout has tiles.
pub fn conference(
    seconds: u64,
    rooms: usize,
    people: Cohort,
    layout: Layout,
    publish: Publishing,
) -> Scenario {
    let name = if rooms > 1 { "rooms" } else { "conference" };
    let publish = Some(Publishing { turns: true, ..publish });
    let people = Cohort { publish, watch: Some(layout.watching()), ..people };
    Scenario { rooms, ..scenario(name, seconds, vec![people]) }
}

/// Everyone talks, in turns; nobody shows a picture.
pub fn audio(seconds: u64, people: Cohort) -> Scenario {
    let publish = Some(Publishing { video: false, turns: true, ..Publishing::default() });
    let watch = Some(Watching { video: false, ..Watching::default() });
    scenario("audio", seconds, vec![Cohort { publish, watch, ..people }])
}

/// Viewers come at a rate, get their first frame and leave, while others watch undisturbed.
pub fn join_wave(seconds: u64, publish: Publishing, watching: Cohort, rate: f64) -> Scenario {
    let wave = Cohort {
        during: true,
        rate: Some(rate),
        stay: Stay::FirstFrame,
        // Other people's handshakes are slow enough to be the limit.
        reference_share: 0.0,
        watch: Some(Watching::default()),
        ..Cohort { name: "wave".to_owned(), count: (rate * seconds as f64) as usize, ..watching.clone() }
    };
    let watching = Cohort { watch: Some(Watching::default()), ..watching };
    scenario("join-wave", seconds, vec![publishers(1, publish), watching, wave])
}

/// Viewers come at a rate and leave after a while, on and on.
pub fn churn(seconds: u64, publish: Publishing, watching: Cohort, rate: f64, stay: f64) -> Scenario {
    let mut scenario = join_wave(seconds, publish, watching, rate);
    scenario.name = "churn".to_owned();
    if let Some(coming) = scenario.cohorts.last_mut() {
        coming.name = "passing".to_owned();
        coming.stay = Stay::Seconds(stay);
    }
    scenario
}
