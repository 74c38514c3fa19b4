//! One client's visit: it comes, publishes and watches as its cohort does, and leaves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dtls::crypto::Certificate;
use millrace::control::ids::Gid;
use millrace::router::command::IceCredentials;
use millrace::signal::message::{Notice, Request};
use tokio::sync::{oneshot, watch};

use super::run::{Group, Run, Service, Source};
use super::views::Views;
use super::{Cohort, Stay};
use crate::Error;
use crate::client::Shared;
use crate::drive::{Change, Running};
use crate::measure::{Count, Timed};
use crate::peer::random_credentials;
use crate::publisher::Publisher;
use crate::reference::{self, Reference};
use crate::sdp::Ours;
use crate::signal::Session;
use crate::viewer::{Tally, Viewer};
use crate::web::Room;

/// Which client of a run.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// Which cohort.
    pub cohort: usize,
    /// Which room.
    pub room: usize,
    /// Which of the cohort, over all rooms.
    pub n: usize,
}

/// A client that has been there.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who it was.
    pub who: Who,
    /// What it saw, if it watched.
    pub tally: Option<Tally>,
    /// From when it was due to its secured connection, and to its first whole frame.
    pub joined: Option<Duration>,
    /// See `joined`.
    pub first_frame: Option<Duration>,
}

/// What it watches with.
enum Seat {
    Ours(Running<Viewer>),
    Reference(Reference),
}

impl Seat {
    fn change(&self, change: Change<Viewer>) {
        match self {
            Self::Ours(running) => running.changer()(change),
            Self::Reference(reference) => reference.change(change),
        }
    }

    async fn stop(self) -> Result<Viewer, Error> {
        match self {
            Self::Ours(running) => running.stop().await,
            Self::Reference(reference) => reference.stop().await,
        }
    }
}

/// A client that is there.
struct Here<'a> {
    run: &'a Run,
    shared: &'a Shared,
    group: &'a Group,
    room: &'a Room,
    cohort: &'a Cohort,
    who: Who,
    due: Instant,
    session: Session,
    publisher: Option<Running<Publisher>>,
    views: Option<Views>,
    ice: IceCredentials,
    viewer: Option<Seat>,
    /// Of a viewer made of other people's code.
    certificate: Option<Certificate>,
    first: watch::Receiver<Option<Instant>>,
    /// When it asked for the first stream.
    asked: Option<Instant>,
    visit: Visit,
}

/// Comes at `due`, stays as its cohort does, and tells `arrived` when it is connected.
pub async fn attend(
    run: Arc<Run>,
    who: Who,
    due: Instant,
    arrived: oneshot::Sender<()>,
) -> Result<Visit, Error> {
    let group = &run.groups[who.cohort];
    let (shared, room) = match (&run.service, run.rooms.get(who.room)) {
        (Service::Millrace(shared), Some(room)) => (shared, room),
        (Service::Elsewhere(elsewhere), _) => return elsewhere.attend(&run, who, due, arrived).await,
        (Service::Millrace(_), None) => return Err(Error::Usage("there is no such room".into())),
    };
    let cohort = &group.cohort;
    let name = format!("Load {} {}", cohort.name, who.n);
    let mut session = shared.enter(room, &name).await?;
    let publisher = match &cohort.publish {
        Some(_) => Some(publish(&run, shared, group, room, who, &mut session).await?),
        None => None,
    };
    if publisher.is_some() && cohort.watch.is_none() {
        group.joined(due.elapsed());
    }
    let uid = session.welcome().uid;
    let views = cohort.watch.clone().map(|plan| Views::new(Gid(room.gid), uid, plan));
    let certificate = match cohort.watch.is_some() && Cohort::is_one_of(cohort.reference_share, who.n) {
        true => Some(reference::certificate()?),
        false => None,
    };
    let here = Here {
        run: &run,
        shared,
        group,
        room,
        cohort,
        who,
        due,
        session,
        publisher,
        views,
        ice: random_credentials(),
        viewer: None,
        certificate,
        first: watch::Sender::new(None).subscribe(),
        asked: None,
        visit: Visit { who, tally: None, joined: None, first_frame: None },
    };
    here.stay(arrived).await
}

async fn publish(
    run: &Run,
    shared: &Shared,
    group: &Group,
    room: &Room,
    who: Who,
    session: &mut Session,
) -> Result<Running<Publisher>, Error> {
    let Some(publishing) = &group.cohort.publish else { unreachable!("only cohorts that publish do") };
    let mut plan = publishing.plan();
    if publishing.turns {
        plan.turn = Some((who.n % group.cohort.count, group.cohort.count));
    }
    let source = run.sources.fetch_add(1, Ordering::Relaxed) as u16;
    let link = group.cohort.link().client(run.seed, who.n as u64 * 2);
    let (running, sent) = shared.publish(room, session, &plan, source, group.meter.clone(), link).await?;
    run.add_source(Source { number: source, sent, encodings: plan.encodings.len(), audio: plan.audio });
    Ok(running)
}

