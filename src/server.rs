//! Wiring: starts the planes in the order in which they need each other, and stops them in the other.

mod thread;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use self::thread::ControlThread;
use crate::acme;
use crate::admin::{self, Inheritance};
use crate::certificate::{CertificateError, Certificates};
use crate::config::{self, Config, Problem};
use crate::control::directory::{DEFAULT_APP, Directory, Failure, SystemEntropy};
use crate::control::rooms;
use crate::control::store::{JournalStore, Store, StoreError, StoreThread};
use crate::control::{Control, Parts, Taken, Unavailable};
use crate::handover::{Estate, Gone, HandoverError, Live, Predecessor, Successor};
use crate::handshake::{Handshakes, Identity, Outcome};
use crate::hooks::Hooks;
use crate::http::{self, Http, HttpError, NodeReport, Serving, ShardReport, Site, Uploads, V1};
use crate::mail::{Mail, Mailer};
use crate::net::{self, BindError, Choice, Places, Refused, Stream};
use crate::router::Snapshot;
use crate::router::event::Event;
use crate::router::id::ShardId;
use crate::shard::{Left, ShardConfig, ShardStats, Shards, Sinks};
use crate::signal::quic::{self, CertificateSlot, Endpoint, ResetKey};
use crate::signal::quic_socket::{QuicIntake, QuicSocket};
use crate::signal::webtransport::Origins;
use crate::sorted::Set;
use crate::task;
use crate::watch::{Watch, process};

/// Threads that do handshakes, at lower priority than media.
const HANDSHAKE_THREADS: usize = 2;
/// Handshakes in flight: as many as those threads work on at once. More would only delay each other.
const HANDSHAKES_IN_FLIGHT: usize = HANDSHAKE_THREADS * 256;
/// The longest sleep before another look at the certificate's age: clocks are set, hosts are suspended.
const RENEWAL_LOOK: Duration = Duration::from_secs(3600);
/// How long clients may take to hear that the server stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long they are told of a successor that serves already: whose first word was lost learns it there, too.
const SENT_ON: Duration = Duration::from_millis(500);

