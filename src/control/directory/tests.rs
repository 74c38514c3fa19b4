//! The directory through its public methods, in simulated time with repeatable randomness.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::control::limits::{LimitChanges, Limits};
use crate::control::rights::{Override, Preset, Rights, Say};

/// A counter stretched by SHA-256: every run draws the same.
#[derive(Debug, Default)]
struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            let digest = ring::digest::digest(&ring::digest::SHA256, &self.0.to_le_bytes());
            chunk.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        }
    }
}

const NOW: Duration = Duration::from_secs(1_800_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn empty() -> Directory {
    Directory::new(Snapshot::default(), Box::new(Counter::default()))
}

fn user(directory: &mut Directory, name: &str) -> Asker {
    let minted = directory.mint_token(name, Some(name)).expect("a token");
    asker(directory, &minted)
}

fn asker(directory: &mut Directory, minted: &Minted) -> Asker {
    let identity = directory.authenticate(NOW, &minted.token).expect("the token is valid");
    assert_eq!(identity.uid, minted.uid);
    Asker { uid: identity.uid, token: identity.token, from: HERE }
}

fn settings(name: &str, preset: Preset) -> Settings {
    Settings { name: Some(name.to_owned()), preset: Some(preset), guests: Some(true), ..Settings::default() }
}

fn room(directory: &mut Directory, owner: &Asker, preset: Preset) -> (Gid, String, String) {
    let made = directory.create_group(owner.uid, &settings("Room", preset)).expect("a group");
    let (pin, spin) = made.pins.expect("the owner sees the pins");
    (made.gid, pin, spin)
}

const VIEWER: Rights = Rights { publish: false, ..Rights::ALL };

#[test]
fn a_token_opens_until_logout() {
    let mut directory = empty();
    let minted = directory.mint_token("Ada", None).expect("a token");
    let identity = directory.authenticate(NOW, &minted.token).expect("valid");
    assert_eq!((identity.name.as_str(), identity.guest), ("Ada", false));
    assert!(directory.authenticate(NOW, &minted.token.to_uppercase()).is_none());
    assert!(directory.authenticate(NOW, "").is_none());
    directory.logout(identity.token);
    assert!(directory.authenticate(NOW, &minted.token).is_none());
    assert_eq!(directory.take_happenings(), [Happening::TokenDead(identity.token)]);
}

#[test]
fn one_address_is_one_user_and_none_is_a_new_one() {
    let mut directory = empty();
    let first = directory.mint_token("Ada", Some("ada@example.org")).expect("a token");
    let again = directory.mint_token("Ada L.", Some("ada@example.org")).expect("a token");
    assert_eq!(first.uid, again.uid);
    assert_eq!(directory.authenticate(NOW, &first.token).expect("still valid").name, "Ada L.");
    let other = directory.mint_token("Ada", None).expect("a token");
    assert_ne!(other.uid, first.uid);
    assert_eq!(directory.mint_token(" \u{7} ", None), Err(Failure::MissingName));
}

#[test]
fn groups_count_from_1000_and_have_two_different_pins() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    for expected in 1000..1100 {
        let (gid, pin, spin) = room(&mut directory, &owner, Preset::Conference);
        assert_eq!(gid, Gid(expected));
        assert_ne!(pin, spin);
        for digits in [pin, spin] {
            assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        }
    }
    directory.delete_group(owner.uid, Gid(1099)).expect("deleted");
    let (gid, ..) = room(&mut directory, &owner, Preset::Conference);
    assert_eq!(gid, Gid(1100), "a number is not given twice");
}

#[test]
fn pins_give_their_rights_in_every_preset() {
    for preset in [Preset::Conference, Preset::Webinar, Preset::Classroom] {
        let mut directory = empty();
        let owner = user(&mut directory, "owner");
        let (gid, pin, spin) = room(&mut directory, &owner, preset);
        let (ada, bob) = (user(&mut directory, "ada"), user(&mut directory, "bob"));
        let joined = directory.join_group(NOW, &ada, gid, Some(&pin)).expect("ada joins");
        assert_eq!((joined.rights, joined.pins), (Rights::ALL, None));
        let joined = directory.join_group(NOW, &bob, gid, Some(&spin)).expect("bob joins");
        assert_eq!(joined.rights, VIEWER);
        assert_eq!(directory.rights_of(NOW, bob.uid, gid), VIEWER);
        // The better pin raises, and a member needs none.
        assert_eq!(directory.join_group(NOW, &bob, gid, Some(&pin)).expect("again").rights, Rights::ALL);
        assert_eq!(directory.join_group(NOW, &bob, gid, None).expect("again").rights, Rights::ALL);
        let flags = directory.membership(NOW, bob.uid, gid).expect("a member").call_flags;
        assert_eq!(flags, 0x8107);
    }
}