impl Here<'_> {
    async fn stay(mut self, arrived: oneshot::Sender<()>) -> Result<Visit, Error> {
        let mut over = self.run.over.clone();
        let mut arrived = Some(arrived);
        let mut leaving = None;
        // Who publishes is there already: others wait for it, and it may wait for them to have something to watch.
        if self.publisher.is_some() {
            arrived.take().map(|arrived| arrived.send(()));
        }
        let mut patience = None;
        if self.views.is_none() {
            leaving = self.leaving(Instant::now());
        } else if self.publisher.is_none() {
            patience = Some(Instant::now() + Shared::patience());
        }
        loop {
            let at = leaving.or(patience).unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                () = async { drop(over.wait_for(|over| *over).await) } => break,
                () = tokio::time::sleep_until(at.into()), if patience.is_none() => break,
                () = tokio::time::sleep_until(at.into()), if patience.is_some() => {
                    let why = format!("nothing to watch came within {:?}", Shared::patience());
                    return Err(Error::Media(why));
                }
                Ok(()) = self.first.changed() => {
                    let first = *self.first.borrow_and_update();
                    if let Some(first) = first {
                        self.saw(first);
                        if self.cohort.stay == Stay::FirstFrame {
                            break;
                        }
                    }
                }
                notice = self.session.notice() => {
                    if let Some(after) = self.session.goes_on(notice.as_ref()) {
                        tokio::time::sleep(after).await;
                        if !self.shared.follow(self.room, &mut self.session).await? {
                            let why = "another process is the server now, and knows nothing of us";
                            return Err(Error::Signal(why.into()));
                        }
                        continue;
                    }
                    let Some(notice) = notice else { return Err(Error::Signal("the session ended".into())) };
                    let connected = self.hear(notice).await?;
                    if let Some(connected) = connected {
                        let took = connected.saturating_duration_since(self.due);
                        self.group.joined(took);
                        self.group.meter.add_windowed(Count::Waits, self.session.take_waits());
                        self.visit.joined = Some(took);
                        arrived.take().map(|arrived| arrived.send(()));
                        leaving = self.leaving(connected);
                        patience = None;
                    }
                }
            }
        }
        self.leave().await
    }

    fn leaving(&self, from: Instant) -> Option<Instant> {
        match self.cohort.stay {
            Stay::Seconds(seconds) => Some(from + Duration::from_secs_f64(seconds.clamp(0.0, 1e6))),
            Stay::FirstFrame => Some(from + Shared::patience()),
            Stay::End => None,
        }
    }

    fn saw(&mut self, first: Instant) {
        let took = first.saturating_duration_since(self.due);
        self.visit.first_frame = Some(took);
        self.group.meter.time(Timed::FirstFrame, took, true);
        if let Some(asked) = self.asked {
            self.group.meter.time(Timed::Subscribed, first.saturating_duration_since(asked), true);
        }
    }

    /// Does what a notice asks for; since when it is connected if this connected it.
    async fn hear(&mut self, notice: Notice) -> Result<Option<Instant>, Error> {
        if let (Notice::Layers { active, .. }, Some(publisher)) = (&notice, &self.publisher) {
            let active = active.clone();
            publisher.changer()(Box::new(move |publisher| publisher.watched(&active)));
            return Ok(None);
        }
        let Some(views) = &mut self.views else { return Ok(None) };
        if views.hear(&notice) {
            let changes = views.changes();
            if let Some(viewer) = self.viewer.as_ref().filter(|_| !changes.is_empty()) {
                viewer.change(Box::new(Viewer::asks_anew));
            }
            for (what, request) in changes {
                self.asked.get_or_insert_with(Instant::now);
                match self.session.request(what, &request).await {
                    // Who left in the meantime cannot be watched.
                    Err(Error::Refused { refusal, .. }) if refusal.error == "NOSTREAM" => {}
                    other => drop(other?),
                }
            }
            return Ok(None);
        }
        let Notice::Offer { rev, sdp, fresh } = notice else { return Ok(None) };
        if let Some(viewer) = self.viewer.as_ref().filter(|_| !fresh) {
            // More slots: the connection stays, the map of payloads and SSRCs grows.
            let offered = crate::sdp::read_offer(&sdp)?;
            viewer.change(Box::new(move |viewer| viewer.renegotiated(offered)));
            let answer = match &self.certificate {
                Some(certificate) => {
                    let fingerprint = reference::fingerprint(certificate);
                    crate::sdp::answer(&Ours::new(&self.ice, &fingerprint), &sdp)?
                }
                None => self.shared.answer(&self.ice, &sdp)?,
            };
            self.session.request("answer", &Request::Answer { rev, sdp: answer }).await?;
            return Ok(None);
        }
        self.ice = random_credentials();
        // The first one is a reference, the second one checks.
        let checks = self.who.n > 0 && Cohort::is_one_of(self.cohort.check_share, self.who.n - 1);
        let (meter, mut first) = (self.group.meter.clone(), None);
        let start = |now, offered| {
            let viewer = Viewer::new(now, offered, meter, checks);
            first = Some(viewer.first_frame());
            viewer
        };
        let (shared, session) = (self.shared, &mut self.session);
        let connected = match &self.certificate {
            Some(certificate) => {
                let offer = (rev, sdp.as_str());
                let seat = shared.watch_by_reference(session, offer, &self.ice, certificate, start).await?;
                self.viewer = Some(Seat::Reference(seat));
                Instant::now()
            }
            None => {
                let link = self.cohort.link().client(self.run.seed, self.who.n as u64 * 2 + 1);
                let mut running = shared.watch(session, (rev, &sdp), &self.ice, link, start).await?;
                let connected = running.connected(Shared::patience()).await?;
                self.viewer = Some(Seat::Ours(running));
                connected
            }
        };
        if let Some(mut first) = first {
            // The first frame may have come already.
            first.mark_changed();
            self.first = first;
        }
        Ok(Some(connected))
    }

    async fn leave(mut self) -> Result<Visit, Error> {
        if let Some(viewer) = self.viewer.take() {
            let mut viewer = viewer.stop().await?;
            let mut tally = viewer.tally(Instant::now());
            let tail = self.run.tail(&viewer, &tally, self.cohort);
            tally.window.add(Count::Expected, tail);
            self.group.meter.add_windowed(Count::Expected, tail);
            self.visit.tally = Some(tally);
        }
        if let Some(publisher) = self.publisher.take() {
            publisher.stop().await?;
        }
        self.session.bye().await;
        Ok(self.visit)
    }
}
