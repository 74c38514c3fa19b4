//! One signalling session on one bidirectional stream, whatever carries it.
//!
//! 1. The client says `hello`, first and within five seconds.
//! 2. Its requests are answered in their order; notices come in between.
//! 3. It ends with `bye`, with a breach of the rules, when the link is over (signed out, or taken up on another
//!    stream), or when the stream or the client is gone. Only the last leaves a link that waits to be resumed.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::message::{
    Answer, CLIENT_LINE, ClientLine, Notice, Refusal, Request, Secret, write_answer, write_notice,
};
use crate::control::requests::SignedIn;
use crate::control::rooms::Attachment;
use crate::control::{Control, Unavailable, WAITING_NOTICES};
use crate::rate::{Bucket, Rate};

/// How long a new stream may wait with its `hello`.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long a write may wait for a client that does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long we wait, after a stream ended, to learn whether the client closed the connection on purpose.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);
/// Messages that a client may send.
const MESSAGES: Rate = Rate { burst: 200, every: Duration::from_millis(20) };
/// Notices that wait are written together up to about so many bytes.
const GATHER: usize = 64 * 1024;
/// Room to read into while a client has nothing to say, and the most that is added at once.
const FIRST_READ: usize = 256;
const MOST_READ: usize = 4 * 1024;

/// Runs a session until it ends. `closed_on_purpose` tells, once the connection is gone, whether the client closed it
/// with code 0: then the session leaves everything at once.
pub async fn run<R, W>(
    control: Control,
    from: IpAddr,
    read: R,
    write: W,
    closed_on_purpose: impl Future<Output = bool>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut lines = Lines { read, buffer: BytesMut::new(), searched: 0 };
    let mut client = Client { write };
    // Boxed, as is all that comes rarely: the session's task has room for it as long as it lives.
    let hello = Box::pin(say_hello(&control, from, &mut lines, &mut client));
    let Some((mut link, notices)) = hello.await else {
        client.finish().await;
        return;
    };
    let end = converse(&link, notices, &mut lines, &mut client).await;
    match end {
        // Where the link is over or elsewhere this does nothing; a client that did not keep up may resume.
        End::Over => link.leave(false).await,
        End::Broke(refusal) => {
            client.say(&write_notice(&Notice::Error(refusal))).await.ok();
            link.leave(true).await;
        }
        End::Gone => {
            let on_purpose = timeout(CLOSE_WITHIN, closed_on_purpose).await.unwrap_or(false);
            link.leave(on_purpose).await;
        }
    }
    client.finish().await;
}

/// How a session ends.
enum End {
    /// The link is over, carried by another stream, or its client did not keep up with the notices.
    Over,
    /// The client broke a rule.
    Broke(Refusal),
    /// The stream is gone.
    Gone,
}

/// A session's link, which is left in order even if the session's task is dropped or panics.
struct Held {
    control: Control,
    signed_in: SignedIn,
    attachment: Option<Attachment>,
}

impl Held {
    async fn leave(&mut self, clean: bool) {
        if let Some(attachment) = self.attachment.take() {
            self.control
                .with(move |state, now| state.rooms.detach(now.instant, attachment, clean))
                .await
                .ok();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(attachment), Ok(runtime)) =
            (self.attachment.take(), tokio::runtime::Handle::try_current())
        {
            let control = self.control.clone();
            runtime.spawn(async move {
                control.with(move |state, now| state.rooms.detach(now.instant, attachment, false)).await.ok();
            });
        }
    }
}

/// Step 1. A client that is refused is told why; its stream ends.
async fn say_hello<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    control: &Control,
    from: IpAddr,
    lines: &mut Lines<R>,
    client: &mut Client<W>,
) -> Option<(Held, mpsc::Receiver<Bytes>)> {
    let first = match timeout(HELLO_WITHIN, lines.next()).await {
        Ok(Ok(line)) => ClientLine::parse(&line).map_err(|bad| Refusal::new("BADLINE", sentence(&bad))),
        Ok(Err(Broken::TooLong)) => Err(too_long()),
        Ok(Err(Broken::Gone)) => return None,
        Err(_) => Err(Refusal::new("NOHELLO", "Say hello within five seconds.")),
    };
    let ClientLine { id, request } = match first {
        Ok(line) => line,
        Err(refusal) => {
            client.say(&write_notice(&Notice::Error(refusal))).await.ok();
            return None;
        }
    };
    let outcome = match request {
        Ok(Request::Hello { v, token, resume }) => sign_in(control, from, v, token, resume).await,
        Ok(_) => Err(Refusal::new("NOHELLO", "The first message of a stream is hello.")),
        Err(refusal) => Err(refusal),
    };
    match (outcome, id) {
        (Ok((held, notices, answer)), id) => {
            client.answer(id, Ok(answer)).await.ok()?;
            Some((held, notices))
        }
        (Err(refusal), Some(_)) => {
            client.answer(id, Err(refusal)).await.ok();
            None
        }
        (Err(refusal), None) => {
            client.say(&write_notice(&Notice::Error(refusal))).await.ok();
            None
        }
    }
}

