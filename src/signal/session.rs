//! One signalling session on one bidirectional stream, or one WebSocket: whatever carries it.
//!
//! 1. The client says `hello`, first and within five seconds.
//! 2. Its requests are answered in their order; notices come in between.
//! 3. It ends with `bye`, with a breach of the rules, when the link is over (signed out, or taken up on another
//!    stream), or when the stream or the client is gone. Only the last leaves a link that waits to be resumed.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn_proto::StreamId;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::lines::{Lines, TooLong};
use super::message::{
    Answer, CLIENT_LINE, ClientLine, Notice, Refusal, Request, Secret, write_answer, write_notice,
};
use super::quic::{Connection, Gone, closed_on_purpose};
use super::websocket::Socket;
use super::webtransport;
use crate::control::port::{self, Notices};
use crate::control::requests::SignedIn;
use crate::control::rooms::Attachment;
use crate::control::{Control, Unavailable, WAITING_NOTICES};
use crate::rate::{Bucket, Rate};
use crate::wire::websocket::Code;

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

/// The signalling stream of a client, on a connection of its own.
pub(super) struct Channel<'a> {
    carrier: Carrier<'a>,
    /// What arrived and was not asked for yet.
    arrived: Bytes,
}

enum Carrier<'a> {
    Quic {
        connection: &'a Connection,
        stream: StreamId,
        /// A browser's stream is of a session, which may end before it.
        session: Option<webtransport::Session>,
    },
    Socket(&'a mut Socket),
}

impl<'a> Channel<'a> {
    /// A stream that is all there is.
    pub(super) const fn new(connection: &'a Connection, stream: StreamId) -> Self {
        Self { carrier: Carrier::Quic { connection, stream, session: None }, arrived: Bytes::new() }
    }

    /// A stream of a session, and what of it arrived already.
    pub(super) const fn of_session(
        connection: &'a Connection,
        stream: StreamId,
        arrived: Bytes,
        session: webtransport::Session,
    ) -> Self {
        Self { carrier: Carrier::Quic { connection, stream, session: Some(session) }, arrived }
    }

    /// A WebSocket.
    pub(super) const fn of_socket(socket: &'a mut Socket) -> Self {
        Self { carrier: Carrier::Socket(socket), arrived: Bytes::new() }
    }

    fn from(&self) -> Option<IpAddr> {
        match &self.carrier {
            Carrier::Quic { connection, .. } => Some(connection.remote_address()?.ip()),
            Carrier::Socket(socket) => Some(socket.from),
        }
    }

    /// The next bytes that the client says. Cancel-safe.
    async fn read(&mut self) -> Result<Bytes, Gone> {
        if !self.arrived.is_empty() {
            return Ok(std::mem::take(&mut self.arrived));
        }
        poll_fn(|cx| match &mut self.carrier {
            Carrier::Quic { connection, stream, session } => {
                if let Some(session) = session
                    && session.poll_ended(connection, cx).is_ready()
                {
                    return Poll::Ready(Err(Gone));
                }
                connection.poll_read(cx, *stream).map(|read| read?.ok_or(Gone))
            }
            Carrier::Socket(socket) => socket.poll_read(cx),
        })
        .await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let written = async {
            match &mut self.carrier {
                Carrier::Quic { connection, stream, .. } => connection.write_all(*stream, bytes).await,
                Carrier::Socket(socket) => {
                    socket.say(bytes);
                    poll_fn(|cx| socket.poll_flush(cx)).await
                }
            }
        };
        timeout(WRITE_WITHIN, written).await.map_err(|_| Gone)?
    }

    /// Nothing more is said; `broke` if that is because the client broke a rule.
    fn finish(&mut self, broke: bool) {
        match &mut self.carrier {
            Carrier::Quic { connection, stream, .. } => connection.finish(*stream),
            Carrier::Socket(socket) => socket.close(if broke { Code::Policy } else { Code::Normal }),
        }
    }

    /// Once the stream is gone: whether the client meant to leave, which closing with code 0 says.
    async fn left_on_purpose(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Quic { connection, session, .. } => {
                if let Some(session) = session {
                    poll_fn(|cx| session.poll_ended(connection, cx)).await;
                    if let Some(on_purpose) = session.left_on_purpose() {
                        return on_purpose;
                    }
                }
                closed_on_purpose(&connection.closed().await)
            }
            Carrier::Socket(socket) => socket.left_on_purpose,
        }
    }
}

