//! How a client gets into a room, publishes, and gets the connection on which it watches.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::crypto::Certificate;
use millrace::control::ids::{Gid, Sid};
use millrace::handshake::Identity;
use millrace::router::command::IceCredentials;
use millrace::signal::message::{Joined, Layer, Muted, Publish, Request, Secret};
use tokio::sync::Mutex;

use crate::drive::{self, Engine, Impaired, Media, Running};
use crate::measure::Meter;
use crate::peer::{Peer, Remote, random_credentials};
use crate::publisher::{Plan, Publisher, Sent};
use crate::reference::{self, Reference};
use crate::sdp::{self, Extensions, Offered, Offering, Ours};
use crate::signal::{self, Session};
use crate::viewer::Viewer;
use crate::web::{Room, Signal};
use crate::{Error, identity};

/// How long a client may take to get its media up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Signalling sessions that share a QUIC socket.
const SESSIONS_PER_SOCKET: usize = 50;

/// What all clients of a run share.
pub struct Shared {
    server: SocketAddr,
    signal: Signal,
    identity: Identity,
    engine: Engine,
    /// A socket for signalling, and how many sessions it carried.
    endpoint: Mutex<(Option<quinn::Endpoint>, usize)>,
}

impl Shared {
    /// Asks the server's web side where signalling is.
    pub async fn new(room: &Room, engine: Engine) -> Result<Self, Error> {
        let signal = room.signal().await?;
        let server = tokio::net::lookup_host((signal.host.as_str(), signal.port)).await?.next();
        let server = server.ok_or_else(|| Error::Signal(format!("{} has no address", signal.host)))?;
        let identity = identity::certificate()?;
        Ok(Self { server, signal, identity, engine, endpoint: Mutex::new((None, 0)) })
    }

    /// Where signalling is.
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// A QUIC endpoint for signalling with this server.
    pub async fn endpoint(&self) -> Result<quinn::Endpoint, Error> {
        let (endpoint, used) = &mut *self.endpoint.lock().await;
        let known = endpoint.as_ref().filter(|_| *used % SESSIONS_PER_SOCKET != 0);
        let chosen = match known {
            Some(known) => known.clone(),
            None => endpoint.insert(signal::endpoint(self.server, self.signal.hashes.clone())?).clone(),
        };
        *used += 1;
        Ok(chosen)
    }

    /// Signalling goes on from another address of ours.
    pub async fn change_address(&self) -> Result<(), Error> {
        let (endpoint, _) = &*self.endpoint.lock().await;
        if let Some(endpoint) = endpoint {
            let any = (drive::any(self.server), 0);
            endpoint.rebind(UdpSocket::bind(any)?)?;
        }
        Ok(())
    }

    /// A signalling session of a new guest who entered the room.
    pub async fn enter(&self, room: &Room, name: &str) -> Result<Session, Error> {
        self.enter_by(room, room.guest(name).await?).await
    }

    /// A signalling session of somebody who enters the room.
    pub async fn enter_by(&self, room: &Room, token: String) -> Result<Session, Error> {
        let mut session = Session::open(&self.endpoint().await?, self.server, token, None).await?;
        self.join(room, &mut session).await?;
        Ok(session)
    }

    /// A signalling session goes on with another process. True if that knows of it, else it has entered the room anew.
    pub async fn follow(&self, room: &Room, session: &mut Session) -> Result<bool, Error> {
        *session = session.resume(&self.endpoint().await?, self.server).await?;
        let resumed = session.welcome().resumed;
        if !resumed {
            self.join(room, session).await?;
        }
        Ok(resumed)
    }

    async fn join(&self, room: &Room, session: &mut Session) -> Result<(), Error> {
        let pin = Some(Secret(room.pin.clone()));
        session.ask::<Joined>("join", &Request::Join { gid: Gid(room.gid), pin }).await.map(drop)
    }

    /// Publishes in a room that one has entered; its media, up, and its counters.
    pub async fn publish(
        &self,
        room: &Room,
        session: &mut Session,
        plan: &Plan,
        source: u16,
        meter: Arc<Meter>,
        link: Option<Impaired>,
    ) -> Result<(Running<Publisher>, Arc<Sent>), Error> {
        let mut publisher = Publisher::new(Instant::now(), plan.clone(), source, meter);
        let sent = publisher.sent();
        let layers = plan.encodings.iter();
        let layers =
            layers.filter_map(|e| Some(Layer { rid: e.rid.clone()?, width: e.width, height: e.height }));
        let (layers, offering) = (layers.collect(), publisher.offered());
        let ready = |extensions| {
            publisher.negotiated(extensions);
            publisher
        };
        Ok((self.send(Gid(room.gid), session, layers, &offering, ready, link).await?, sent))
    }

