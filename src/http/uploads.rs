//! Files of chats: `POST /files` takes one, `GET /files/{id}` gives it to who may have it. Bytes go from the socket to the
//! data folder and back piece by piece; what a browser gets it saves, and never runs.

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use super::site::{json_answer, not_allowed};
use super::{Body, Content};
use crate::control::Control;
use crate::control::directory::{File, FileId, FileRules, NoFile};
use crate::control::ids::{Gid, Uid};

/// How long a client may take for the next piece of a file.
const PIECE_TIME: Duration = Duration::from_secs(15);
/// Bytes read from the disk at a time.
const PIECE: usize = 64 * 1024;
/// Bytes of a refused file that are read, so that its sender gets to read the refusal.
const REFUSED_BYTES: usize = 1024 * 1024;
/// How often what is gone is deleted.
const TEND_EVERY: Duration = Duration::from_secs(10);
/// What a browser that opens a file all the same lets it do.
const POLICY: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// The files in the data folder.
#[derive(Clone, Debug)]
pub struct Uploads {
    folder: Arc<Path>,
    rules: Arc<RwLock<Arc<FileRules>>>,
}

impl Uploads {
    /// The files of a data folder, whose place is made if it is not there.
    pub fn open(data: &Path, rules: FileRules) -> io::Result<Self> {
        let folder = data.join("files");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder: folder.into(), rules: Arc::new(RwLock::new(Arc::new(rules))) })
    }

    /// From now on these rules hold for what is sent.
    pub fn set_rules(&self, rules: FileRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<FileRules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a client may send, as it is told.
    pub(super) fn told(&self) -> Value {
        let rules = self.rules();
        json!({ "maxBytes": rules.largest, "types": rules.types })
    }

    /// Deletes what nobody knows any more: what a crash left behind.
    pub async fn sweep(&self, control: &Control) {
        let Ok(known) = control.with(|state, _| state.directory.known_files()).await else { return };
        let folder = Arc::clone(&self.folder);
        let swept = spawn_blocking(move || -> io::Result<()> {
            for entry in fs::read_dir(&*folder)? {
                let entry = entry?;
                let id = entry.file_name().to_str().and_then(FileId::parse);
                if id.is_none_or(|id| !known.contains(&id)) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        if let Ok(Err(error)) = swept.await {
            warn!("files that nobody knows could not be deleted: {error}");
        }
    }

    /// Deletes the bytes of files that are gone since the last call.
    pub async fn tend(&self, control: &Control) {
        let gone = control.with(|state, now| state.directory.take_gone_files(now.unix)).await;
        let paths: Vec<_> = gone.unwrap_or_default().into_iter().map(|id| self.path(id)).collect();
        let deleted = spawn_blocking(move || {
            for path in paths {
                if let Err(error) = fs::remove_file(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    warn!("{}: {error}", path.display());
                }
            }
        });
        let _ = deleted.await;
    }

    /// Sweeps once and tends for as long as the control plane is there.
    pub async fn keep_tidy(self, control: Control) {
        self.sweep(&control).await;
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            self.tend(&control).await;
        }
    }

    fn path(&self, id: FileId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// Answers what is asked below `/files`.
    pub(super) async fn answer(&self, control: &Control, request: Request<Incoming>) -> Response<Body> {
        let id = request.uri().path().strip_prefix("/files/").map(str::to_owned);
        match (id, request.method()) {
            (None, &Method::POST) => match self.take(control, request).await {
                Ok(file) => {
                    let mut response = json_answer(&json!(file));
                    *response.status_mut() = StatusCode::CREATED;
                    response
                }
                Err(refusal) => refusal.response(),
            },
            (None, _) => not_allowed("POST, OPTIONS"),
            (Some(id), &Method::GET | &Method::HEAD) => {
                self.give(control, &id, &request).await.unwrap_or_else(Refusal::response)
            }
            (Some(_), _) => not_allowed("GET, HEAD, OPTIONS"),
        }
    }

    async fn take(&self, control: &Control, request: Request<Incoming>) -> Result<File, Refusal> {
        let begun = self.begin(control, &request).await;
        let mut body = request.into_body();
        let file = match begun {
            Ok(file) => file,
            Err(refusal) => {
                let mut read = 0;
                while let Ok(Some(piece)) = next(&mut body).await
                    && read < REFUSED_BYTES
                {
                    read += piece.len();
                }
                return Err(refusal);
            }
        };
        // Whoever goes away in the middle ends this here; the room that was made is given back in time.
        let kept = self.write(&file, body).await;
        let (id, whole) = (file.id, kept.is_ok());
        control.with(move |state, _| state.directory.end_file(id, whole)).await.map_err(|_| Refusal::BUSY)?;
        if !whole {
            self.tend(control).await;
        }
        kept.map(|()| file)
    }

    /// Makes room for a file, if it may be sent.
    async fn begin(&self, control: &Control, request: &Request<Incoming>) -> Result<File, Refusal> {
        let headers = request.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let size: u64 = length.ok_or(Refusal::LENGTH)?;
        let token = bearer(headers).ok_or(Refusal::AUTH)?.to_owned();
        let query = Query::of(request.uri().query());
        let gid = query.get("gid").and_then(|gid| gid.parse().ok()).map(Gid).ok_or(Refusal::GROUP)?;
        let name = query.get("name").unwrap_or_default().to_owned();
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let rules = self.rules();
        let begun = control.with(move |state, now| {
            let Some(user) = state.directory.authenticate(now.unix, &token) else {
                return Err(Refusal::AUTH);
            };
            let begun = state.directory.begin_file(now.unix, (user.uid, gid), (&name, &kind, size), &rules);
            begun.map_err(Refusal::from)
        });
        begun.await.unwrap_or(Err(Refusal::BUSY))
    }

    /// Writes a file piece by piece.
    async fn write(&self, file: &File, mut body: Incoming) -> Result<(), Refusal> {
        let path = self.path(file.id);
        let opened =
            spawn_blocking(move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
        let mut to = on_disk(opened).await?;
        let mut left = file.size;
        while let Some(piece) = next(&mut body).await? {
            left = left.checked_sub(piece.len() as u64).ok_or(Refusal::LENGTH)?;
            let written = spawn_blocking(move || to.write_all(&piece).map(|()| to));
            to = on_disk(written).await?;
        }
        if left != 0 {
            return Err(Refusal::LENGTH);
        }
        on_disk(spawn_blocking(move || to.sync_data())).await
    }

    /// Gives a file to who has a link to it, or a token of somebody who may have it.
    async fn give(
        &self,
        control: &Control,
        id: &str,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let id = FileId::parse(id).ok_or(Refusal::NONE)?;
        let token = bearer(request.headers()).map(str::to_owned);
        let link = Query::of(request.uri().query()).get("link").map(str::to_owned);
        let found = control.with(move |state, now| {
            let directory = &mut state.directory;
            if let Some(link) = link {
                return directory.file_by_link(now.unix, id, &link).ok_or(Refusal::NONE);
            }
            let user =
                token.and_then(|token| directory.authenticate(now.unix, &token)).ok_or(Refusal::AUTH)?;
            let uid: Uid = user.uid;
            directory.file_for(now.unix, uid, id).ok_or(Refusal::NONE)
        });
        let file = found.await.unwrap_or(Err(Refusal::BUSY))?;
        let asked = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        let part = match asked.map(|range| part(range, file.size)) {
            Some(Some(Err(()))) => return Ok(beyond(file.size)),
            Some(Some(Ok(part))) => Some(part),
            // RFC 9110 section 14.2: what is not understood is ignored.
            Some(None) | None => None,
        };
        let (from, length) = part.unwrap_or((0, file.size));
        let path = self.path(id);
        let opened = on_disk(spawn_blocking(move || {
            let mut opened = fs::File::open(path)?;
            opened.seek(SeekFrom::Start(from))?;
            Ok(opened)
        }))
        .await?;
        let content = match *request.method() {
            Method::HEAD => Content::Whole(Bytes::new().into()),
            _ => Content::File(FileBody { left: length, state: Reading::At(opened) }),
        };
        let mut response = Response::new(content);
        if part.is_some() {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let headers = response.headers_mut();
        let mut put = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        put(CONTENT_TYPE, file.kind.clone());
        put(CONTENT_DISPOSITION, disposition(&file.name));
        put(CONTENT_LENGTH, length.to_string());
        if part.is_some() {
            let last = (from + length).saturating_sub(1);
            put(CONTENT_RANGE, format!("bytes {from}-{last}/{}", file.size));
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        Ok(response)
    }
}

/// The next piece of a body, in time.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        match tokio::time::timeout(PIECE_TIME, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => return Ok(Some(piece)),
                Err(_) => continue,
            },
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) | Err(_) => return Err(Refusal::LENGTH),
        }
    }
}

async fn on_disk<T>(work: JoinHandle<io::Result<T>>) -> Result<T, Refusal> {
    match work.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            warn!("a file of a chat: {error}");
            Err(Refusal::DISK)
        }
        Err(_) => Err(Refusal::DISK),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

/// The parameters of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().take(8).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// First byte and length of what one range asks for (RFC 9110 section 14.1.2); `Err` if nothing of it is there.
fn part(range: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (from, to) = match (from, to) {
        ("", to) => (size.saturating_sub(number(to)?), size.saturating_sub(u64::from(number(to)? > 0))),
        (from, "") => (number(from)?, u64::MAX),
        (from, to) => (number(from)?, number(to)?),
    };
    let last = to.min(size.saturating_sub(1));
    Some(if from >= size || to < from { Err(()) } else { Ok((from, last - from + 1)) })
}

fn beyond(size: u64) -> Response<Body> {
    let mut response = Refusal::RANGE.response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

/// Saves under a name (RFC 6266): a plain one for all, and the right one as RFC 8187 has it.
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Why a file is not taken or given.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
    text: &'static str,
}

impl Refusal {
    const AUTH: Self =
        Self::new(StatusCode::UNAUTHORIZED, "AUTHFAIL", "Give a token: Authorization: Bearer TOKEN.");
    const GROUP: Self = Self::new(StatusCode::BAD_REQUEST, "BADGROUP", "Name a group: ?gid=NUMBER.");
    const NONE: Self =
        Self::new(StatusCode::NOT_FOUND, "NOFILE", "There is no such file, or not for you, or not any more.");
    const LENGTH: Self = Self::new(
        StatusCode::LENGTH_REQUIRED,
        "BADLENGTH",
        "Say how long the file is (Content-Length), and send all of it without long pauses.",
    );
    const RANGE: Self =
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BADRANGE", "The file ends before this range.");
    const DISK: Self =
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "FULL", "The server could not keep or read the file.");
    const BUSY: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The server is stopping.");

    const fn new(status: StatusCode, error: &'static str, text: &'static str) -> Self {
        Self { status, error, text }
    }

    fn response(self) -> Response<Body> {
        let mut response = json_answer(&json!({ "error": self.error, "text": self.text }));
        *response.status_mut() = self.status;
        response
    }
}

