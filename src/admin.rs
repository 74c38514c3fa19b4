//! The admin socket: how `millrace token` and `millrace app` talk to a server that runs.
//!
//! The store belongs to one process at a time. While a server has it, requests go through a Unix socket in the data
//! folder that only the owner may open: a JSON object a line, answered by one. While none runs, whoever asks opens the
//! store itself. A successor of the server says its first line here, too, and goes on as [`crate::handover`] says.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::{AppOptions, Problem, TokenOptions, prepare_data};
use crate::control::directory::{Directory, Failure, SystemEntropy, TokenId, hex};
use crate::control::limits::Limits;
use crate::control::store::{JournalStore, Store, StoreError};
use crate::control::{Control, Unavailable};
use crate::handover::{Estate, HandoverError, Introduction, Predecessor, Successor};
use crate::json;
use crate::signal::message::Secret;
use crate::task;

const FILE: &str = "admin.sock";
const KEY_FILE: &str = "admin.token";
/// The shortest admin token that one may put there.
const KEY_LENGTH: usize = 32;
/// Longest line either way.
const LINE: u64 = 4096;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether everybody is gone.
const LOOK: Duration = Duration::from_secs(1);
/// How long to try while a server starts or stops, and neither socket nor store is to be had.
const BETWEEN: Duration = Duration::from_secs(5);

/// Why there is no token, or no app.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The data folder is of no use.
    #[error("{0}")]
    Data(Problem),
    /// The store is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory refused.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// No server runs.
    #[error("{0}: no server runs over this folder: start one, or give another folder with --data")]
    NotRunning(String),
    /// The server had no time left for it, and did nothing.
    #[error("the running server is just stopping: try again")]
    Stopping,
    /// The server did not answer as it should.
    #[error("the running server did not answer ({0}): look at its log")]
    Server(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Token {
        name: String,
        address: Option<String>,
        #[serde(default)]
        limits: Limits,
    },
    App {
        appid: String,
        several: Option<bool>,
    },
}

impl Request {
    /// A token, or an app's secret.
    fn perform(self, directory: &mut Directory) -> Result<Secret, Failure> {
        match self {
            Self::Token { name, address, limits } => {
                let token = directory.mint_token(&name, address.as_deref())?.token;
                directory.limit_token(TokenId::of(&token), limits)?;
                Ok(Secret(token))
            }
            Self::App { appid, several } => {
                let secret = directory.app_or_new(&appid)?.secret.clone();
                if let Some(several) = several {
                    directory.allow_several(&appid, several)?;
                }
                Ok(secret)
            }
        }
    }
}

/// What only a server that runs can be asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// Let nobody new in.
    Drain,
    /// Keep something: then the control plane and the store work.
    Ready,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Asked {
    Kept(Request),
    Running(Order),
    /// Hand over to who asks this.
    Successor(Introduction),
}

/// What a successor gets, and where it is awaited.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) estate: Estate,
    pub(crate) successors: mpsc::Sender<Successor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Secret(Secret),
    /// Clients that are here.
    Clients(usize),
    Error(String),
}

/// The admin token of a data folder, for REST in resource style: made at first, and readable for the owner alone.
pub fn key(data: &Path) -> io::Result<Secret> {
    let file = data.join(KEY_FILE);
    match fs::read_to_string(&file) {
        Ok(text) if text.trim().len() >= KEY_LENGTH => Ok(Secret(text.trim().to_owned())),
        Ok(_) => {
            let text = format!(
                "{} holds no token of {KEY_LENGTH} characters or more: delete it to have one made",
                file.display()
            );
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
            filled.map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
            let key = hex(&bytes);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            writeln!(file, "{key}")?;
            file.sync_all()?;
            Ok(Secret(key))
        }
        Err(error) => Err(error),
    }
}

/// Answers on the admin socket of a data folder until the task is aborted.
pub fn serve(data: &Path, control: Control) -> io::Result<JoinHandle<()>> {
    serve_successors(data, control, None)
}