async fn sign_in(
    control: &Control,
    from: IpAddr,
    v: u32,
    token: Secret,
    resume: Option<Secret>,
) -> Result<(Held, mpsc::Receiver<Bytes>, Answer), Refusal> {
    let (port, notices) = mpsc::channel(WAITING_NOTICES);
    let signed_in = control
        .with(move |state, now| {
            let (signed_in, welcome) = state.hello(now, from, v, &token, resume.as_ref())?;
            state.set_port(signed_in.attachment.link, port);
            Ok((signed_in, welcome))
        })
        .await
        .unwrap_or_else(|why| Err(unavailable(why)))?;
    let (signed_in, welcome) = signed_in;
    let held = Held { control: control.clone(), signed_in, attachment: Some(signed_in.attachment) };
    Ok((held, notices, Answer::Welcome(welcome)))
}

/// Step 2.
async fn converse<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    link: &Held,
    mut notices: mpsc::Receiver<Bytes>,
    lines: &mut Lines<R>,
    client: &mut Client<W>,
) -> End {
    let (began, mut said) = (Instant::now(), Bucket::default());
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            notice = notices.recv() => {
                let Some(notice) = notice else { return End::Over };
                if client.say_all(notice, &mut notices).await.is_err() {
                    return End::Gone;
                }
                continue;
            }
        };
        let line = match line {
            Ok(line) => line,
            Err(Broken::TooLong) => return End::Broke(too_long()),
            Err(Broken::Gone) => return End::Gone,
        };
        let now = began.elapsed();
        if !said.may(now, MESSAGES) {
            return End::Broke(Refusal::new("TOOFAST", "That is more than 50 messages a second."));
        }
        said.pay(now, MESSAGES);
        let ClientLine { id, request } = match ClientLine::parse(&line) {
            Ok(line) => line,
            Err(bad) => return End::Broke(Refusal::new("BADLINE", sentence(&bad))),
        };
        let bye = matches!(request, Ok(Request::Bye {}));
        let answer = match request {
            Ok(request) => {
                let who = link.signed_in;
                let answer = link.control.with(move |state, now| state.request(now, &who, &request));
                Box::pin(answer).await.unwrap_or_else(|why| Err(unavailable(why)))
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &answer {
            debug!(%refusal, "refused");
        }
        // What the request brought is said with its answer: one packet instead of several.
        let said = match id {
            Some(id) => client.say_all(write_answer(id, &answer).into(), &mut notices).await,
            None => Ok(()),
        };
        if said.is_err() {
            return End::Gone;
        }
        if bye {
            return End::Over;
        }
    }
}

/// The client's lines.
struct Lines<R> {
    read: R,
    buffer: BytesMut,
    /// So much of the buffer is known to hold no line feed.
    searched: usize,
}

enum Broken {
    TooLong,
    Gone,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line that is not empty. Cancel-safe: what was read stays in the buffer.
    async fn next(&mut self) -> Result<Bytes, Broken> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            match unsearched.iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    let line = self.buffer.split_to(self.searched + at);
                    self.buffer.advance(1);
                    self.searched = 0;
                    if line.len() >= CLIENT_LINE {
                        return Err(Broken::TooLong);
                    }
                    if self.buffer.is_empty() {
                        // The line keeps the old buffer, however long that grew, and takes it along.
                        self.buffer = BytesMut::new();
                    }
                    if !line.is_empty() {
                        return Ok(line.freeze());
                    }
                }
                None => {
                    self.searched = self.buffer.len();
                    if self.searched >= CLIENT_LINE {
                        return Err(Broken::TooLong);
                    }
                    self.buffer.reserve(self.searched.clamp(FIRST_READ, MOST_READ));
                    match self.read.read_buf(&mut self.buffer).await {
                        Ok(0) | Err(_) => return Err(Broken::Gone),
                        Ok(_) => {}
                    }
                }
            }
        }
    }
}

/// The way to the client.
struct Client<W> {
    write: W,
}

impl<W: AsyncWrite + Unpin> Client<W> {
    async fn answer(&mut self, id: Option<u64>, answer: Result<Answer, Refusal>) -> std::io::Result<()> {
        match id {
            Some(id) => self.say(&write_answer(id, &answer)).await,
            None => Ok(()),
        }
    }

    async fn say(&mut self, line: &[u8]) -> std::io::Result<()> {
        timeout(WRITE_WITHIN, self.write.write_all(line)).await?
    }

    /// Says this, and what waits behind it.
    async fn say_all(&mut self, first: Bytes, more: &mut mpsc::Receiver<Bytes>) -> std::io::Result<()> {
        let Ok(second) = more.try_recv() else { return self.say(&first).await };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while all.len() < GATHER
            && let Ok(next) = more.try_recv()
        {
            all.extend_from_slice(&next);
        }
        self.say(&all).await
    }

    async fn finish(&mut self) {
        timeout(WRITE_WITHIN, self.write.shutdown()).await.ok();
    }
}

fn unavailable(why: Unavailable) -> Refusal {
    Refusal::new("UNAVAILABLE", sentence(&why))
}

fn too_long() -> Refusal {
    Refusal::new("TOOLONG", format!("A line is at most {CLIENT_LINE} bytes long."))
}

/// An error's text as a sentence.
fn sentence(error: &impl std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(['.']).collect(),
        None => text,
    }
}