#[test]
fn the_owner_enters_without_a_pin_and_with_spin_as_a_viewer() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Conference);
    let mut enter =
        |pin: Option<&str>| directory.join_group(NOW, &owner, gid, pin).map(|joined| joined.rights);
    assert_eq!(enter(None), Ok(Rights::ALL));
    assert_eq!(enter(Some(&spin)), Ok(VIEWER));
    assert_eq!(enter(Some(&pin)), Ok(Rights::ALL));
    assert_eq!(enter(Some(&spin)), Ok(VIEWER));
    assert_eq!(enter(None), Ok(Rights::ALL));
    assert_eq!(enter(Some("00000000")), Err(Failure::BadGroup));
}

#[test]
fn a_wrong_pin_and_an_unknown_room_answer_alike_and_are_limited_alike() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, _) = room(&mut directory, &owner, Preset::Conference);
    for target in [gid, Gid(4711)] {
        for guess in [Some("12345678"), None] {
            let mut guesser = user(&mut directory, &format!("guesser {target} {guess:?}"));
            guesser.from = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + guesser.uid.0));
            for _ in 0..10 {
                let answer = directory.join_group(NOW, &guesser, target, guess);
                assert_eq!(answer, Err(Failure::BadGroup));
            }
            assert_eq!(directory.join_group(NOW, &guesser, target, guess), Err(Failure::RateLimit));
            // Even the right pin, or guessing would go on.
            assert_eq!(directory.join_group(NOW, &guesser, gid, Some(&pin)), Err(Failure::RateLimit));
            let later = NOW + Duration::from_secs(6);
            assert!(directory.join_group(later, &guesser, gid, Some(&pin)).is_ok());
        }
    }
}

#[test]
fn an_address_is_limited_whatever_tokens_it_has() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, _) = room(&mut directory, &owner, Preset::Conference);
    for n in 0..20 {
        assert_eq!(directory.guest(NOW, HERE, gid, &format!("{n:08}"), "G"), Err(Failure::BadGroup));
    }
    assert_eq!(directory.guest(NOW, HERE, gid, &pin, "G"), Err(Failure::RateLimit));
    let fresh = user(&mut directory, "fresh");
    assert_eq!(directory.join_group(NOW, &fresh, gid, Some(&pin)), Err(Failure::RateLimit));
    assert!(directory.join_group(NOW, &owner, gid, None).is_ok(), "who needs no pin is not limited");
    let elsewhere = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    assert!(directory.guest(NOW, elsewhere, gid, &pin, "G").is_ok());
}

#[test]
fn guests_are_users_with_the_pins_rights_for_a_day() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Conference);
    let (one, other) = (
        directory.guest(NOW, HERE, gid, &pin, "Gus").expect("a guest"),
        directory.guest(NOW, HERE, gid, &spin, "").expect("a guest"),
    );
    assert_ne!(one.uid, other.uid);
    assert_ne!(one.address, other.address);
    assert_eq!((one.name.as_str(), other.name.as_str()), ("Gus", "Guest"));
    let (one_asks, other_asks) = (asker(&mut directory, &one), asker(&mut directory, &other));
    assert_eq!(directory.join_group(NOW, &one_asks, gid, None).expect("joins").rights, Rights::ALL);
    assert_eq!(directory.join_group(NOW, &other_asks, gid, Some(&spin)).expect("joins").rights, VIEWER);
    assert_eq!(
        directory.create_group(one.uid, &settings("Mine", Preset::Conference)),
        Err(Failure::NotAllowed)
    );

    let tomorrow = NOW + Duration::from_secs(24 * 3600);
    assert!(directory.authenticate(tomorrow, &one.token).is_none());
    directory.guest(tomorrow, HERE, gid, &pin, "New").expect("a guest");
    assert!(directory.user(one.uid).is_none(), "forgotten with the token");
    assert_eq!(directory.snapshot().users.len(), 2);

    let closed = Settings { guests: Some(false), ..Settings::default() };
    directory.edit_group(owner.uid, gid, &closed).expect("edited");
    assert_eq!(directory.guest(tomorrow, HERE, gid, &pin, "Late"), Err(Failure::BadGroup));
}