/// The same where there is something to hand over.
pub(crate) fn serve_successors(
    data: &Path,
    control: Control,
    inheritance: Option<Arc<Inheritance>>,
) -> io::Result<JoinHandle<()>> {
    let folder = File::open(data)?;
    let path = data.join(FILE);
    // Whoever serves holds the store's lock, so a socket that is there was left by a server that is gone.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(short(&folder))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(task::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (control, inheritance) = (control.clone(), inheritance.clone());
                    task::spawn(async move {
                        // Whoever went away needs no answer.
                        let _ = tokio::time::timeout(PATIENCE, converse(stream, &control, inheritance)).await;
                    });
                }
                Err(error) => {
                    warn!("admin socket: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }))
}

async fn converse(
    mut stream: tokio::net::UnixStream,
    control: &Control,
    inheritance: Option<Arc<Inheritance>>,
) -> io::Result<()> {
    let mut line = String::new();
    tokio::io::BufReader::new((&mut stream).take(LINE)).read_line(&mut line).await?;
    let answer = match json::parse(line.as_bytes()) {
        Ok(Asked::Successor(introduction)) => match inheritance {
            Some(inheritance) => return hand_over(stream, introduction, control.clone(), inheritance),
            None => Answer::Error("there is nothing to hand over".to_owned()),
        },
        Ok(Asked::Running(order)) => {
            let asked = control.with(move |state, _| {
                match order {
                    Order::Drain => state.drain(true),
                    Order::Ready => state.directory.touch(),
                }
                state.rooms.report().links
            });
            asked.await.map_or_else(|unavailable| Answer::Error(unavailable.to_string()), Answer::Clients)
        }
        Ok(Asked::Kept(request)) => {
            match control.with(move |state, _| request.perform(&mut state.directory)).await {
                Ok(Ok(secret)) => Answer::Secret(secret),
                Ok(Err(failure)) => Answer::Error(failure.to_string()),
                Err(unavailable) => Answer::Error(unavailable.to_string()),
            }
        }
        Err(error) => Answer::Error(error.to_string()),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Talks with a successor, on a thread of its own, until it is ready or gives up.
fn hand_over(
    stream: tokio::net::UnixStream,
    introduction: Introduction,
    control: Control,
    inheritance: Arc<Inheritance>,
) -> io::Result<()> {
    let (stream, runtime) = (stream.into_std()?, tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || {
        info!("a successor asks for what this server has");
        let rest = || {
            let rest = async { tokio::time::timeout(PATIENCE, control.rest()).await };
            runtime.block_on(rest).unwrap_or(Err(Unavailable::NotKept))
        };
        let Inheritance { estate, successors } = &*inheritance;
        match Successor::attend(stream, introduction, estate, rest) {
            Ok(successor) => drop(successors.blocking_send(successor)),
            Err(error) => warn!("nothing was handed over, and this server goes on: {error}"),
        }
    });
    Ok(())
}

/// Asks the server that runs over this folder for what it has; `None` where none runs.
pub(crate) fn meet(data: &Path) -> Result<Option<Predecessor>, HandoverError> {
    let Some(mut stream) = connect(data) else { return Ok(None) };
    let mut line = serde_json::to_vec(&Asked::Successor(Introduction::OURS)).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Predecessor::meet(stream).map(Some)
}

/// Mints a token.
pub fn token(options: &TokenOptions) -> Result<String, AdminError> {
    perform(&options.data, || {
        let (name, address, limits) = (options.name.clone(), options.address.clone(), options.limits);
        Request::Token { name, address, limits }
    })
}

/// The secret of an app, which is made if need be.
pub fn app(options: &AppOptions) -> Result<String, AdminError> {
    let request = || Request::App { appid: options.appid.clone(), several: options.several };
    perform(&options.data, request)
}

/// What is asked for is the running server's business, or, if none runs, done here.
fn perform(data: &Path, request: impl Fn() -> Request) -> Result<String, AdminError> {
    prepare_data(data).map_err(AdminError::Data)?;
    let begun = Instant::now();
    loop {
        let performed = match connect(data) {
            Some(stream) => ask(stream, &Asked::Kept(request())).and_then(|answer| match answer {
                Answer::Secret(secret) => Ok(secret.0),
                _ => Err(AdminError::Server("it answered something else".to_owned())),
            }),
            None => perform_here(data, request()),
        };
        match performed {
            Err(AdminError::Store(StoreError::Locked(_)) | AdminError::Stopping)
                if begun.elapsed() < BETWEEN =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

fn perform_here(data: &Path, request: Request) -> Result<String, AdminError> {
    let mut store = JournalStore::open(data)?;
    let mut directory = Directory::new(store.load()?, Box::new(SystemEntropy::default()));
    let secret = request.perform(&mut directory)?;
    store.commit(&directory.take_changes())?;
    Ok(secret.0)
}

fn connect(data: &Path) -> Option<UnixStream> {
    let folder = File::open(data).ok()?;
    UnixStream::connect(short(&folder)).ok()
}

/// Whether the server of this folder runs, its control plane answers and its store keeps things.
pub fn ready(data: &Path) -> Result<(), AdminError> {
    order(data, Order::Ready).map(drop)
}

/// Lets nobody new in, and waits until everybody is gone, or for so long. How many are still here.
pub fn drain(data: &Path, most: Duration) -> Result<usize, AdminError> {
    let begun = Instant::now();
    loop {
        let clients = order(data, Order::Drain)?;
        if clients == 0 || begun.elapsed() >= most {
            return Ok(clients);
        }
        thread::sleep(LOOK.min(most.saturating_sub(begun.elapsed())));
    }
}

fn order(data: &Path, order: Order) -> Result<usize, AdminError> {
    let stream = connect(data).ok_or_else(|| AdminError::NotRunning(data.display().to_string()))?;
    match ask(stream, &Asked::Running(order))? {
        Answer::Clients(clients) => Ok(clients),
        _ => Err(AdminError::Server("it answered something else".to_owned())),
    }
}

fn ask(mut stream: UnixStream, request: &Asked) -> Result<Answer, AdminError> {
    let mut talk = || -> io::Result<Answer> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(io::Read::take(&stream, LINE)).read_line(&mut answer)?;
        Ok(json::parse(answer.as_bytes())?)
    };
    match talk() {
        Ok(Answer::Error(text)) if text == Unavailable::Stopping.to_string() => Err(AdminError::Stopping),
        Ok(Answer::Error(text)) => Err(AdminError::Server(text)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(AdminError::Server(error.to_string())),
    }
}

/// The socket by way of its open folder: the path of a socket may have 107 bytes, that of a folder any number.
fn short(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd()))
}
