//! Other servers in the place of ours, to be measured beside it: clients that publish or watch one stream each.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millrace::handshake::{Fingerprint, Identity};
use millrace::router::command::IceCredentials;
use tokio::sync::{oneshot, watch};
use url::Url;

use super::attend::{Visit, Who};
use super::janus::Janus;
use super::run::{Group, Run, Source};
use super::whip::Whip;
use super::{Cohort, Stay};
use crate::client::Shared;
use crate::drive::{self, Impaired, Running};
use crate::identity;
use crate::measure::{Count, Timed};
use crate::peer::{Peer, Remote, random_credentials};
use crate::publisher::{Plan, Publisher};
use crate::sdp::{Offered, Ours};
use crate::viewer::Viewer;
use crate::{Error, web};

/// A server that is not ours, and how it is spoken to.
#[derive(Clone, Debug)]
pub enum Server {
    /// Janus, by its own API.
    Janus(Janus),
    /// Any that speaks WHIP and WHEP.
    Whip(Whip),
}

impl Server {
    /// Whether a cohort can do there what it does.
    pub fn takes(&self, cohort: &Cohort) -> bool {
        match self {
            Self::Janus(_) => cohort.publish.is_some() != cohort.watch.is_some(),
            Self::Whip(whip) => match (&cohort.publish, &cohort.watch) {
                (Some(_), None) => !whip.whip.is_empty(),
                (None, Some(_)) => !whip.whep.is_empty(),
                _ => false,
            },
        }
    }
}

/// What all clients of a run share.
pub struct Elsewhere {
    server: Server,
    identity: Identity,
    fingerprint: Fingerprint,
}

/// Our end of a connection before the server's is known: a full ICE agent wants to know where we are.
pub(super) struct Ends {
    pub(super) ice: IceCredentials,
    socket: UdpSocket,
    /// Where the server's API answers.
    api: SocketAddr,
}

/// What is done when a client leaves.
pub(super) enum Leave {
    Nothing,
    Janus(Janus, Url),
    Whip(Whip, Url),
}

/// A client that watches.
pub(super) struct Watching {
    pub(super) viewer: Running<Viewer>,
    first: watch::Receiver<Option<Instant>>,
    leave: Leave,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) here: &'a Elsewhere,
    pub(super) run: &'a Run,
    pub(super) group: &'a Group,
    who: Who,
}

impl Elsewhere {
    pub(super) fn new(server: Server) -> Result<Self, Error> {
        let identity = identity::certificate()?;
        Ok(Self { fingerprint: identity::fingerprint(&identity), identity, server })
    }

    /// One client comes, publishes or watches, and leaves.
    pub(super) async fn attend(
        &self,
        run: &Run,
        who: Who,
        due: Instant,
        arrived: oneshot::Sender<()>,
    ) -> Result<Visit, Error> {
        let turn = Turn { here: self, run, group: &run.groups[who.cohort], who };
        match turn.group.cohort.publish {
            Some(_) => turn.publish(due, arrived).await,
            None => turn.watch(due, arrived).await,
        }
    }
}

