//! The self-test behind `/readyz`: each shard turns within a second, the store commits, and the media port answers.
//!
//! The port is asked for QUIC in a version that nobody speaks, which it must answer with those that it does (RFC 9000
//! section 6): that takes the way in, a shard, signalling's endpoint and the way out. A bare STUN binding request would
//! prove less, and is not answered: the server talks STUN to nobody who does not know a session.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::Watch;
use crate::net;

/// How long each part may take.
const WITHIN: Duration = Duration::from_secs(1);
/// How long a result serves: who asks more often causes no more work.
const FRESH: Duration = Duration::from_secs(2);
/// Between two looks at the shards, and between two questions to the port.
const LOOK: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(250);
/// The least that a first QUIC datagram must have (RFC 9000 section 14.1).
const INITIAL: usize = 1200;

/// A result, and when it was found.
#[derive(Debug)]
pub(super) struct Tested(Instant, Vec<&'static str>);

impl Watch {
    /// What keeps the server from serving; empty if nothing does.
    pub async fn problems(&self) -> Vec<&'static str> {
        let mut tested = self.tested.lock().await;
        if let Some(Tested(at, problems)) = &*tested
            && at.elapsed() < FRESH
        {
            return problems.clone();
        }
        let (shards, control, port) =
            tokio::join!(self.shards_turn(), self.store_commits(), self.port_answers());
        let problems: Vec<_> = [shards, control, port].into_iter().filter_map(Result::err).collect();
        *tested = Some(Tested(Instant::now(), problems.clone()));
        problems
    }

    async fn shards_turn(&self) -> Result<(), &'static str> {
        let asked = net::now();
        self.shards.wake();
        let turned = async {
            while !self.shards.heartbeats().all(|last| last >= asked) {
                sleep(LOOK).await;
            }
        };
        timeout(WITHIN, turned).await.map_err(|_| "a shard does not turn")
    }

    async fn store_commits(&self) -> Result<(), &'static str> {
        const NOT_KEPT: &str = "the store does not keep changes";
        // What could not be kept is tried again each second: nothing need be added to it.
        if self.commits.failing.load(Ordering::Relaxed) {
            return Err(NOT_KEPT);
        }
        let asked = self.control.with(|state, _| {
            state.directory.touch();
            state.draining()
        });
        match timeout(WITHIN, asked).await {
            Ok(Ok(false)) => Ok(()),
            Ok(Ok(true)) => Err("draining"),
            Ok(Err(crate::control::Unavailable::NotKept)) => Err(NOT_KEPT),
            Ok(Err(_)) => Err("the control plane does not answer"),
            Err(_) => Err("the control plane or the store does not answer within a second"),
        }
    }

    async fn port_answers(&self) -> Result<(), &'static str> {
        let Some(media) = self.media.first() else { return Ok(()) };
        let answered = timeout(WITHIN, ask(to_reach(*media))).await;
        if matches!(answered, Ok(Ok(()))) { Ok(()) } else { Err("the media port does not answer") }
    }
}

/// Where this host reaches what listens there.
fn to_reach(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn ask(media: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match media {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(media).await?;
    // Long header, a version of the kind that is kept free to be refused (RFC 9000 section 15), two connection ids.
    let head = *b"\xc0\x1a\x2a\x3a\x4a\x08selftest\x08selftest";
    let mut question = [0; INITIAL];
    question.iter_mut().zip(head).for_each(|(to, from)| *to = from);
    let mut answer = [0; 64];
    loop {
        socket.send(&question).await?;
        if let Ok(len) = timeout(AGAIN, socket.recv(&mut answer)).await
            && len? >= 5
            && answer.first().is_some_and(|first| first & 0x80 != 0)
            && answer.get(1..5) == Some(&[0; 4])
        {
            return Ok(());
        }
    }
}
