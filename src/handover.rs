//! Handing a running server over to a successor on the same host, so that its ports never close.
//!
//! Both talk on the admin socket, and each step waits for the one before:
//! 1. The successor asks, and says which form of this it speaks.
//! 2. The server sends its descriptors, and goes on.
//! 3. The successor says that all else is in order: its settings, certificates, keys.
//! 4. The control plane rests, and the store goes over with the lock on it.
//! 5. The successor has read the store.
//! 6. The server reads nothing any more, sends its clients on, and hands over who is in which room with all media sessions.
//!    What comes waits in the sockets.
//! 7. The successor serves. The server ends.
//!
//! Until step 6 nothing is lost: if the successor fails, or is silent for too long, the server goes on.
//!
//! The first question is a line as all others on that socket. Then each message is a frame: its length and how many descriptors
//! come with it, four bytes each, JSON, and the descriptors.
//!
//! What goes over in step 6 is written as it lies in memory, value after value, and so only for a successor in which all of it has
//! the same [`LAYOUT`]. Any other finds its rooms empty, and the clients join again.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;

use crate::control::{Resting, Unavailable};
use crate::json;
use crate::net::{Layout, Sockets, memory_file, receive_descriptors, send_descriptors};
use crate::router::Snapshot;

/// Which form of all this is spoken here.
pub const FORM: u32 = 2;
/// Which values lie one after the other in what goes over.
pub const LAYOUT: u32 = 1;
/// How long one step of the other side may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest frame.
const FRAME: usize = 64 * 1024;
/// Most descriptors of a frame.
const DESCRIPTORS: usize = 4096;

/// Why nothing was handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The other side said no.
    #[error(
        "the other server does not hand over ({0}), and goes on: look at its log, or stop it and then start this one"
    )]
    Refused(String),
    /// The other side is of another time.
    #[error(
        "the running server speaks another form of handing over ({theirs}, not {ours}), and goes on: stop it, then start this one"
    )]
    Form {
        /// What is spoken here.
        ours: u32,
        /// What is spoken there.
        theirs: u32,
    },
    /// It is to be followed by one with other settings.
    #[error(
        "the running server has {key} = {theirs}, this one {ours}, and that cannot change while it goes on: give the same, or restart it"
    )]
    Differs {
        /// Which setting.
        key: &'static str,
        /// As it is here.
        ours: String,
        /// As it is there.
        theirs: String,
    },
    /// The store cannot go over.
    #[error("what changed cannot be committed ({0}): see to the disk of the data folder")]
    Store(Unavailable),
    /// Nothing more was heard.
    #[error("the other server was not understood, or not heard any more ({0}): look at its log")]
    Silent(#[from] io::Error),
}

/// The first line that a successor says, besides what it wants.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// Which form it speaks.
    form: u32,
    /// How it lays out what goes over.
    #[serde(default)]
    layout: u32,
}

impl Introduction {
    pub(crate) const OURS: Self = Self { form: FORM, layout: LAYOUT };
}

/// What a server has, and hands over.
#[derive(Debug)]
pub(crate) struct Estate {
    /// As the settings say it.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) sockets: Sockets,
    /// With what listens there.
    pub(crate) http: (SocketAddr, OwnedFd),
    pub(crate) metrics: Option<(SocketAddr, OwnedFd)>,
}

/// What is said of it.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    form: u32,
    version: String,
    listen: Vec<SocketAddr>,
    sockets: Layout,
    http: SocketAddr,
    metrics: Option<SocketAddr>,
}

/// Who is in which room, and the media sessions.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// As the control plane wrote it.
    pub(crate) rooms: Vec<u8>,
    pub(crate) sessions: Vec<Snapshot>,
}

impl Live {
    fn write(&self) -> io::Result<File> {
        let written = postcard::to_allocvec(&(LAYOUT, &self.rooms, &self.sessions));
        let mut file = memory_file()?;
        file.write_all(&written.map_err(io::Error::other)?)?;
        Ok(file)
    }