#[test]
fn viewers_of_a_webinar_are_not_kept() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Webinar);
    let ada = user(&mut directory, "ada");
    directory.take_changes();
    for n in 0..100 {
        let pin = if n % 2 == 0 { &pin } else { &spin };
        let guest = directory.guest(NOW, HERE, gid, pin, "G").expect("a guest");
        let guest = asker(&mut directory, &guest);
        assert!(directory.join_group(NOW, &guest, gid, None).is_ok());
    }
    assert_eq!(directory.join_group(NOW, &ada, gid, Some(&spin)).expect("joins").rights, VIEWER);
    assert_eq!(directory.take_changes(), []);
    // Who may publish is kept.
    directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    assert!(matches!(directory.take_changes().as_slice(), [Change::PutMember(..)]));
    let snapshot = directory.snapshot();
    assert_eq!((snapshot.users.len(), snapshot.members.len()), (2, 1));
}

#[test]
fn who_is_kept_and_comes_to_watch_is_a_viewer_after_a_restart_too() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Webinar);
    let ada = user(&mut directory, "ada");
    directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    directory.take_changes();
    assert_eq!(directory.join_group(NOW, &ada, gid, Some(&spin)).expect("joins").rights, VIEWER);
    assert!(matches!(directory.take_changes().as_slice(), [Change::PutMember(..)]));
    directory.remove_from(gid, ada.uid);
    assert_eq!(directory.take_changes(), [Change::RemoveMember(gid, ada.uid)]);
}

#[test]
fn what_is_decided_about_a_viewer_of_a_webinar_is_kept() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, _, spin) = room(&mut directory, &owner, Preset::Webinar);
    let ada = user(&mut directory, "ada");
    directory.join_group(NOW, &ada, gid, Some(&spin)).expect("joins");
    directory.take_changes();
    let up = MemberChanges { call_duration: Some(60), ..MemberChanges::default() };
    directory.edit_member(gid, ada.uid, Override::default(), &up).expect("edited");
    assert!(matches!(directory.take_changes().as_slice(), [Change::PutMember(..)]));
    assert_eq!(directory.snapshot().members.len(), 1);
}

#[test]
fn anyone_watches_a_webinar_without_a_pin() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, ..) = room(&mut directory, &owner, Preset::Webinar);
    let ada = user(&mut directory, "ada");
    let rights = directory.join_group(NOW, &ada, gid, None).expect("joins").rights;
    assert_eq!(rights, Rights { subscribe: true, list: true, ..Rights::NONE });
    assert_eq!(directory.rights_of(NOW, ada.uid, gid), rights);
    assert_eq!(directory.leave_group(ada.uid, gid), Ok(()));
}

#[test]
fn the_owners_word_wins_over_the_pin() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, _) = room(&mut directory, &owner, Preset::Conference);
    let ada = user(&mut directory, "ada");
    directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    directory.take_happenings();
    let said = Override { publish: Say::Deny, ..Override::default() };
    let quiet = MemberChanges { said: Some(said), ..MemberChanges::default() };
    assert_eq!(directory.edit_members(ada.uid, gid, &["ada"], &quiet), Err(Failure::BadGroup));
    directory.edit_members(owner.uid, gid, &["ada"], &quiet).expect("said");
    assert_eq!(directory.take_happenings(), [Happening::MemberChanged(gid, ada.uid)]);
    assert_eq!(directory.rights_of(NOW, ada.uid, gid), VIEWER);
    assert_eq!(directory.join_group(NOW, &ada, gid, Some(&pin)).expect("again").rights, VIEWER);
}