impl Turn<'_> {
    async fn publish(self, due: Instant, arrived: oneshot::Sender<()>) -> Result<Visit, Error> {
        let (mut publisher, leave) = match &self.here.server {
            Server::Janus(janus) => (janus.publish(self)?, Leave::Nothing),
            Server::Whip(whip) => whip.publish(self).await?,
        };
        publisher.connected(Shared::patience()).await?;
        self.group.joined(due.elapsed());
        // Whoever waits for it may have gone.
        let _ = arrived.send(());
        self.over(&leave, std::future::ready(())).await;
        publisher.stop().await?;
        leave.leave().await?;
        Ok(Visit { who: self.who, tally: None, joined: None, first_frame: None })
    }

    async fn watch(self, due: Instant, arrived: oneshot::Sender<()>) -> Result<Visit, Error> {
        let mut visit = Visit { who: self.who, tally: None, joined: None, first_frame: None };
        let asked = Instant::now();
        let Watching { mut viewer, mut first, leave } = match &self.here.server {
            Server::Janus(janus) => janus.watch(self).await?,
            Server::Whip(whip) => whip.watch(self).await?,
        };
        let connected = viewer.connected(Shared::patience()).await?;
        let took = connected.saturating_duration_since(due);
        self.group.joined(took);
        visit.joined = Some(took);
        let _ = arrived.send(());
        let saw = async {
            if let Ok(Some(first)) = first.wait_for(Option::is_some).await.map(|first| *first) {
                let took = first.saturating_duration_since(due);
                visit.first_frame = Some(took);
                self.group.meter.time(Timed::FirstFrame, took, true);
                self.group.meter.time(Timed::Subscribed, first.saturating_duration_since(asked), true);
            }
        };
        self.over(&leave, saw).await;
        let mut viewer = viewer.stop().await?;
        let mut tally = viewer.tally(Instant::now());
        let tail = self.run.tail(&viewer, &tally, &self.group.cohort);
        tally.window.add(Count::Expected, tail);
        self.group.meter.add_windowed(Count::Expected, tail);
        visit.tally = Some(tally);
        leave.leave().await?;
        Ok(visit)
    }

    /// Waits until the client leaves, as its cohort does; `first` is its first frame.
    async fn over(self, leave: &Leave, first: impl Future<Output = ()>) {
        let mut over = self.run.over.clone();
        let stay = async {
            match self.group.cohort.stay {
                Stay::FirstFrame => drop(tokio::time::timeout(Shared::patience(), first).await),
                Stay::Seconds(seconds) => {
                    let leaving = Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
                    let first = async { (first.await, std::future::pending::<()>().await) };
                    // It leaves whether anything came or not.
                    let _ = tokio::time::timeout(leaving, first).await;
                }
                Stay::End => {
                    first.await;
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            () = stay => {}
            () = leave.keep() => {}
            () = async { drop(over.wait_for(|over| *over).await) } => {}
        }
    }

    /// Our end of a connection to a server whose API is there.
    pub(super) async fn ends(self, api: &Url) -> Result<Ends, Error> {
        let (ours, api) = web::way(api).await?;
        Ok(Ends { ice: random_credentials(), socket: drive::socket(ours.ip())?, api })
    }

    /// What SDP says of it.
    pub(super) fn ours<'a>(&'a self, ends: &'a Ends) -> Result<Ours<'a>, Error> {
        Ok(Ours::new(&ends.ice, &self.here.fingerprint).at(ends.socket.local_addr()?))
    }

    /// A publisher of what the cohort publishes.
    pub(super) fn publisher(self, plan: &Plan) -> Publisher {
        let source = self.run.sources.fetch_add(1, Ordering::Relaxed) as u16;
        let publisher = Publisher::new(Instant::now(), plan.clone(), source, self.group.meter.clone());
        let (sent, encodings) = (publisher.sent(), plan.encodings.len());
        self.run.add_source(Source { number: source, sent, encodings, audio: plan.audio });
        publisher
    }

    /// Starts it towards the server.
    pub(super) fn start_publisher(
        self,
        ends: Ends,
        mut remote: Remote,
        publisher: Publisher,
    ) -> Result<Running<Publisher>, Error> {
        let server = remote.reached(ends.api);
        let peer = Peer::new(Instant::now(), &ends.ice, &self.here.identity, &remote)?;
        self.run.engine.start_on(ends.socket, server, peer, publisher, self.link())
    }

    /// A publisher of plain RTP, which nobody answers.
    pub(super) fn start_plain(
        self,
        to: SocketAddr,
        publisher: Publisher,
    ) -> Result<Running<Publisher>, Error> {
        let nobody =
            Remote { ice: random_credentials(), candidates: vec![], fingerprints: vec![], begins: false };
        let peer = Peer::unsealed(Instant::now(), &nobody.ice, &self.here.identity, &nobody)?;
        self.run.engine.start(to, peer, publisher, self.link())
    }

    /// Starts a viewer of what the server sends.
    pub(super) fn start_viewer(self, ends: Ends, offered: Offered, leave: Leave) -> Result<Watching, Error> {
        let (now, mut remote) = (Instant::now(), offered.remote.clone());
        let server = remote.reached(ends.api);
        let peer = Peer::new(now, &ends.ice, &self.here.identity, &remote)?;
        let checks = self.who.n > 0 && Cohort::is_one_of(self.group.cohort.check_share, self.who.n - 1);
        let viewer = Viewer::new(now, offered, self.group.meter.clone(), checks);
        let first = viewer.first_frame();
        let viewer = self.run.engine.start_on(ends.socket, server, peer, viewer, self.link())?;
        Ok(Watching { viewer, first, leave })
    }

    /// One of these, in turn.
    pub(super) fn one_of<T>(self, all: &[T]) -> Option<&T> {
        all.get(self.who.n % all.len().max(1))
    }

    fn link(self) -> Option<Impaired> {
        self.group.cohort.link().client(self.run.seed, self.who.n as u64)
    }
}

impl Leave {
    /// Keeps the client's place there until dropped.
    async fn keep(&self) {
        match self {
            Self::Janus(janus, session) => janus.keep(session).await,
            Self::Nothing | Self::Whip(..) => std::future::pending().await,
        }
    }

    async fn leave(self) -> Result<(), Error> {
        match self {
            Self::Nothing => Ok(()),
            Self::Janus(janus, session) => janus.leave(&session).await,
            Self::Whip(whip, resource) => whip.leave(&resource).await,
        }
    }
}