    /// Offers what is to be sent, and sends what `ready` makes of the extensions that the server took.
    pub async fn send<M: Media>(
        &self,
        gid: Gid,
        session: &mut Session,
        layers: Vec<Layer>,
        offering: &Offering,
        ready: impl FnOnce(Extensions) -> M,
        link: Option<Impaired>,
    ) -> Result<Running<M>, Error> {
        let credentials = random_credentials();
        let fingerprint = identity::fingerprint(&self.identity);
        let request = Request::Publish(Publish {
            gids: vec![gid],
            sid: Sid(0),
            source: 1,
            name: None,
            sdp: sdp::offer(&Ours::new(&credentials, &fingerprint), offering),
            muted: Muted::default(),
            layers,
        });
        let answer = session.request("publish", &request).await?;
        let answer = answer.get("sdp").and_then(serde_json::Value::as_str).unwrap_or_default();
        let (mut remote, extensions) = sdp::read_answer(answer)?;
        let candidate = remote.reached(self.server);
        let peer = Peer::new(Instant::now(), &credentials, &self.identity, &remote)?;
        let mut running = self.engine.start(candidate, peer, ready(extensions), link)?;
        running.connected(PATIENCE).await?;
        Ok(running)
    }

    /// Restarts ICE of what one publishes: our credentials now, and what the server answered.
    pub async fn restart(
        &self,
        session: &mut Session,
        offering: &Offering,
    ) -> Result<(IceCredentials, Remote), Error> {
        let credentials = random_credentials();
        let fingerprint = identity::fingerprint(&self.identity);
        let sdp = sdp::offer(&Ours::new(&credentials, &fingerprint), offering);
        let request = Request::Restart { sid: Some(Sid(0)), sdp: Some(sdp), watching: false };
        let answer = session.request("restart", &request).await?;
        let answer = answer.get("sdp").and_then(serde_json::Value::as_str).unwrap_or_default();
        let (mut remote, _) = sdp::read_answer(answer)?;
        remote.reached(self.server);
        Ok((credentials, remote))
    }

    /// Answers the offer of a connection on which one watches, and starts it.
    pub async fn watch(
        &self,
        session: &mut Session,
        (rev, offer): (u32, &str),
        ice: &IceCredentials,
        link: Option<Impaired>,
        viewer: impl FnOnce(Instant, Offered) -> Viewer,
    ) -> Result<Running<Viewer>, Error> {
        let now = Instant::now();
        let sdp = self.answer(ice, offer)?;
        let mut offered = sdp::read_offer(offer)?;
        let candidate = offered.remote.reached(self.server);
        let peer = Peer::new(now, ice, &self.identity, &offered.remote)?;
        let viewer = viewer(now, offered);
        session.request("answer", &Request::Answer { rev, sdp }).await?;
        self.engine.start(candidate, peer, viewer, link)
    }

    /// The same with a viewer made of other people's code, which is connected at the end.
    pub async fn watch_by_reference(
        &self,
        session: &mut Session,
        (rev, offer): (u32, &str),
        ice: &IceCredentials,
        certificate: &Certificate,
        viewer: impl FnOnce(Instant, Offered) -> Viewer,
    ) -> Result<Reference, Error> {
        let now = Instant::now();
        let offered = sdp::read_offer(offer)?;
        let mut remote = offered.remote.clone();
        let candidate = remote.reached(self.server);
        let peer = Peer::unsealed(now, ice, &self.identity, &remote)?;
        let viewer = viewer(now, offered).by_reference();
        let fingerprint = reference::fingerprint(certificate);
        let sdp = sdp::answer(&Ours::new(ice, &fingerprint), offer)?;
        session.request("answer", &Request::Answer { rev, sdp }).await?;
        let start = Reference::start(&remote, candidate, ice, certificate.clone(), viewer, peer);
        let started = tokio::time::timeout(PATIENCE, start).await;
        started.map_err(|_| Error::Media(format!("reference: no secured connection within {PATIENCE:?}")))?
    }

    /// A viewer's answer.
    pub fn answer(&self, ice: &IceCredentials, offer: &str) -> Result<String, Error> {
        let fingerprint = identity::fingerprint(&self.identity);
        sdp::answer(&Ours::new(ice, &fingerprint), offer)
    }

    /// How long a client may take to get its media up.
    pub const fn patience() -> Duration {
        PATIENCE
    }
}
