//! Another process goes on with the rooms: nobody need do anything but say hello.

use super::*;
use crate::router::id::SlotId;

impl House {
    /// Another process takes over, with these media sessions.
    fn follow(&mut self, went_over: &[SessionId]) {
        let written = postcard::to_allocvec(&self.rooms).expect("plain data");
        let config = self.rooms.config.clone();
        self.rooms = postcard::from_bytes(&written).expect("as it was written");
        self.rooms.resume(self.now, config, |id| went_over.contains(&id));
    }

    /// A member of [`ROOM`], with what takes the session up again.
    fn guest(&mut self, uid: u32, rights: Rights) -> (LinkId, Secret) {
        let (attachment, welcome) = self.hello(uid, None);
        self.join(attachment.link, ROOM, rights);
        (attachment.link, welcome.resume)
    }

    /// A call: who publishes and who watches, with the sessions of both.
    fn call(&mut self) -> [((LinkId, Secret), SessionId); 2] {
        let ada = self.guest(1, Rights::ALL);
        self.publish(ada.0, &[ROOM], OFFER).expect("publishes");
        let out = self.session_of(1, CAMERA);
        self.claim(out);
        let bob = self.guest(2, VIEWER);
        self.watch(bob.0, 1).expect("watches");
        self.answer(bob.0);
        let into = self.viewing(bob.0);
        self.claim(into);
        self.forget_all();
        [(ada, out), (bob, into)]
    }
}

#[test]
fn who_says_hello_is_where_it_was_and_the_shards_are_told_everything_again() {
    let mut house = House::new();
    let [(ada, out), (bob, into)] = house.call();
    house.rooms.mute(ada.0, CAMERA, Some(true), None).expect("mutes");
    house.forget_all();
    let before = (house.rooms.counts(), house.rooms.report().people);
    house.follow(&[out, into]);
    assert_eq!((house.rooms.counts(), house.rooms.report().people), before);
    assert!(house.done().is_empty(), "the sessions themselves went over");

    for (uid, (link, secret)) in [(1, &ada), (2, &bob)] {
        let (again, welcome) = house.hello(uid, Some(secret));
        assert!(welcome.resumed && again.link == *link);
    }
    let heard = house.heard(bob.0);
    assert!(heard.iter().any(|n| matches!(n, Notice::Slots { slots } if slots.len() == 2)), "{heard:?}");
    assert!(!heard.iter().any(|n| matches!(n, Notice::Offer { .. })), "nothing is negotiated anew");

    house.claim(out);
    let done = house.done();
    let announced = done.iter().filter(|e| matches!(e, Effect::Shards(ToAll::AnnounceTrack(..)))).count();
    let mutes = commands(done);
    assert_eq!(announced, 2);
    assert!(matches!(mutes[..], [Command::MuteTrack { muted: true, .. }]), "{mutes:?}");
    house.claim(into);
    let shown = commands(house.done()).into_iter().filter_map(|command| match command {
        Command::Watch { slot, track: Some(_), .. } => Some(slot),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [SlotId(0), SlotId(3)]);
    house.pass(Duration::from_secs(60));
    assert_eq!((house.rooms.counts(), house.rooms.report().people), before);
}

#[test]
fn a_claim_whose_news_are_lost_is_found() {
    let mut house = House::new();
    let [(ada, out), (_, into)] = house.call();
    house.rooms.connections()[&out].claim.claim(SHARD);
    house.follow(&[out, into]);
    house.hello(1, Some(&ada.1));
    house.pass(Duration::from_secs(2));
    let announced = |e: &Effect| matches!(e, Effect::Shards(ToAll::AnnounceTrack(..)));
    assert_eq!(house.done().into_iter().filter(announced).count(), 2);
}

#[test]
fn what_had_no_keys_yet_begins_anew() {
    let mut house = House::new();
    let [(ada, out), (bob, _)] = house.call();
    house.follow(&[out]);
    house.hello(1, Some(&ada.1));
    house.hello(2, Some(&bob.1));
    let heard = house.heard(bob.0);
    assert!(heard.iter().any(|n| matches!(n, Notice::Offer { fresh: true, .. })), "{heard:?}");
    assert_eq!(house.rooms.report().handshakes, 0);

    house.follow(&[]);
    assert_eq!(house.rooms.counts().1, 0, "a stream without a connection is over");
}

#[test]
fn who_does_not_say_hello_has_left_after_half_a_minute() {
    let mut house = House::new();
    let [(_, out), (bob, into)] = house.call();
    house.follow(&[out, into]);
    house.hello(2, Some(&bob.1));
    house.pass(Duration::from_secs(31));
    let left = |n: &Notice| matches!(n, Notice::Roster { left, .. } if !left.is_empty());
    assert!(house.heard(bob.0).iter().any(left));
    assert_eq!(house.rooms.counts(), (1, 0, 1));
}
