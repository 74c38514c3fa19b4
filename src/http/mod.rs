//! REST, WHIP and WHEP, health, the web app and signalling by WebSocket, over HTTP/1.1 and, with a certificate, HTTPS.
//!
//! Media comes to the same port where UDP does not get through (RFC 6544). The first byte of a connection tells: TLS begins
//! with 22 and a request with a letter, but a packet of ICE with the upper half of its length, which is 0 or 1.

mod files;
pub(crate) mod operations;
mod pages;
mod places;
mod proxy;
mod site;
mod socket;
mod tls;
mod uploads;
mod v1;
mod whip;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use self::pages::Pages;
use self::places::{Place, Places};
pub use self::proxy::{Network, Proxies};
pub use self::site::Site;
pub use self::tls::Challenges;
use self::tls::{CHALLENGE, Certificate};
use self::uploads::FileBody;
pub use self::uploads::Uploads;
pub use self::v1::{NodeReport, ShardReport, V1, openapi};
use crate::config::Tls;
use crate::task;
use crate::watch::Watch;

/// What an answer holds.
#[derive(Debug)]
enum Content {
    /// All of it.
    Whole(Full<Bytes>),
    /// A file, read as it is sent.
    File(FileBody),
    /// Events, as they happen.
    Events(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Self::File(file) => file.poll_piece(cx),
            Self::Events(events) => events.poll_recv(cx).map(|event| Some(Ok(Frame::data(event?)))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::File(file) => file.size(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

type Body = Content;

fn body(bytes: impl Into<Bytes>) -> Body {
    Content::Whole(Full::new(bytes.into()))
}

/// Connections at once; for further ones others have to go.
const CONNECTIONS: usize = 2048;
/// How long a client may take for a TLS handshake, and for the head of a request, idle time before it included.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Longest head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// Most header fields.
const HEAD_FIELDS: usize = 64;
/// How long a connection may live: ends those who ask and then do not read.
const LIFE: Duration = Duration::from_secs(600);
/// The upper half of the length of a connectivity check at most: whatever begins with more is none.
const LONGEST_CHECK: u8 = 1;
/// How often to look whether the certificate's files are others.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Why there is no web page.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not to be had.
    #[error("{address}: {reason}: give another address with --http")]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The certificate or its key is of no use.
    #[error("{file}: {reason}: give PEM files with --tls-cert and --tls-key that belong together")]
    Tls {
        /// Which file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// A bound address.
pub struct Http {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Certificate>>,
    proxies: Arc<Proxies>,
    media: Option<Media>,
}

/// Takes connections that carry media.
pub type Media = Arc<dyn Fn(std::net::TcpStream) + Send + Sync>;

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http({})", self.address)
    }
}

/// A server that serves.
pub struct Serving {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    /// Ends when nothing listens any more.
    deaf: oneshot::Receiver<()>,
    task: JoinHandle<()>,
    certificate: Option<Arc<Certificate>>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Serving({})", self.address)
    }
}

impl Http {
    /// Binds an address.
    pub async fn bind(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, HttpError> {
        Self::bind_or_take(address, None, tls).await
    }

    /// Binds an address, unless another process bound it already and hands over what listens there.
    pub async fn bind_or_take(
        address: SocketAddr,
        taken: Option<OwnedFd>,
        tls: Option<&Tls>,
    ) -> Result<Self, HttpError> {
        let tls = tls.map(Certificate::read).transpose()?.map(Arc::new);
        let bound = async {
            let listener = match taken {
                Some(taken) => TcpListener::from_std(taken.into())?,
                None => TcpListener::bind(address).await?,
            };
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::AddrInUse => "in use by another program".to_owned(),
                io::ErrorKind::AddrNotAvailable => "not an address of this host".to_owned(),
                io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege".to_owned(),
                _ => error.to_string(),
            };
            HttpError::Bind { address, reason }
        })?;
        Ok(Self { listener, address, tls, proxies: Arc::default(), media: None })
    }

    /// What listens, once more, for another process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Where it is bound, with the port that the system chose if it was left to it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it serves HTTPS.
    pub const fn secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Believes what these proxies say of who asks.
    #[must_use]
    pub fn behind(self, proxies: Proxies) -> Self {
        Self { proxies: Arc::new(proxies), ..self }
    }

    /// Hands connections that carry media to `media`; without, they are closed.
    #[must_use]
    pub fn with_media(self, media: Media) -> Self {
        Self { media: Some(media), ..self }
    }

    /// Where an authority is answered that wants to see a name proved; of no use without a certificate.
    pub fn challenges(&self) -> Challenges {
        self.tls.as_ref().map(|certificate| certificate.challenges()).unwrap_or_default()
    }

    /// Starts to serve a site on the current tokio runtime.
    pub fn start(self, site: Site) -> Serving {
        self.serve(Pages::new(Some(site), None))
    }

    /// Starts to serve a site, with `/metrics` for who holds the admin token, and `/readyz`.
    pub fn start_watched(self, site: Site, watch: Arc<Watch>) -> Serving {
        self.serve(Pages::new(Some(site), Some(watch)))
    }

    /// Starts to serve `/metrics` and `/readyz`, to whoever comes.
    pub fn start_watch(self, watch: Arc<Watch>) -> Serving {
        self.serve(Pages::new(None, Some(watch)))
    }

    fn serve(self, pages: Pages) -> Serving {
        let (stop, stopped) = watch::channel(false);
        let (listens, deaf) = oneshot::channel();
        let (address, certificate) = (self.address, self.tls.clone());
        let task = task::spawn(accept(self, Arc::new(pages), (stopped, listens)));
        Serving { address, stop, deaf, task, certificate }
    }
}

impl Serving {
    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the certificate again if its files changed, now and not a moment later.
    pub fn refresh_certificate(&self) {
        self.certificate.iter().for_each(|certificate| certificate.refresh());
    }

