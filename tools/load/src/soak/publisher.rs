//! Who publishes, mutes and unmutes, moves about, leaves or is gone, and comes again as somebody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::control::ids::Sid;
use millrace::signal::message::{Muted, StreamId};
use millrace_sim::network::Rng;
use tokio::time::{interval, sleep, timeout};

use super::stage::{Deed, GRACE, Stage};
use super::visitor::about;
use crate::Error;
use crate::client::{Client, Outgoing, Picture, Tracks};

/// From one frame to the next, and from one packet of sound.
const FRAME: Duration = Duration::from_millis(100);
/// From one thing that one does to the next, on average.
const PAUSE: Duration = Duration::from_secs(5);
/// What one does, of which one is to go.
const DEEDS: u64 = 12;
/// Without any event one looks at the clock as often as this.
const LOOK: Duration = Duration::from_millis(200);
/// Until one comes again.
const AWAY: Duration = Duration::from_secs(2);

/// A frame of VP8; a keyframe begins with what decoders look for (RFC 6386 section 9.1).
fn frame(keyframe: bool) -> Vec<u8> {
    let header = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    [if keyframe { &header[..] } else { &[0x11, 0x02, 0x00] }, &[9; 800]].concat()
}

async fn film(outgoing: Outgoing) {
    let mut ticker = interval(FRAME);
    for n in 0.. {
        ticker.tick().await;
        let key = outgoing.keyframe_wanted();
        outgoing.picture(FRAME * n, key, frame(key));
        outgoing.sound(FRAME * n, vec![0x78; 40]);
    }
}

/// Comes again and again until the end.
pub(super) async fn publish(stage: Arc<Stage>, mut rng: Rng) {
    while !stage.over() {
        if let Err(error) = once(&stage, &mut rng).await {
            stage.fault("publishers", error.to_string());
        }
        let away = about(&mut rng, AWAY);
        sleep(away.min(stage.ends.saturating_duration_since(Instant::now()))).await;
    }
}

async fn once(stage: &Stage, rng: &mut Rng) -> Result<(), Error> {
    let token = stage.somebody().await?;
    let mut client = Client::join_as(&stage.plan.room, token.clone(), stage.engine.clone()).await?;
    let uid = client.uid();
    stage.people().came(uid);
    stage.done(Deed::Join);
    let stream = StreamId { uid, sid: Sid(0) };
    let film = match client.publish(Tracks { picture: Some(Picture::Vp8), sound: true }).await {
        Ok(outgoing) => tokio::spawn(film(outgoing)),
        Err(error) => {
            stage.people().left(uid, Duration::ZERO);
            client.leave().await?;
            return Err(error);
        }
    };
    stage.streams().came(stream);
    stage.shows(uid, Muted::default());
    let result = busy(stage, &mut client, rng).await;
    film.abort();
    stage.shows_no_more(uid);
    let crashes = result.is_ok() && rng.chance(stage.plan.crashes);
    let grace = if crashes { GRACE } else { Duration::ZERO };
    stage.streams().left(stream, grace);
    stage.people().left(uid, grace);
    stage.went(token, crashes);
    if crashes {
        stage.done(Deed::Crash);
        client.vanish().await;
        return result;
    }
    stage.done(Deed::Leave);
    result.and(client.leave().await)
}

/// Until one has enough of it, or it is over.
async fn busy(stage: &Stage, client: &mut Client, rng: &mut Rng) -> Result<(), Error> {
    let mut muted = Muted::default();
    let mut acts = Instant::now() + about(rng, PAUSE);
    while !stage.over() {
        // Who watches nothing is offered nothing: it may be called off.
        match timeout(LOOK, client.next()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None)) => return Err(Error::Signal("the session ended by itself".to_owned())),
            Ok(Err(error)) => return Err(error),
        }
        if Instant::now() < acts {
            continue;
        }
        acts = Instant::now() + about(rng, PAUSE);
        match rng.next() % DEEDS {
            0 => return Ok(()),
            1 | 2 => {
                stage.done(Deed::Move);
                client.change_address().await?;
            }
            3 | 4 => {
                stage.done(Deed::Restart);
                client.restart_ice().await?;
            }
            _ => {
                let next = Muted { audio: rng.chance(0.5), video: rng.chance(0.3) };
                if next != muted {
                    stage.done(Deed::Mute);
                    client.mute(next.audio, next.video).await?;
                    muted = next;
                    stage.shows(client.uid(), muted);
                }
            }
        }
    }
    Ok(())
}