    /// Nothing, if it is of another layout.
    fn read(mut file: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let (layout, rest) = postcard::take_from_bytes::<u32>(&bytes).map_err(io::Error::other)?;
        if layout != LAYOUT {
            warn!("the sessions of the server before are laid out in another way: clients join again");
            return Ok(Self::default());
        }
        let (rooms, sessions) = postcard::from_bytes(rest).map_err(io::Error::other)?;
        Ok(Self { rooms, sessions })
    }
}

/// What follows the offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// Of the successor: all but the store is in order.
    Ready,
    /// Of the server: here is the store.
    Store,
    /// Of the successor: it was read.
    Loaded,
    /// Of the server: nothing is read here any more, and this is what is not kept.
    Go,
    /// Of the successor: it serves.
    Serving,
    /// Of either: nothing comes of it, and why.
    No(String),
}

/// Frames both ways.
#[derive(Debug)]
struct Line(UnixStream);

impl Line {
    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    fn say(&mut self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let mut frame = Vec::with_capacity(8 + body.len());
        for number in [body.len(), descriptors.len()] {
            frame.extend(u32::try_from(number).map_err(io::Error::other)?.to_be_bytes());
        }
        frame.extend(body);
        self.0.write_all(&frame)?;
        send_descriptors(&self.0, descriptors)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<OwnedFd>)> {
        let mut numbers = [[0; 4]; 2];
        self.0.read_exact(numbers.as_flattened_mut())?;
        if let [[b'{', ..], _] = numbers {
            return Err(odd("it knows of no successors"));
        }
        let [len, count] = numbers.map(|bytes| u32::from_be_bytes(bytes) as usize);
        if len > FRAME || count > DESCRIPTORS {
            return Err(odd("a frame is too long"));
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body)?;
        let descriptors = receive_descriptors(&self.0, count)?;
        Ok((json::parse(&body)?, descriptors))
    }

    /// Waits for this step and no other.
    fn await_step(&mut self, expected: &Step) -> Result<Vec<OwnedFd>, HandoverError> {
        match self.hear::<Step>()? {
            (step, descriptors) if step == *expected => Ok(descriptors),
            (Step::No(why), _) => Err(HandoverError::Refused(why)),
            _ => Err(odd("it said something else than was its turn").into()),
        }
    }
}