/// Why the server cannot start: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder.
    #[error("{0}")]
    Data(Problem),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The media port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The driver.
    #[error(transparent)]
    Driver(#[from] Refused),
    /// The web page's port or certificate.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The demo group.
    #[error("the demo room cannot be made: {0}")]
    Demo(Failure),
    /// The app that is there from the start.
    #[error("the first app cannot be made: {0}")]
    App(#[from] Failure),
    /// The control plane ended while it started.
    #[error(transparent)]
    Control(#[from] Unavailable),
    /// The running server keeps its place.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A key in the data folder.
    #[error("{path}: {source}: the data folder must be writable")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything that the system refused.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// A server that runs. Dropping it stops it at once; [`Server::stop`] lets clients know.
#[derive(Debug)]
pub struct Server {
    runtime: Option<ControlThread>,
    shards: Shards,
    control: Control,
    endpoint: Endpoint,
    actor: JoinHandle<()>,
    admin: JoinHandle<()>,
    media: Vec<SocketAddr>,
    page: Option<Serving>,
    metrics: Option<Serving>,
    link: Option<String>,
    secure: bool,
    origins: Origins,
    uploads: Uploads,
    /// Whoever is ready to take over.
    successors: Mutex<mpsc::Receiver<Successor>>,
    intake: QuicIntake,
}

impl Server {
    /// Starts everything that `config` asks for.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::begin(config, None)
    }

    /// The same, in the place of the server that runs over the same data folder, if there is one.
    pub fn take_over(config: &Config) -> Result<Self, StartError> {
        let before = admin::meet(&config.data)?;
        match &before {
            Some(before) => info!("takes over from the running server, of version {}", before.version),
            None => info!("no server runs over this folder: starts as usual"),
        }
        Self::begin(config, before)
    }

    fn begin(config: &Config, mut before: Option<Predecessor>) -> Result<Self, StartError> {
        // What is kept.
        config::prepare_data(&config.data).map_err(StartError::Data)?;
        let mut store = match &before {
            Some(_) => None,
            None => Some(JournalStore::open(&config.data)?),
        };
        let certificates = Certificates::open(&config.data, unix_now())?;
        let current = certificates.current();
        let reset_key = ResetKey::load(&config.data)
            .map_err(|source| StartError::Key { path: config.data.join("reset.key"), source })?;

        let key = admin::key(&config.data)
            .map_err(|source| StartError::Key { path: config.data.join("admin.token"), source })?;

        // The ports.
        let runtime = ControlThread::start(GOODBYE).map_err(refused("threads"))?;
        let entered = runtime.enter();
        let choice = Choice::probe(config.io)?;
        let shards = usize::from(config.shards);
        let sockets = match &mut before {
            Some(before) => before.sockets(&config.listen, shards)?,
            None => net::bind(&config.listen, shards)?,
        };
        let media = sockets.addresses();
        let candidates = candidates(&media, &config.advertise).map_err(refused("its own addresses"))?;
        let kept = config.acme.as_ref().map(|settings| acme::files(&config.data, settings)).transpose();
        let kept = kept.map_err(refused("the folder of certificates"))?;
        let mut taken = |address| before.as_mut().and_then(|before| before.listener(address));
        let tls = kept.as_ref().or(config.tls.as_ref());
        let page = runtime.block_on(Http::bind_or_take(config.http, taken(config.http), tls))?;
        let metrics = config.metrics.map(|at| runtime.block_on(Http::bind_or_take(at, taken(at), None)));
        let metrics = metrics.transpose()?;
        let streams =
            streams(&media, page.address(), &config.advertise).map_err(refused("its own addresses"))?;
        info!("media and signalling on UDP {}, told to clients as {}", list(&media), list(&candidates));

        let (successor, successors) = mpsc::channel(1);
        let again = |http: &Http| http.descriptor();
        let estate = Estate {
            listen: config.listen.clone(),
            sockets: sockets.try_clone().map_err(refused("a duplicate of a socket"))?,
            http: (config.http, again(&page).map_err(refused("a duplicate of a socket"))?),
            metrics: config
                .metrics
                .zip(metrics.as_ref().map(again).transpose().map_err(refused("a duplicate of a socket"))?),
        };
        let inheritance = Arc::new(Inheritance { estate, successors: successor });

        // The data plane.
        let (control, inbox) = Control::new();
        let (shards, seats) = Shards::new(shards).map_err(refused("an eventfd"))?;
        let handshakes = Handshakes::start(
            HANDSHAKE_THREADS,
            Identity {
                certificate: current.certificate().to_vec(),
                private_key: current.private_key().to_vec(),
            },
            Arc::new(shards.clone()),
            report_handshakes(&control),
        )
        .map_err(refused("threads"))?;
        let (quic_socket, intake) = QuicSocket::new(&sockets).map_err(refused("a duplicate of a socket"))?;
        let seed = random_seed().map_err(refused("random bytes"))?;
        let slot = CertificateSlot::new(current.certificate(), current.private_key());
        let slot = Arc::new(slot.map_err(io::Error::other).map_err(refused("the certificate"))?);
        let endpoint = quic::endpoint(slot.clone(), &reset_key).map_err(refused("QUIC"))?;
        let uploads =
            Uploads::open(&config.data, config.files.clone()).map_err(refused("the folder of files"))?;

        // All else is in order: what is kept by the running server, and from here on nobody reads the sockets but we.
        let mut store = match (store.take(), &mut before) {
            (None, Some(before)) => JournalStore::take_over(&config.data, before.store()?)?,
            (Some(store), _) => store,
            (None, None) => JournalStore::open(&config.data)?,
        };
        let mut directory = Directory::new(store.load()?, Box::new(SystemEntropy::default()));
        directory.app_or_new(DEFAULT_APP)?;
        let demo = if config.demo { Some(directory.demo_group().map_err(StartError::Demo)?) } else { None };
        let live = before.as_mut().map(Predecessor::take_over).transpose()?;
        let (taken, left) = live.map(sort_out).unwrap_or_default();
        let shard_config = ShardConfig { sockets, io: choice, pin: false };
        seats
            .start(shard_config, seed, &left, |shard| sinks(shard, &control, &handshakes, &intake))
            .map_err(refused("the threads that move media"))?;

        // The control plane.
        let rooms = rooms::Config {
            candidates,
            streams,
            fingerprint: current.hash(),
            voices: config.voices,
            handshakes: HANDSHAKES_IN_FLIGHT,
        };
        let now = net::now();
        let went_over: HashSet<_> = left.iter().map(|(params, _)| params.id).collect();
        let state = taken.go_on(now, directory, rooms, |id| went_over.contains(&id));
        let keeper = StoreThread::start(Box::new(store));
        let commits = keeper.commits();
        let actor = inbox.start(Parts {
            state,
            keeper: Box::new(keeper),
            data_plane: Box::new(shards.clone()),
            handshakes: Box::new(handshakes.clone()),
            hooks: Hooks::start(config.webhooks.as_ref()),
            now,
        });
        // The first turn keeps what making the demo group changed.
        runtime.block_on(control.with(|_, _| ()))?;
        let origins = Origins::new(config.origins.clone());
        task::spawn(quic::serve(endpoint.clone(), quic_socket, control.clone(), origins.clone()));

        // The ways in for people.
        let hashes = Arc::new(RwLock::new(certificates.hashes()));
        if let (Some(settings), Some(files)) = (&config.acme, kept) {
            runtime.spawn(acme::run(settings.clone(), files, page.challenges()));
        }
        let page = page.behind(config.proxies.clone()).with_media(carrier(&shards));
        let link = demo.map(|(gid, pin)| http::link(page.address(), page.secure(), gid, &pin));
        task::spawn(uploads.clone().keep_tidy(control.clone()));
        let watch = Watch::new(control.clone(), shards.clone(), commits, media.clone());
        let watch = Arc::new(watch);
        let metrics = metrics.map(|metrics| metrics.start_watch(Arc::clone(&watch)));
        let site = Site {
            uploads: uploads.clone(),
            control: control.clone(),
            signal: media.clone(),
            hashes: {
                let hashes = hashes.clone();
                Box::new(move || read(&hashes))
            },
            healthy: {
                let shards = shards.clone();
                Box::new(move || shards.turning())
            },
            origins: origins.clone(),
            mail: mail(config),
            v1: V1::new(&key, report(&shards)),
        };
        let page = page.start_watched(site, watch);
        let admin = admin::serve_successors(&config.data, control.clone(), Some(inheritance))
            .map_err(refused("the admin socket"))?;
        if let Some(before) = before {
            before.serving().map_err(HandoverError::from)?;
        }
        task::spawn(renew(certificates, slot, handshakes, control.clone(), hashes));
        drop(entered);
        Ok(Self {
            runtime: Some(runtime),
            shards,
            control,
            endpoint,
            actor,
            admin,
            media,
            page: Some(page),
            metrics,
            link,
            secure: config.tls.is_some(),
            origins,
            uploads,
            successors: Mutex::new(successors),
            intake,
        })
    }

    /// Lets those settings act that do so while the server runs. The link into the demo room, if there is to be one.
    pub async fn apply(&self, now: &Config) -> Result<Option<String>, Unavailable> {
        self.origins.set(now.origins.clone());
        self.uploads.set_rules(now.files.clone());
        let (voices, demo) = (now.voices, now.demo);
        let made = self.control.with(move |state, _| {
            state.rooms.set_voices(voices);
            demo.then(|| state.directory.demo_group())
        });
        let room = match made.await? {
            Some(Err(failure)) => {
                warn!("there is no demo room: {failure}");
                None
            }
            made => made.and_then(Result::ok),
        };
        let page = room.zip(self.http_address());
        Ok(page.map(|((gid, pin), address)| http::link(address, self.secure, gid, &pin)))
    }

    /// Where media and signalling listen, with the ports that the kernel chose where 0 was asked for.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        &self.media
    }

    /// Where the web page is.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(Serving::address)
    }

    /// Where `/metrics` is served apart, if it is.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Serving::address)
    }

    /// The link into the demo room, if there is one.
    pub fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }

    /// The control plane.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The data plane.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Reads the page's certificate again if its files changed.
    pub fn refresh_certificate(&self) {
        self.page.iter().for_each(Serving::refresh_certificate);
    }

    /// Runs something beside the control plane and waits for it.
    pub fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        self.runtime.as_ref().map(|runtime| runtime.block_on(future))
    }

    /// Waits until somebody is ready to take over. Until [`Server::give_way`] everything rests.
    pub async fn successor(&self) -> Successor {
        match self.successors.lock().await.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Leaves everything to the successor: sends the clients on, and returns when it serves and they have had time to hear it.
    pub fn give_way(mut self, successor: Successor) -> Result<(), HandoverError> {
        let Some(runtime) = self.runtime.take() else { return Ok(()) };
        // The shards' own end with them, and signalling with the last: but there is something left to be said.
        let _open = self.intake.clone();
        let mut serving: Vec<_> = [self.page.take(), self.metrics.take()].into_iter().flatten().collect();
        runtime.block_on(async {
            for serving in &mut serving {
                serving.close().await;
            }
        });
        self.shards.stop();
        let followed = successor
            .go(self.shards.take_snapshots())
            .map_err(HandoverError::from)
            .and_then(Gone::await_serving);
        runtime.block_on(async {
            for serving in serving {
                serving.stop().await;
            }
            // What is lost on the way is said again.
            let _ = tokio::time::timeout(SENT_ON, self.endpoint.wait_idle()).await;
        });
        runtime.stop();
        followed
    }

    /// Tells clients that the server goes, waits a moment for them to hear it, and stops.
    pub fn stop(mut self) {
        self.endpoint.close(1, b"the server stops");
        if let Some(runtime) = self.runtime.take() {
            let (page, metrics) = (self.page.take(), self.metrics.take());
            let told = runtime.block_on(async {
                for serving in [page, metrics].into_iter().flatten() {
                    serving.stop().await;
                }
                tokio::time::timeout(GOODBYE, self.endpoint.wait_idle()).await
            });
            if told.is_err() {
                info!("some clients did not hear that the server stops");
            }
            runtime.stop();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.actor.abort();
        self.admin.abort();
        self.shards.stop();
    }
}

/// How codes reach people: where no mail server is named, by the log, as long as nobody but this host reaches us.
fn mail(config: &Config) -> Mail {
    let reached = config.listen.iter().chain([&config.http]).any(|address| !address.ip().is_loopback());
    match &config.mail {
        Some(server) => Mail::Server(Box::new(Mailer::new(server.clone()))),
        None if reached => Mail::Off,
        None => Mail::Log,
    }
}

/// Whose session is whose.
fn sort_out(live: Live) -> (Taken, Vec<Left>) {
    let taken = Taken::read(&live.rooms);
    let connections = taken.connections();
    let with_params = |snapshot: Snapshot| Some((Arc::clone(connections.get(&snapshot.id)?), snapshot));
    let left: Vec<_> = live.sessions.into_iter().filter_map(with_params).collect();
    info!("{} media sessions go on", left.len());
    (taken, left)
}

fn report_handshakes(control: &Control) -> Box<dyn Fn(crate::router::id::SessionId, Outcome) + Send + Sync> {
    let control = control.clone();
    Box::new(move |session, outcome| match outcome {
        Outcome::Secured { .. } => control.handshake(session, Ok(())),
        Outcome::Failed(failure) => control.handshake(session, Err(failure.to_string())),
    })
}

/// What the server says of itself, asked at every `/v1/node`.
fn report(shards: &Shards) -> Box<dyn Fn() -> NodeReport + Send + Sync> {
    let (shards, started) = (shards.clone(), std::time::Instant::now());
    Box::new(move || {
        let shown = |stats: ShardStats| {
            let router = stats.router;
            ShardReport {
                counted_at_ms: stats.at.as_micros() / 1000,
                processor_ms: u64::try_from(stats.processor_time.as_millis()).unwrap_or(u64::MAX),
                packets_in: router.packets_in,
                bytes_in: router.bytes_in,
                packets_out: router.packets_out,
                bytes_out: router.bytes_out,
                retransmitted: router.retransmitted,
                drops: stats.drops(),
                panics: stats.panics,
                sessions: stats.gauges.sessions,
                subscriptions: stats.gauges.subscriptions,
            }
        };
        NodeReport {
            healthy: shards.turning(),
            uptime_s: started.elapsed().as_secs(),
            processor_ms: process::cpu_seconds().map(|seconds| (seconds * 1000.0) as u64),
            memory: process::resident_bytes(),
            shards: shards.stats().into_iter().map(shown).collect(),
        }
    })
}

fn sinks(shard: ShardId, control: &Control, handshakes: &Handshakes, intake: &QuicIntake) -> Sinks {
    let (control, handshakes, intake) = (control.clone(), handshakes.clone(), intake.clone());
    Sinks {
        event: Box::new(move |event| match event {
            Event::Dtls { session, datagram } => handshakes.feed(session, shard, datagram),
            event => control.shard_event(shard, event),
        }),
        quic: Box::new(move |path, datagram| intake.deliver(path, datagram)),
    }
}

/// What clients are told to send media to: the advertised addresses, else those that we listen on, with every address
/// of this host where we listen on all.
fn candidates(listening: &[SocketAddr], advertised: &[IpAddr]) -> io::Result<Vec<SocketAddr>> {
    let own = if listening.iter().any(|address| address.ip().is_unspecified()) {
        net::addresses()?
    } else {
        Vec::new()
    };
    let mut found = Set::new();
    for at in listening {
        let same_family = |ip: &&IpAddr| ip.is_ipv4() == at.is_ipv4();
        let known: Vec<IpAddr> = if advertised.is_empty() && at.ip().is_unspecified() {
            own.iter().filter(same_family).copied().collect()
        } else if advertised.is_empty() {
            vec![at.ip()]
        } else {
            advertised.iter().filter(same_family).copied().collect()
        };
        // Loopback last: it is of use to this host alone.
        found.extend(known.into_iter().map(|ip| (ip.is_loopback(), SocketAddr::new(ip, at.port()))));
    }
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

/// Where clients are told to send media by TCP: the page's port. Not where only this host reaches it, as behind a proxy,
/// unless media does not leave this host either.
fn streams(media: &[SocketAddr], page: SocketAddr, advertised: &[IpAddr]) -> io::Result<Vec<SocketAddr>> {
    let inside = |at: &SocketAddr| at.ip().is_loopback();
    if inside(&page) && !media.iter().all(inside) {
        return Ok(Vec::new());
    }
    candidates(&[page], advertised)
}

/// Takes connections that carry media to the shards.
fn carrier(shards: &Shards) -> http::Media {
    let (shards, places) = (shards.clone(), Places::default());
    Arc::new(move |socket| match Stream::new(socket, &places) {
        Ok(stream) => shards.carry(stream),
        Err(error) => debug!("a TCP connection for media was refused: {error}"),
    })
}

/// Puts the next certificate into service when its time comes.
async fn renew(
    mut certificates: Certificates,
    slot: Arc<CertificateSlot>,
    handshakes: Handshakes,
    control: Control,
    hashes: Arc<RwLock<Vec<String>>>,
) {
    loop {
        let wait = certificates.due().saturating_sub(unix_now()).min(RENEWAL_LOOK);
        tokio::time::sleep(wait.max(Duration::from_secs(1))).await;
        match certificates.rotate(unix_now()) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(e) => {
                error!("the certificate could not be renewed: {e}");
                tokio::time::sleep(Duration::from_secs(60)).await;
                continue;
            }
        }
        let current = certificates.current();
        let (certificate, private_key) = (current.certificate().to_vec(), current.private_key().to_vec());
        if let Err(e) = slot.swap(&certificate, &private_key) {
            error!("the new certificate does not serve: {e}");
            continue;
        }
        handshakes.renew(Identity { certificate, private_key });
        let fingerprint = current.hash();
        if control.with(move |state, _| state.rooms.set_fingerprint(fingerprint)).await.is_err() {
            return;
        }
        *hashes.write().unwrap_or_else(PoisonError::into_inner) = certificates.hashes();
        info!("a new certificate is in service");
    }
}

fn read(hashes: &RwLock<Vec<String>>) -> Vec<String> {
    hashes.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn random_seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed)
        .map_err(|_| io::Error::other("no entropy"))?;
    Ok(u64::from_ne_bytes(seed))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn clients_are_told_where_we_listen() {
        let told = candidates(&[at("127.0.0.1:4433"), at("[::1]:4434")], &[]).expect("no system call");
        assert_eq!(told, [at("127.0.0.1:4433"), at("[::1]:4434")]);
    }

    #[test]
    fn behind_a_nat_clients_are_told_the_advertised_addresses_of_the_same_family() {
        let advertised = ["203.0.113.7".parse().expect("v4"), "2001:db8::7".parse().expect("v6")];
        let told = candidates(&[at("10.0.0.2:443")], &advertised).expect("no system call");
        assert_eq!(told, [at("203.0.113.7:443")]);
    }

    #[test]
    fn who_listens_everywhere_tells_every_address_with_loopback_last() {
        let told = candidates(&[at("0.0.0.0:4433")], &[]).expect("the host has addresses");
        assert_eq!(told.last(), Some(&at("127.0.0.1:4433")));
        assert!(told.iter().all(|address| address.is_ipv4() && !address.ip().is_unspecified()));
    }
}
