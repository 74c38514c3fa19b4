//! An ice-lite end made of the server's own parts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use millrace::handshake::{Desk, DeskLimits, Effect, Identity, Outcome};
use millrace::router::command::{Command, IceCredentials};
use millrace::router::id::{SessionId, ShardId};
use millrace::wire::demux::{Kind, classify};
use millrace::wire::srtp::{Opener, Sealer};
use millrace::wire::stun::{self, Key, Message};
use millrace_load::identity::{certificate, fingerprint};
use millrace_load::peer::{Peer, Remote, random_credentials};

const SESSION: SessionId = SessionId { index: 0, generation: 0 };

/// The server's end: answers checks with its password, hands DTLS to a desk.
pub(crate) struct Lite {
    credentials: IceCredentials,
    desk: Desk,
    pub(crate) outcome: Option<Outcome>,
    nominated: bool,
    pub(crate) media: Option<(Sealer, Opener)>,
}

impl Lite {
    pub(crate) fn new(client: &Identity) -> (Self, Remote) {
        let mine = certificate().expect("a certificate");
        let credentials = random_credentials();
        let remote = Remote {
            ice: credentials.clone(),
            candidates: vec![SocketAddr::from(([127, 0, 0, 1], 4433))],
            fingerprints: vec![fingerprint(&mine)],
            begins: false,
        };
        let mut desk = Desk::new(DeskLimits::default());
        desk.expect(SESSION, Arc::new(mine), vec![fingerprint(client)]);
        (Self { credentials, desk, outcome: None, nominated: false, media: None }, remote)
    }

    pub(crate) fn take(&mut self, now: Instant, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        match classify(datagram) {
            Some(Kind::Stun) => {
                let check = Message::parse(datagram).expect("a valid check");
                let key = Key::new(self.credentials.pwd.as_bytes());
                assert!(check.verify(&key));
                assert_eq!(check.local_ufrag(), Some(self.credentials.ufrag.as_bytes()));
                self.nominated |= check.use_candidate();
                let mut answer = [0; 200];
                let from = SocketAddr::from(([127, 0, 0, 1], 1234));
                let len = stun::write_success(&mut answer, check.transaction_id(), from, &key).expect("room");
                out.push(answer[..len].to_vec());
            }
            Some(Kind::Dtls) => {
                assert!(self.nominated, "DTLS begins on the nominated pair");
                self.desk.feed(now, SESSION, ShardId(0), datagram);
            }
            other => panic!("not yet: {other:?}"),
        }
        while let Some(effect) = self.desk.poll_effect() {
            match effect {
                Effect::Command(_, Command::SendDtls { datagram, .. }) => out.push(datagram),
                Effect::Command(_, Command::InstallKeys { keys, .. }) => {
                    self.media = Some((Sealer::new(&keys), Opener::new(&keys)));
                }
                Effect::Command(..) => {}
                Effect::Outcome(_, outcome) => self.outcome = Some(outcome),
            }
        }
        out
    }
}

/// A peer that is connected to an end of its own.
pub(crate) fn connect(now: Instant) -> (Peer, Lite) {
    let client = certificate().expect("a certificate");
    let (mut server, remote) = Lite::new(&client);
    let mut peer = Peer::new(now, &random_credentials(), &client, &remote).expect("a peer");
    while server.media.is_none() || !peer.connected() {
        peer.handle_timeout(now).expect("it goes on");
        let datagram = peer.poll_transmit().expect("something to say without waiting");
        for mut answer in server.take(now, &datagram) {
            peer.handle_datagram(now, &mut answer).expect("it goes on");
        }
    }
    while peer.poll_transmit().is_some() {}
    (peer, server)
}