#[test]
fn leaving_ends_the_membership_and_deleting_ends_all() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, _) = room(&mut directory, &owner, Preset::Conference);
    let ada = user(&mut directory, "ada");
    let guest = directory.guest(NOW, HERE, gid, &pin, "Gus").expect("a guest");
    directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    directory.leave_group(ada.uid, gid).expect("leaves");
    assert_eq!(directory.leave_group(ada.uid, gid), Err(Failure::BadGroup));
    assert_eq!(directory.join_group(NOW, &ada, gid, None), Err(Failure::BadGroup));
    directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    directory.take_happenings();

    assert_eq!(directory.delete_group(ada.uid, gid), Err(Failure::BadGroup));
    directory.delete_group(owner.uid, gid).expect("deleted");
    let happenings = directory.take_happenings();
    assert_eq!(happenings.first(), Some(&Happening::GroupGone(gid)));
    assert!(happenings.contains(&Happening::TokenDead(TokenId::of(&guest.token))));
    assert!(directory.authenticate(NOW, &guest.token).is_none());
    assert_eq!(directory.join_group(NOW, &ada, gid, Some(&pin)), Err(Failure::BadGroup));
    assert_eq!(directory.rooms(owner.uid), []);
    let snapshot = directory.snapshot();
    assert_eq!((snapshot.users.len(), snapshot.groups.len(), snapshot.members.len()), (2, 0, 0));
}

#[test]
fn rooms_lists_the_latest_first() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (first, ..) = room(&mut directory, &owner, Preset::Conference);
    let (second, pin, spin) = room(&mut directory, &owner, Preset::Webinar);
    let rooms = directory.rooms(owner.uid);
    assert_eq!(rooms.iter().map(|room| room.gid).collect::<Vec<_>>(), [second, first]);
    assert_eq!(rooms[0], Room { uid: owner.uid, gid: second, name: "Room".to_owned(), pin, spin });
}

#[test]
fn editing_keeps_the_pins_and_is_the_owners() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let ada = user(&mut directory, "ada");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Conference);
    let edit = Settings {
        name: Some("Lecture".to_owned()),
        preset: Some(Preset::Classroom),
        resolution: Some(3),
        limits: LimitChanges { max_publish_kbps: Some(900), ..LimitChanges::default() },
        ..Settings::default()
    };
    assert_eq!(directory.edit_group(ada.uid, gid, &edit), Err(Failure::BadGroup));
    assert_eq!(directory.edit_group(owner.uid, Gid(4711), &edit), Err(Failure::BadGroup));
    let edited = directory.edit_group(owner.uid, gid, &edit).expect("edited");
    assert_eq!((edited.name.as_str(), edited.preset, edited.resolution), ("Lecture", Preset::Classroom, 3));
    assert_eq!(edited.pins, Some((pin, spin)));
    assert!(directory.group(gid).expect("a group").guests, "what is not named stays");
}

#[test]
fn a_spent_or_expired_pin_opens_no_more() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, spin) = room(&mut directory, &owner, Preset::Conference);
    let mut snapshot = directory.snapshot();
    let pins = &mut snapshot.groups[0].1.pins;
    pins[0].count = 2;
    pins[1].expires = NOW.as_secs();
    let mut directory = Directory::new(snapshot, Box::new(Counter(1 << 32)));
    let people: Vec<_> = ["a", "b", "c"].into_iter().map(|name| user(&mut directory, name)).collect();
    assert!(directory.join_group(NOW, &people[0], gid, Some(&pin)).is_ok());
    assert!(directory.join_group(NOW, &people[1], gid, Some(&pin)).is_ok());
    assert!(directory.join_group(NOW, &people[0], gid, Some(&pin)).is_ok(), "coming again is no further use");
    assert_eq!(directory.join_group(NOW, &people[2], gid, Some(&pin)), Err(Failure::BadGroup));
    assert_eq!(directory.join_group(NOW, &people[2], gid, Some(&spin)), Err(Failure::BadGroup));
    let earlier = NOW - Duration::from_secs(1);
    assert!(directory.join_group(earlier, &people[2], gid, Some(&spin)).is_ok());
    assert_eq!(directory.snapshot().groups[0].1.pins[0].used, 2);
}

