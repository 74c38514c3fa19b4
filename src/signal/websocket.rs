//! Signalling over WebSocket (RFC 6455), for browsers that UDP does not reach: on the page's own port, with the lines that
//! a QUIC stream carries. How they are cut into messages means nothing; a line feed ends a line.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::debug;

use super::quic::Gone;
use super::session::{self, Channel};
use crate::control::Control;
use crate::wire::websocket::{Code, Decoder, Opcode, Step, header};

/// A client that says nothing is asked for a sign of life after this, ...
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// ... and is gone after this: as over QUIC, where it is the transport that notices.
const IDLE: Duration = Duration::from_secs(12);
/// How long the last words of a session may take to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// Read at once.
const CHUNK: usize = 4096;
/// Answers to pings wait for a client that does not read, up to so many bytes.
const PONGS: usize = 1024;

/// Runs the session of a client whose connection is about to become a WebSocket.
pub async fn serve(upgrade: OnUpgrade, from: IpAddr, control: Control) {
    let Ok(upgraded) = upgrade.await else { return };
    debug!("a client connected by WebSocket");
    let mut socket = Socket::new(TokioIo::new(upgraded), from);
    session::run(control, &mut Channel::of_socket(&mut socket)).await;
    timeout(DRAIN_WITHIN, socket.end()).await.ok();
}

/// The connection, as the session sees it: bytes in, bytes out.
pub(super) struct Socket {
    io: TokioIo<Upgraded>,
    pub(super) from: IpAddr,
    decoder: Decoder,
    arrived: BytesMut,
    out: BytesMut,
    heard: Instant,
    /// When to look whether the client lives.
    look: Pin<Box<Sleep>>,
    /// Whether the client meant to leave, once it closed.
    pub(super) left_on_purpose: bool,
    closing: bool,
}

impl Socket {
    fn new(io: TokioIo<Upgraded>, from: IpAddr) -> Self {
        Self {
            io,
            from,
            decoder: Decoder::default(),
            arrived: BytesMut::new(),
            out: BytesMut::new(),
            heard: Instant::now(),
            look: Box::pin(sleep(KEEP_ALIVE)),
            left_on_purpose: false,
            closing: false,
        }
    }

    /// The next bytes that the client says.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        loop {
            while !self.arrived.is_empty() {
                if let Some(data) = self.take()? {
                    return Poll::Ready(Ok(data));
                }
            }
            // What is to be answered leaves when the client reads; meanwhile it is listened to.
            if let Poll::Ready(Err(Gone)) = self.poll_flush(cx) {
                return Poll::Ready(Err(Gone));
            }
            let mut room = [0; CHUNK];
            let mut room = ReadBuf::new(&mut room);
            match Pin::new(&mut self.io).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    self.heard = Instant::now();
                    self.arrived.extend_from_slice(room.filled());
                }
                Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                Poll::Pending => {
                    ready!(self.look.as_mut().poll(cx));
                    if self.heard.elapsed() >= IDLE {
                        return Poll::Ready(Err(Gone));
                    }
                    self.put(Opcode::Ping, &[]);
                    self.look.as_mut().reset(Instant::now() + KEEP_ALIVE);
                }
            }
        }
    }

    /// Reads on in what arrived; the data that it brought.
    fn take(&mut self) -> Result<Option<Bytes>, Gone> {
        let (taken, step) = match self.decoder.step(&mut self.arrived) {
            Ok(step) => step,
            Err(code) => {
                self.close(code);
                return Err(Gone);
            }
        };
        let mut piece = self.arrived.split_to(taken);
        match step {
            Step::Data(len) => return Ok(Some(piece.split_off(taken - len).freeze())),
            Step::Ping if self.out.len() < PONGS => {
                let (head, len) = header(Opcode::Pong, self.decoder.control().len());
                self.out.extend_from_slice(head.get(..len).unwrap_or_default());
                self.out.extend_from_slice(self.decoder.control());
            }
            Step::Ping | Step::Pong | Step::More => {}
            Step::Close(code) => {
                // 1001 is a page that is left (section 7.4.1).
                self.left_on_purpose = matches!(code, None | Some(1000 | 1001));
                self.close(Code::Normal);
                return Err(Gone);
            }
        }
        Ok(None)
    }

    /// Says lines; they leave with [`Socket::poll_flush`].
    pub(super) fn say(&mut self, lines: &[u8]) {
        self.put(Opcode::Text, lines);
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) {
        let (head, len) = header(opcode, payload.len());
        self.out.extend_from_slice(head.get(..len).unwrap_or_default());
        self.out.extend_from_slice(payload);
    }

    /// Says that there is nothing more to say, and why.
    pub(super) fn close(&mut self, code: Code) {
        if !std::mem::replace(&mut self.closing, true) {
            self.put(Opcode::Close, &(code as u16).to_be_bytes());
        }
    }

    /// Ready when all that was said has left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out)) {
                Ok(written @ 1..) => self.out.advance(written),
                Ok(0) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        // A client to whom nothing is said costs no buffer.
        self.out = BytesMut::new();
        Pin::new(&mut self.io).poll_flush(cx).map_err(|_| Gone)
    }

    /// Closes, and listens until the client did: bytes that nobody reads would make of the end a reset, which takes the last
    /// words along.
    async fn end(&mut self) {
        self.close(Code::Normal);
        if poll_fn(|cx| self.poll_flush(cx)).await.is_ok()
            && poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await.is_ok()
        {
            while poll_fn(|cx| self.poll_read(cx)).await.is_ok() {}
        }
    }
}
