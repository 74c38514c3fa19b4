//! However many come at once, a fixed number is in flight, a fixed number waits, and the rest is told so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pair::{Client, HOME, Offers, identity, session};
use millrace::handshake::{Algorithm, Desk, DeskLimits, Effect, Failure, Fingerprint, Outcome};
use millrace::router::command::Command;

const LIMITS: DeskLimits = DeskLimits {
    in_flight: 2,
    waiting: 3,
    patience: Duration::from_secs(10),
    linger: Duration::from_secs(5),
    datagrams: 50,
};

struct Crowd {
    now: Instant,
    desk: Desk,
    clients: Vec<Client>,
    outcomes: HashMap<u32, Outcome>,
}

impl Crowd {
    fn new(size: u32) -> Self {
        let now = Instant::now();
        let mut desk = Desk::new(LIMITS);
        let (ours, theirs) = (Arc::new(identity()), identity());
        let clients = (0..size).map(|n| {
            desk.expect(
                session(n),
                ours.clone(),
                vec![Fingerprint::of(Algorithm::Sha512, &theirs.certificate)],
            );
            Client::new(now, Offers::Only13, &theirs, 1200)
        });
        let clients = clients.collect();
        Self { now, desk, clients, outcomes: HashMap::new() }
    }

    fn send(&mut self, n: u32) {
        for datagram in std::mem::take(&mut self.clients[n as usize].out) {
            self.desk.feed(self.now, session(n), HOME, &datagram);
        }
    }

    fn receive(&mut self) {
        while let Some(effect) = self.desk.poll_effect() {
            match effect {
                Effect::Command(_, Command::SendDtls { session, datagram }) => {
                    self.clients[session.index as usize].take(self.now, &datagram);
                }
                Effect::Outcome(session, outcome) => {
                    assert_eq!(self.outcomes.insert(session.index, outcome), None, "told once");
                }
                Effect::Command(..) => {}
            }
        }
    }
}

#[test]
fn the_excess_waits_and_then_is_refused() {
    let mut crowd = Crowd::new(7);
    (0..7).for_each(|n| crowd.send(n));
    assert_eq!(crowd.desk.load(), (2, 3));
    crowd.receive();
    let refused: Vec<_> = (0..7).filter(|n| crowd.outcomes.contains_key(n)).collect();
    assert_eq!(refused, [5, 6]);
    assert_eq!(crowd.outcomes[&5], Outcome::Failed(Failure::Busy));

    // Those who wait get their turn as the others finish.
    for _ in 0..20 {
        (0..5).for_each(|n| crowd.send(n));
        crowd.receive();
        assert!(crowd.desk.load().0 <= 2);
    }
    assert_eq!(crowd.desk.load(), (0, 0));
    for n in 0..5 {
        assert!(matches!(crowd.outcomes[&n], Outcome::Secured { .. }), "{n}: {:?}", crowd.outcomes[&n]);
    }
}

#[test]
fn nobody_waits_longer_than_the_patience() {
    let mut crowd = Crowd::new(3);
    (0..3).for_each(|n| crowd.send(n));
    assert_eq!(crowd.desk.load(), (2, 1));
    let begin = crowd.now;
    // The two in flight never go on.
    while crowd.desk.load().1 > 0 {
        crowd.now = crowd.desk.poll_timeout().expect("a timer");
        crowd.desk.handle_timeout(crowd.now);
    }
    assert_eq!(crowd.now, begin + LIMITS.patience);
    crowd.receive();
    assert_eq!(crowd.outcomes[&2], Outcome::Failed(Failure::Busy));
}

#[test]
fn one_that_waits_can_be_forgotten() {
    let mut crowd = Crowd::new(4);
    (0..4).for_each(|n| crowd.send(n));
    crowd.desk.forget(crowd.now, session(2));
    assert_eq!(crowd.desk.load(), (2, 1));
    crowd.desk.forget(crowd.now, session(0));
    assert_eq!(crowd.desk.load(), (2, 0), "the next one's turn");
    crowd.receive();
    assert!(crowd.outcomes.is_empty());
}

#[test]
fn a_session_has_a_budget_of_datagrams() {
    let mut crowd = Crowd::new(1);
    crowd.send(0);
    let taken = (0..200).filter(|_| crowd.desk.feed(crowd.now, session(0), HOME, &[22; 60])).count();
    assert_eq!(taken, 49);
}