impl From<NoFile> for Refusal {
    fn from(why: NoFile) -> Self {
        let (status, error, text) = match why {
            NoFile::NotAllowed => {
                (StatusCode::FORBIDDEN, "NOTALLOWED", "You may not send anything to this group.")
            }
            NoFile::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TOOLARGE", "This file is too large."),
            NoFile::BadType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "BADTYPE", "Files of this type are not taken here.")
            }
            NoFile::Full => (
                StatusCode::INSUFFICIENT_STORAGE,
                "FULL",
                "There is no room for more files of yours, or here.",
            ),
            NoFile::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANY",
                "Too many files are on their way: say something of those.",
            ),
        };
        Self::new(status, error, text)
    }
}

/// A part of a file, read as it is sent.
#[derive(Debug)]
pub(super) struct FileBody {
    left: u64,
    state: Reading,
}

#[derive(Debug)]
enum Reading {
    At(fs::File),
    Piece(JoinHandle<io::Result<(fs::File, Bytes)>>),
    Over,
}

impl FileBody {
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, Reading::Over) {
                Reading::At(mut file) if self.left > 0 => {
                    let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
                    self.state = Reading::Piece(spawn_blocking(move || {
                        let mut piece = vec![0; most];
                        file.read_exact(&mut piece)?;
                        Ok((file, piece.into()))
                    }));
                }
                Reading::At(_) | Reading::Over => return Poll::Ready(None),
                Reading::Piece(mut piece) => {
                    let Poll::Ready(read) = Pin::new(&mut piece).poll(cx) else {
                        self.state = Reading::Piece(piece);
                        return Poll::Pending;
                    };
                    let (file, piece) = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
                        Ok(read) => read,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.left -= piece.len() as u64;
                    self.state = Reading::At(file);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
        }
    }

    pub(super) fn size(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_meant() {
        for (range, expected) in [
            ("bytes=0-9", Some(Ok((0, 10)))),
            ("bytes=90-", Some(Ok((90, 10)))),
            ("bytes=90-1000", Some(Ok((90, 10)))),
            ("bytes=-10", Some(Ok((90, 10)))),
            ("bytes=-1000", Some(Ok((0, 100)))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=100-", Some(Err(()))),
            ("bytes=9-3", Some(Err(()))),
            ("bytes=0-1,5-6", None),
            ("bytes=+1-2", None),
            ("pages=1-2", None),
            ("bytes=-", None),
        ] {
            assert_eq!(part(range, 100), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Some(Err(())));
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(disposition("a.txt"), "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt");
        assert_eq!(
            disposition("\u{e9} \"x\"\r\n;%.pdf"),
            "attachment; filename=\"_ _x_____.pdf\"; filename*=UTF-8''%C3%A9%20%22x%22%0D%0A%3B%25.pdf"
        );
    }
}