#[test]
fn nobody_joins_an_expired_group() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, pin, _) = room(&mut directory, &owner, Preset::Conference);
    let mut snapshot = directory.snapshot();
    snapshot.groups[0].1.expires = NOW.as_secs();
    let mut directory = Directory::new(snapshot, Box::new(Counter(1 << 32)));
    let ada = user(&mut directory, "ada");
    assert_eq!(directory.join_group(NOW, &ada, gid, Some(&pin)), Err(Failure::Expired));
    assert_eq!(directory.guest(NOW, HERE, gid, &pin, "G"), Err(Failure::Expired));
    assert_eq!(directory.join_group(NOW, &owner, gid, None), Err(Failure::Expired));
    assert_eq!(directory.rights_of(NOW, owner.uid, gid), Rights::NONE);
}

#[test]
fn the_demo_group_is_made_once_and_allows_guests() {
    let mut directory = empty();
    let (gid, pin) = directory.demo_group().expect("a demo group");
    assert_eq!(gid, Gid(1000));
    assert_eq!(directory.demo_group(), Ok((gid, pin.clone())));
    assert!(directory.guest(NOW, HERE, gid, &pin, "G").is_ok());
    let operator = directory.mint_token("Operator", Some(DEMO_ADDRESS)).expect("a token");
    let operator = asker(&mut directory, &operator);
    assert!(directory.join_group(NOW, &operator, gid, None).expect("its owner").pins.is_some());
}

#[test]
fn limits_of_group_pin_member_and_token_hold_together() {
    let mut directory = empty();
    let owner = user(&mut directory, "owner");
    let (gid, ..) = room(&mut directory, &owner, Preset::Conference);
    let ada = user(&mut directory, "ada");
    let kbps = |kbps| LimitChanges { max_publish_kbps: Some(kbps), ..LimitChanges::default() };
    let given =
        PinChanges { rights: Override::PARTICIPANT.into(), limits: kbps(800), ..PinChanges::default() };
    assert_eq!(directory.add_pin(ada.uid, gid, &given), Err(Failure::BadGroup));
    let pin = directory.add_pin(owner.uid, gid, &given).expect("a pin");
    let joined = directory.join_group(NOW, &ada, gid, Some(&pin)).expect("joins");
    assert_eq!((joined.limits.max_publish_kbps, joined.rights), (800, Rights::ALL));
    let holds = |directory: &Directory| {
        directory.membership(NOW, ada.uid, gid).expect("a member").limits.max_publish_kbps
    };
    // The strictest, whoever says it.
    let group = Settings { limits: kbps(700), ..Settings::default() };
    directory.edit_group(owner.uid, gid, &group).expect("edited");
    assert_eq!(holds(&directory), 700);
    let member = MemberChanges { limits: kbps(600), ..MemberChanges::default() };
    directory.edit_members(owner.uid, gid, &["ada"], &member).expect("edited");
    assert_eq!(holds(&directory), 600);
    directory.take_happenings();
    let stricter = PinChanges { limits: kbps(500), ..PinChanges::default() };
    directory.edit_pin(owner.uid, gid, &pin, &stricter).expect("edited");
    assert_eq!((holds(&directory), directory.take_happenings()), (500, vec![Happening::GroupChanged(gid)]));
    assert_eq!(directory.rights_of(NOW, ada.uid, gid), Rights::ALL, "what is not named stays");
    // A token's hold everywhere.
    let limits = Limits { max_voices: 2, ..Limits::default() };
    directory.limit_token(ada.token, limits).expect("a token");
    assert_eq!(directory.take_happenings(), [Happening::TokenChanged(ada.token)]);
    assert_eq!(directory.token_limits(ada.token), limits);
    let restored = Directory::new(directory.snapshot(), Box::new(SystemEntropy::default()));
    assert_eq!((holds(&restored), restored.token_limits(ada.token)), (500, limits));
    // 0 takes a limit away.
    directory.edit_pin(owner.uid, gid, &pin, &PinChanges { limits: kbps(0), ..stricter }).expect("edited");
    assert_eq!(holds(&directory), 600);
    assert_eq!(directory.edit_members(owner.uid, gid, &["nobody"], &member), Err(Failure::BadUser));
}