fn odd(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// As the running server sees it: whoever is ready to take over.
#[derive(Debug)]
pub struct Successor {
    line: Line,
    resting: Resting,
    /// Whether it reads what goes over.
    goes_on: bool,
}

impl Successor {
    /// Steps 2 to 5; `rest` lets the control plane rest.
    pub(crate) fn attend(
        stream: UnixStream,
        introduction: Introduction,
        estate: &Estate,
        rest: impl FnOnce() -> Result<Resting, Unavailable>,
    ) -> Result<Self, HandoverError> {
        let mut line = Line::new(stream)?;
        let Estate { listen, sockets, http, metrics } = estate;
        let offer = Offer {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: listen.clone(),
            sockets: sockets.layout(),
            http: http.0,
            metrics: metrics.as_ref().map(|metrics| metrics.0),
        };
        if introduction.form != FORM {
            line.say(&offer, &[])?;
            return Err(HandoverError::Form { ours: FORM, theirs: introduction.form });
        }
        let mut descriptors = sockets.descriptors();
        descriptors.push(http.1.as_fd());
        descriptors.extend(metrics.as_ref().map(|metrics| metrics.1.as_fd()));
        line.say(&offer, &descriptors)?;
        line.await_step(&Step::Ready)?;
        let resting = match rest() {
            Ok(resting) => resting,
            Err(why) => {
                line.say(&Step::No(why.to_string()), &[])?;
                return Err(HandoverError::Store(why));
            }
        };
        line.say(&Step::Store, &[resting.store.as_fd()])?;
        line.await_step(&Step::Loaded)?;
        Ok(Self { line, resting, goes_on: introduction.layout == LAYOUT })
    }

    /// Step 6, once nothing is read here any more: sends the clients on, and hands over `sessions`.
    pub(crate) fn go(self, sessions: Vec<Snapshot>) -> io::Result<Gone> {
        let Self { mut line, mut resting, goes_on } = self;
        let live = Live { rooms: std::mem::take(&mut resting.live), sessions }.write()?;
        resting.end(goes_on);
        line.say(&Step::Go, &[live.as_fd()])?;
        Ok(Gone(line))
    }
}

/// What is handed over.
#[derive(Debug)]
pub(crate) struct Gone(Line);

impl Gone {
    /// Step 7: waits until the successor serves.
    pub(crate) fn await_serving(mut self) -> Result<(), HandoverError> {
        self.0.await_step(&Step::Serving).map(drop)
    }
}

/// As the successor sees it: the running server, and what it hands over.
#[derive(Debug)]
pub(crate) struct Predecessor {
    line: Line,
    /// What it calls its version.
    pub(crate) version: String,
    listen: Vec<SocketAddr>,
    shards: usize,
    sockets: Option<Sockets>,
    listeners: Vec<(SocketAddr, OwnedFd)>,
}

impl Predecessor {
    /// Step 1 has been said on `stream`: takes what is offered.
    pub(crate) fn meet(stream: UnixStream) -> Result<Self, HandoverError> {
        let mut line = Line::new(stream)?;
        let (offer, descriptors) = line.hear::<Value>()?;
        let form = offer.get("form").and_then(Value::as_u64).and_then(|form| u32::try_from(form).ok());
        match form {
            Some(FORM) => {}
            Some(theirs) => return Err(HandoverError::Form { ours: FORM, theirs }),
            None => return Err(HandoverError::Refused("it says nothing that is known here".to_owned())),
        }
        let Offer { version, listen, sockets: layout, http, metrics, .. } =
            json::read(offer).map_err(io::Error::from)?;
        let mut descriptors = descriptors.into_iter();
        let sockets = Sockets::from_descriptors(&layout, &mut descriptors)?;
        let listeners = [http].into_iter().chain(metrics).zip(descriptors).collect();
        Ok(Self { line, version, listen, shards: layout.shards, sockets: Some(sockets), listeners })
    }

    /// The UDP sockets, if they are what the settings ask for.
    pub(crate) fn sockets(&mut self, listen: &[SocketAddr], shards: usize) -> Result<Sockets, HandoverError> {
        let list = |addresses: &[SocketAddr]| {
            addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
        };
        let differs = |key, ours, theirs| Err(HandoverError::Differs { key, ours, theirs });
        if self.listen != listen {
            return differs("listen", list(listen), list(&self.listen));
        }
        if self.shards != shards {
            return differs("shards", shards.to_string(), self.shards.to_string());
        }
        self.sockets.take().ok_or_else(|| HandoverError::Silent(odd("the sockets were taken already")))
    }

    /// What listens for TCP at an address of the settings, if anything does.
    pub(crate) fn listener(&mut self, asked: SocketAddr) -> Option<OwnedFd> {
        let at = self.listeners.iter().position(|(address, _)| *address == asked)?;
        Some(self.listeners.swap_remove(at).1)
    }

    /// Steps 3 and 4: the store, of which nothing changes from now on.
    pub(crate) fn store(&mut self) -> Result<File, HandoverError> {
        self.line.say(&Step::Ready, &[])?;
        let mut store = self.line.await_step(&Step::Store)?;
        let file = store.pop().ok_or_else(|| HandoverError::Silent(odd("the store did not come")))?;
        Ok(file.into())
    }

    /// Steps 5 and 6: returns when the sockets and the store are ours alone.
    pub(crate) fn take_over(&mut self) -> Result<Live, HandoverError> {
        self.line.say(&Step::Loaded, &[])?;
        let live = self.line.await_step(&Step::Go)?.pop();
        let live = live.ok_or_else(|| odd("who is in the rooms did not come"))?;
        // The other server has let go: whatever is wrong with this, people come in again.
        Ok(Live::read(live.into()).inspect_err(|e| warn!("nobody stays in a room: {e}")).unwrap_or_default())
    }

    /// Step 7.
    pub(crate) fn serving(mut self) -> io::Result<()> {
        self.line.say(&Step::Serving, &[])
    }
}
