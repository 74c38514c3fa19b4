//! Who comes, watches a few streams in tiles of any size, moves about, and leaves or is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::signal::message::StreamId;
use millrace_sim::network::Rng;
use tokio::time::timeout;

use super::stage::{Deed, GRACE, STUCK, Stage};
use crate::Error;
use crate::client::{Client, Event, Tile};

/// Streams that one watches.
const WATCHED: usize = 2;
const TILES: [(u16, u16); 4] = [(160, 90), (320, 180), (640, 360), (1280, 720)];
/// From one thing that one does to the next, on average.
const PAUSE: Duration = Duration::from_secs(2);
/// Without any event one looks at the clock as often as this: seldom, for to call off may leave an offer unanswered.
const LOOK: Duration = Duration::from_secs(5);

/// A time between nothing and twice `mean`.
pub(super) fn about(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64((rng.next() % 2001) as f64 / 1000.0)
}

/// A stream that one watches.
struct Watched {
    since: Instant,
    frame: Option<Instant>,
    told: bool,
}

/// Comes, stays and leaves.
pub(super) async fn visit(stage: Arc<Stage>, mut rng: Rng) {
    if let Err(error) = come(&stage, &mut rng).await {
        stage.fault("visitors", error.to_string());
    }
}

async fn come(stage: &Stage, rng: &mut Rng) -> Result<(), Error> {
    let room = &stage.plan.room;
    let token = stage.somebody().await?;
    let client = Client::join_as(room, token.clone(), stage.engine.clone()).await?;
    let crashed = stay(stage, client, rng).await?;
    stage.went(token, crashed);
    Ok(())
}

/// Whether one was gone without a word.
async fn stay(stage: &Stage, mut client: Client, rng: &mut Rng) -> Result<bool, Error> {
    let uid = client.uid();
    stage.people().came(uid);
    stage.done(Deed::Join);
    // Who leaves at once is told of to nobody, as what happens within 2 ms is told together.
    let least = Instant::now() + Duration::from_secs(1);
    let leaves = (least + about(rng, stage.plan.stay)).min(stage.ends).max(least);
    let mut acts = Instant::now() + about(rng, PAUSE);
    let mut watched = BTreeMap::new();
    let result = loop {
        let now = Instant::now();
        if now >= leaves {
            break Ok(());
        }
        match timeout(LOOK, client.next()).await {
            Ok(Ok(Some(Event::Frame(stream, _)))) => {
                stage.done(Deed::Frame);
                if let Some(watched) = watched.get_mut(&stream) {
                    let Watched { frame, .. } = watched;
                    *frame = Some(now);
                }
            }
            Ok(Ok(Some(Event::Left(stream)))) => drop(watched.remove(&stream)),
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None)) => break Err(Error::Signal("the session ended by itself".to_owned())),
            Ok(Err(error)) => break Err(error),
        }
        look_out(stage, &mut watched, now);
        if now >= acts || watched.len() < WATCHED {
            acts = now + about(rng, PAUSE);
            match act(stage, &mut client, &mut watched, rng).await {
                // What one wanted to watch ended just then.
                Err(Error::Refused { what: "watch", .. }) | Ok(()) => {}
                Err(error) => break Err(error),
            }
        }
    };
    let crashes = rng.chance(stage.plan.crashes);
    stage.people().left(uid, if crashes { GRACE } else { Duration::ZERO });
    if crashes {
        stage.done(Deed::Crash);
        client.vanish().await;
        return result.map(|()| true);
    }
    stage.done(Deed::Leave);
    result.and(client.leave().await).map(|()| false)
}

async fn act(
    stage: &Stage,
    client: &mut Client,
    watched: &mut BTreeMap<StreamId, Watched>,
    rng: &mut Rng,
) -> Result<(), Error> {
    let (width, height) = TILES[(rng.next() % TILES.len() as u64) as usize];
    let mut others: Vec<_> = client.streams().map(|stream| stream.id).collect();
    others.retain(|stream| !watched.contains_key(stream));
    if watched.len() < WATCHED {
        if let Some(stream) = others.get((rng.next() % others.len().max(1) as u64) as usize) {
            client.watch(*stream, Tile::of(width, height)).await?;
            watched.insert(*stream, Watched { since: Instant::now(), frame: None, told: false });
        }
        return Ok(());
    }
    match rng.next() % 4 {
        0 => {
            stage.done(Deed::Move);
            client.change_address().await
        }
        1 => {
            stage.done(Deed::Restart);
            client.restart_ice().await
        }
        _ => {
            stage.done(Deed::Resize);
            let Some(stream) = watched.keys().next() else { return Ok(()) };
            client.watch(*stream, Tile::of(width, height)).await
        }
    }
}

/// What should move and does not is told once.
fn look_out(stage: &Stage, watched: &mut BTreeMap<StreamId, Watched>, now: Instant) {
    for (stream, watched) in watched {
        let Some(visible) = stage.visible_since(stream.uid) else { continue };
        let since = watched.frame.unwrap_or(watched.since).max(visible).max(watched.since);
        if now.saturating_duration_since(since) > STUCK && !watched.told {
            watched.told = true;
            let seen = if watched.frame.is_some() { "stands still" } else { "never came" };
            stage.fault("stuck", format!("the picture of {} {seen}", stream.uid));
        }
    }
}
