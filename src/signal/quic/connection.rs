//! A connection as its session sees it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{ConnectionError, Dir, ReadError, StreamId, VarInt, WriteError};

use super::endpoint::{Endpoint, Entry};

/// The most that is taken from a stream at once.
const CHUNK: usize = 64 * 1024;

/// The stream or the connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is gone")]
pub struct Gone;

/// A client's established connection. It is of one task, which alone is woken by what happens to it, and is closed when it
/// goes out of scope.
#[derive(Debug)]
pub struct Connection {
    endpoint: Endpoint,
    index: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.endpoint.lock().let_go(self.index);
    }
}

impl Connection {
    pub(super) const fn new(endpoint: Endpoint, index: usize) -> Self {
        Self { endpoint, index }
    }

    /// Does something to the state machine that may leave packets to be sent.
    fn act<T>(&self, act: impl FnOnce(&mut quinn_proto::Connection) -> T) -> Option<T> {
        let mut core = self.endpoint.lock();
        let done = act(&mut core.live(self.index)?.proto);
        core.touch(self.index);
        Some(done)
    }

    /// Asks the state machine for something that may have to be waited for.
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        ask: impl FnOnce(&mut Entry) -> Poll<(T, bool)>,
        gone: impl FnOnce() -> T,
    ) -> Poll<T> {
        let mut core = self.endpoint.lock();
        let Some(entry) = core.entry(self.index) else { return Poll::Ready(gone()) };
        if entry.is_live()
            && let Poll::Ready((answer, touched)) = ask(entry)
        {
            if touched {
                core.touch(self.index);
            }
            return Poll::Ready(answer);
        }
        if entry.over.is_some() {
            return Poll::Ready(gone());
        }
        if entry.waiting.as_ref().is_none_or(|waiting| !waiting.will_wake(cx.waker())) {
            entry.waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What was agreed on to be spoken.
    pub fn protocol(&self) -> Option<Vec<u8>> {
        let mut core = self.endpoint.lock();
        let data = core.live(self.index)?.proto.crypto_session().handshake_data()?;
        data.downcast::<HandshakeData>().ok()?.protocol
    }

    /// Where the client is.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        Some(self.endpoint.lock().entry(self.index)?.proto.remote_address())
    }

    /// The next bidirectional stream that the client opened.
    pub async fn accept_bi(&self) -> Result<StreamId, Gone> {
        let accept = |entry: &mut Entry| match entry.proto.streams().accept(Dir::Bi) {
            Some(stream) => Poll::Ready((Ok(stream), true)),
            None => Poll::Pending,
        };
        poll_fn(|cx| self.poll(cx, accept, || Err(Gone))).await
    }

    /// A stream of our own, to send on.
    pub fn open_uni(&self) -> Result<StreamId, Gone> {
        self.act(|proto| proto.streams().open(Dir::Uni)).flatten().ok_or(Gone)
    }

    /// The next bytes of a stream: none at its end.
    pub async fn read(&self, stream: StreamId) -> Result<Option<Bytes>, Gone> {
        poll_fn(|cx| self.poll_read(cx, stream)).await
    }

    /// See [`Connection::read`].
    pub fn poll_read(&self, cx: &Context<'_>, stream: StreamId) -> Poll<Result<Option<Bytes>, Gone>> {
        let read = |entry: &mut Entry| {
            let mut stream = entry.proto.recv_stream(stream);
            let Ok(mut chunks) = stream.read(true) else { return Poll::Ready((Err(Gone), false)) };
            let answer = match chunks.next(CHUNK) {
                Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
                Err(ReadError::Reset(_)) => Err(Gone),
                Err(ReadError::Blocked) => return Poll::Pending,
            };
            Poll::Ready((answer, chunks.finalize().should_transmit()))
        };
        self.poll(cx, read, || Err(Gone))
    }

    /// Writes all of `bytes`, waiting for a client that reads slowly.
    pub async fn write_all(&self, stream: StreamId, bytes: &[u8]) -> Result<(), Gone> {
        let mut left = bytes;
        while !left.is_empty() {
            let write = |entry: &mut Entry| match entry.proto.send_stream(stream).write(left) {
                Ok(written) => Poll::Ready((Ok(written), true)),
                Err(WriteError::Blocked) => Poll::Pending,
                Err(_) => Poll::Ready((Err(Gone), false)),
            };
            let written = poll_fn(|cx| self.poll(cx, write, || Err(Gone))).await?;
            left = left.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends a stream from our side.
    pub fn finish(&self, stream: StreamId) {
        // It may be stopped already.
        self.act(|proto| proto.send_stream(stream).finish().ok());
    }

    /// Waits until the client has all that was written to an ended stream, or wants no more of it.
    pub async fn delivered(&self, stream: StreamId) {
        let delivered = |entry: &mut Entry| match entry.proto.send_stream(stream).stopped() {
            Ok(None) => Poll::Pending,
            _ => Poll::Ready(((), false)),
        };
        poll_fn(|cx| self.poll(cx, delivered, || ())).await;
    }

    /// Closes the connection.
    pub fn close(&self, code: u32, reason: &'static [u8]) {
        self.endpoint.lock().close(self.index, VarInt::from_u32(code), Bytes::from_static(reason));
    }

    /// Waits until the connection is over, and tells why.
    pub async fn closed(&self) -> ConnectionError {
        poll_fn(|cx| self.poll(cx, |_| Poll::<((), bool)>::Pending, || ())).await;
        let over = self.endpoint.lock().entry(self.index).and_then(|entry| entry.over.clone());
        over.unwrap_or(ConnectionError::Reset)
    }
}