    /// Takes no more connections: those that come from now on are whoever's who listens there, too.
    pub async fn close(&mut self) {
        // Fails only if nobody serves any more.
        let _ = self.stop.send(true);
        let _ = (&mut self.deaf).await;
    }

    /// Takes no more connections, lets requests under way end, and is done.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if self.task.await.is_err() {
            warn!("the web server ended by a panic");
        }
    }
}

/// The one link that drops a person into a room.
pub fn link(http: SocketAddr, secure: bool, gid: crate::control::ids::Gid, pin: &str) -> String {
    let scheme = if secure { "https" } else { "http" };
    let host = match http.ip() {
        // A secure context even without TLS, so that there is a camera.
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    format!("{scheme}://{host}:{}/?gid={gid}&pin={pin}", http.port())
}

async fn accept(
    http: Http,
    site: Arc<Pages>,
    (mut stopped, listens): (watch::Receiver<bool>, oneshot::Sender<()>),
) {
    let places = Places::new(CONNECTIONS);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        let place = places.take().await;
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            _ = looks.tick(), if http.tls.is_some() => {
                http.tls.iter().for_each(|certificate| certificate.refresh());
                continue;
            }
            accepted = http.listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others close soon.
                warn!("web server: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (site, media, stopped) = (Arc::clone(&site), http.media.clone(), stopped.clone());
        let (tls, proxies) = (http.tls.clone(), Arc::clone(&http.proxies));
        task::spawn(async move {
            let mut first = [0];
            let attended = async {
                match tokio::time::timeout(HEAD_TIME, stream.peek(&mut first)).await {
                    Ok(Ok(1)) if first[0] <= LONGEST_CHECK => carry(stream, peer, media),
                    Ok(Ok(1)) => connection(stream, peer, (tls, proxies), site, &place, stopped).await,
                    _ => debug!("{peer} said nothing"),
                }
            };
            tokio::select! {
                () = attended => {}
                () = place.needed() => debug!("{peer} was slow when others came"),
            }
        });
    }
    drop((http, listens));
    let _ = tokio::time::timeout(DRAIN, places.empty()).await;
}

/// Hands a connection over to who moves media.
fn carry(stream: TcpStream, peer: SocketAddr, media: Option<Media>) {
    match (media, stream.into_std()) {
        (Some(media), Ok(stream)) => media(stream),
        (Some(_), Err(error)) => debug!("media with {peer}: {error}"),
        (None, _) => debug!("{peer} spoke no HTTP"),
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    (tls, proxies): (Option<Arc<Certificate>>, Arc<Proxies>),
    site: Arc<Pages>,
    place: &Place,
    stopped: watch::Receiver<bool>,
) {
    // Answers are written whole.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(Box::new(stream), peer, proxies, site, place, stopped).await,
        Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.acceptor().accept(stream)).await {
            // The authority has seen what it wanted.
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE) => {}
            Ok(Ok(stream)) => serve(Box::new(stream), peer, proxies, site, place, stopped).await,
            Ok(Err(error)) => debug!("TLS with {peer}: {error}"),
            Err(_) => debug!("TLS with {peer}: too slow"),
        },
    }
}

/// A connection of either kind: of one kind for hyper, whose code would be there twice.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn serve(
    stream: Box<dyn Stream>,
    peer: SocketAddr,
    proxies: Arc<Proxies>,
    site: Arc<Pages>,
    place: &Place,
    mut stopped: watch::Receiver<bool>,
) {
    let answer = service_fn(|request: Request<Incoming>| {
        let (site, from) = (Arc::clone(&site), proxies.client(peer.ip(), request.headers()));
        async move {
            place.is_answered(true);
            let answer = site.answer(from, request).await;
            place.is_answered(false);
            Ok::<Response<Body>, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.changed() => None,
        () = tokio::time::sleep(LIFE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(HEAD_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!("HTTP with {peer}: {error}");
    }
}