/// Runs a session until it ends. If its connection is gone by then and the client closed it with code 0, the session
/// leaves everything at once.
pub(super) async fn run(control: Control, channel: &mut Channel<'_>) {
    let Some(from) = channel.from() else { return };
    let mut lines = Lines::default();
    // Boxed, as is all that comes rarely: the session's task has room for it as long as it lives.
    let hello = Box::pin(say_hello(&control, from, &mut lines, channel));
    let Some((mut link, notices)) = hello.await else {
        return channel.finish(false);
    };
    let end = converse(&link, notices, &mut lines, channel).await;
    let broke = matches!(end, End::Broke(_));
    match end {
        // Where the link is over or elsewhere this does nothing; a client that did not keep up may resume.
        End::Over => link.leave(false).await,
        End::Broke(refusal) => {
            channel.write(&write_notice(&Notice::Error(refusal))).await.ok();
            link.leave(true).await;
        }
        End::Gone => {
            let on_purpose = timeout(CLOSE_WITHIN, channel.left_on_purpose()).await.unwrap_or(false);
            link.leave(on_purpose).await;
        }
    }
    channel.finish(broke);
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
async fn say_hello(
    control: &Control,
    from: IpAddr,
    lines: &mut Lines,
    client: &mut Channel<'_>,
) -> Option<(Held, Notices)> {
    let first = match timeout(HELLO_WITHIN, next_line(lines, client)).await {
        Ok(Ok(line)) => ClientLine::parse(&line).map_err(|bad| Refusal::new("BADLINE", sentence(&bad))),
        Ok(Err(Broken::TooLong)) => Err(too_long()),
        Ok(Err(Broken::Gone)) => return None,
        Err(_) => Err(Refusal::new("NOHELLO", "Say hello within five seconds.")),
    };
    let ClientLine { id, request } = match first {
        Ok(line) => line,
        Err(refusal) => {
            client.write(&write_notice(&Notice::Error(refusal))).await.ok();
            return None;
        }
    };
    let outcome = match request {
        Ok(Request::Hello { v, token, resume }) => sign_in(control, from, v, token, resume).await,
        Ok(_) => Err(Refusal::new("NOHELLO", "The first message of a stream is hello.")),
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &outcome {
        control.tally().refused(&refusal.error);
    }
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
            client.write(&write_notice(&Notice::Error(refusal))).await.ok();
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
) -> Result<(Held, Notices, Answer), Refusal> {
    let (port, notices) = port::port(WAITING_NOTICES);
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
async fn converse(link: &Held, mut notices: Notices, lines: &mut Lines, client: &mut Channel<'_>) -> End {
    let (began, mut said) = (Instant::now(), Bucket::default());
    loop {
        let line = tokio::select! {
            line = next_line(lines, client) => line,
            notice = notices.next() => {
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
        link.control.tally().message();
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
            link.control.tally().refused(&refusal.error);
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

enum Broken {
    TooLong,
    Gone,
}

/// The client's next line that is not empty. Cancel-safe: what was read stays.
async fn next_line(lines: &mut Lines, client: &mut Channel<'_>) -> Result<Bytes, Broken> {
    loop {
        let mut arrived = client.read().await.map_err(|Gone| Broken::Gone)?;
        let line = lines.next(&mut arrived).map_err(|TooLong| Broken::TooLong)?;
        client.arrived = arrived;
        if let Some(line) = line {
            return Ok(line);
        }
    }
}

impl Channel<'_> {
    async fn answer(&mut self, id: Option<u64>, answer: Result<Answer, Refusal>) -> Result<(), Gone> {
        match id {
            Some(id) => self.write(&write_answer(id, &answer)).await,
            None => Ok(()),
        }
    }

    /// Says this, and what waits behind it.
    async fn say_all(&mut self, first: Bytes, more: &mut Notices) -> Result<(), Gone> {
        let Some(second) = more.waiting() else { return self.write(&first).await };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while all.len() < GATHER
            && let Some(next) = more.waiting()
        {
            all.extend_from_slice(&next);
        }
        self.write(&all).await
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
