//! A relay between clients and the server that impairs what passes, reproducibly: the links of the simulator
//! (rate, drop-tail queue, delay, jitter, loss) in real time.
//!
//! All clients share one link in each direction, and each has a socket of its own towards the server.

mod link;
mod tally;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

pub use link::{Impairment, schedule};
pub(crate) use link::{at, instant};
use tally::Tally;

use crate::Error;
use crate::drive::Way;

/// Clients at a time; the one that was silent longest makes room.
const MAX_CLIENTS: usize = 1000;
/// Datagrams that wait between the server's side and the link.
const BACKLOG: usize = 4096;
/// No datagram is larger.
const LARGEST: usize = 65_536;

/// What to relay, and how badly.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients send to.
    pub listen: SocketAddr,
    /// The server.
    pub to: SocketAddr,
    /// The same seed, the same losses.
    pub seed: u64,
    /// From the server to clients.
    pub down: Impairment,
    /// From clients to the server.
    pub up: Impairment,
    /// Rates of the way down in kbit/s, each from a second on.
    pub schedule: Vec<(u64, u64)>,
}

struct Client {
    upstream: Arc<UdpSocket>,
    reader: tokio::task::JoinHandle<()>,
    heard: Instant,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// See the module.
pub struct Relay {
    options: Options,
    socket: Arc<UdpSocket>,
    clients: HashMap<SocketAddr, Client>,
    from_server: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    backlog: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    began: Instant,
    /// Each direction with a seed of its own, so that what passes in one changes nothing in the other.
    down: Way<SocketAddr>,
    up: Way<SocketAddr>,
    tally: Tally,
}

/// Lines of standard input, read by a thread of their own: reading it blocks.
pub fn commands() -> mpsc::Receiver<String> {
    let (out, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if out.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Relay {
    /// A relay that listens.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let socket = Arc::new(UdpSocket::bind(options.listen).await?);
        let (from_server, backlog) = mpsc::channel(BACKLOG);
        let began = Instant::now();
        Ok(Self {
            down: Way::new(options.down.link(&options.schedule, at(began, began)), began, options.seed),
            up: Way::new(options.up.link(&[], at(began, began)), began, !options.seed),
            tally: Tally::new(began),
            socket,
            clients: HashMap::new(),
            from_server,
            backlog,
            began,
            options,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.socket.local_addr()?)
    }

    /// Relays for ever. Commands steer it: `start` begins the schedule and the tally anew, `settled` the tally of waiting
    /// alone, `report` prints the tally as one line of JSON.
    pub async fn run(mut self, mut commands: mpsc::Receiver<String>) {
        let socket = self.socket.clone();
        let mut buf = vec![0; LARGEST];
        loop {
            let next = self.down.next().into_iter().chain(self.up.next()).min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next.into()) => self.deliver(),
                Some((client, bytes)) = self.backlog.recv() => self.take(true, client, bytes),
                came = socket.recv_from(&mut buf) => {
                    // A client that went away makes its port unreachable: an error of the past, not of this call.
                    if let Ok((len, client)) = came
                        && self.admit(client).await.is_ok()
                        && let Some(bytes) = buf.get(..len)
                    {
                        self.take(false, client, bytes.to_vec());
                    }
                }
                Some(line) = commands.recv() => match line.trim() {
                    "start" => self.start(),
                    "settled" => self.tally.settled(),
                    "report" => println!("{}", self.tally.json()),
                    other => eprintln!("millrace-load relay: `start`, `settled` or `report`, not `{other}`"),
                },
            }
        }
    }

    fn start(&mut self) {
        let now = Instant::now();
        self.tally = Tally::new(now);
        self.down.replace(self.options.down.link(&self.options.schedule, at(self.began, now)));
    }

    /// Sees to it that a client has a socket towards the server.
    async fn admit(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let now = Instant::now();
        if let Some(client) = self.clients.get_mut(&address) {
            client.heard = now;
            return Ok(());
        }
        if self.clients.len() >= MAX_CLIENTS {
            let silent = self.clients.iter().min_by_key(|(_, c)| c.heard).map(|(a, _)| *a);
            silent.and_then(|silent| self.clients.remove(&silent));
        }
        let any: IpAddr = match self.options.to {
            SocketAddr::V4(to) if to.ip().is_loopback() => [127, 0, 0, 1].into(),
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0u16; 8].into(),
        };
        let upstream = Arc::new(UdpSocket::bind((any, 0)).await?);
        upstream.connect(self.options.to).await?;
        let (socket, out) = (upstream.clone(), self.from_server.clone());
        let reader = tokio::spawn(async move {
            let mut buf = vec![0; LARGEST];
            loop {
                let Ok(len) = socket.recv(&mut buf).await else { continue };
                let Some(bytes) = buf.get(..len) else { continue };
                if out.send((address, bytes.to_vec())).await.is_err() {
                    return;
                }
            }
        });
        self.clients.insert(address, Client { upstream, reader, heard: now });
        Ok(())
    }

    /// Puts a datagram on its link.
    fn take(&mut self, down: bool, client: SocketAddr, bytes: Vec<u8>) {
        let now = Instant::now();
        if down {
            let passage = self.down.carry(now, client, bytes);
            self.tally.count(now, &passage);
        } else {
            self.up.take(now, client, bytes);
        }
    }

    /// Hands over what has arrived. What a full socket refuses is lost, as on any network.
    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some((client, bytes)) = self.down.due(now) {
            let _ = self.socket.try_send_to(&bytes, client);
        }
        while let Some((client, bytes)) = self.up.due(now) {
            if let Some(client) = self.clients.get(&client) {
                let _ = client.upstream.try_send(&bytes);
            }
        }
    }
}
