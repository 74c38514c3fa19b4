//! What owner and admins may do to others, and what becomes of it.

use super::*;
use crate::control::house::{House, Person, SHARD, refused};
use crate::control::limits::LimitChanges;
use crate::control::rights::Preset;
use crate::control::rooms::Effect;
use crate::router::command::Command;
use crate::signal::message::{Answer, Request, RightsEdit, Secret, write_notice};

fn ask(gid: Gid, action: Action, whom: Option<&Person>) -> Moderate {
    let uids = whom.map(|person| vec![person.uid]);
    Moderate { gid, action, uids, sid: None, audio: None, video: None, stream: None }
}

/// A house whose owner is inside.
fn house() -> (House, Person) {
    let mut house = House::new(Preset::Conference);
    let owner = house.owner();
    (house, owner)
}

fn moderate(
    house: &mut House,
    by: &Person,
    action: Action,
    whom: Option<&Person>,
) -> Result<Answer, Refusal> {
    let ask = ask(house.gid, action, whom);
    house.ask(by, &Request::Moderate(ask))
}

fn edit(
    house: &mut House,
    by: &Person,
    whom: &Person,
    rights: RightsEdit,
    admin: Option<Admin>,
) -> Result<Answer, Refusal> {
    let limits = LimitChanges::default();
    house.ask(by, &Request::Edit(Edit { gid: house.gid, uids: vec![whom.uid], rights, limits, admin }))
}

fn mutes(done: &[Effect]) -> Vec<bool> {
    done.iter()
        .filter_map(|effect| match effect {
            Effect::Shard(SHARD, Command::MuteTrack { muted, .. }) => Some(*muted),
            _ => None,
        })
        .collect()
}

#[test]
fn what_an_admin_mutes_is_dropped_until_the_person_unmutes_it() {
    let (mut house, owner) = house();
    let ann = house.enter("Ann");
    house.publish(&ann).expect("publishes");
    house.done();
    house.heard(&ann);
    let sound = Moderate { audio: Some(true), ..ask(house.gid, Action::Mute, Some(&ann)) };
    house.ask(&owner, &Request::Moderate(sound)).expect("muted");
    assert_eq!(mutes(&house.done()), [true]);
    let told = house.heard(&ann);
    assert!(
        told.iter()
            .any(|n| matches!(n, Notice::Muted { audio: true, video: false, by, .. } if *by == owner.uid))
    );
    let seen = house.heard(&owner);
    assert!(
        seen.iter()
            .any(|n| matches!(n, Notice::Roster { changed, .. } if changed.iter().any(|s| s.muted.audio)))
    );

    moderate(&mut house, &owner, Action::Unmute, Some(&ann)).expect("asked");
    assert_eq!(mutes(&house.done()), Vec::<bool>::new());
    let asked = house.heard(&ann);
    assert!(asked.iter().any(|n| matches!(n, Notice::Asked { action: Action::Unmute, audio: true, .. })));
    let unmute = Request::Mute { sid: crate::control::ids::Sid(0), audio: Some(false), video: None };
    house.ask(&ann, &unmute).expect("unmuted");
    assert_eq!(mutes(&house.done()), [false]);
}

#[test]
fn each_bit_allows_one_thing() {
    let (mut house, owner) = house();
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    house.publish(&bob).expect("publishes");
    let silent = RightsEdit { send: Some(false), ..RightsEdit::default() };
    for (bits, may) in [
        (Admin::NONE, [false, false, false]),
        (Admin { moderate: true, ..Admin::NONE }, [true, false, false]),
        (Admin { members: true, ..Admin::NONE }, [false, true, false]),
        (Admin { remove: true, ..Admin::NONE }, [false, false, true]),
    ] {
        edit(&mut house, &owner, &ann, RightsEdit::default(), Some(bits)).expect("the owner makes admins");
        let did = [
            moderate(&mut house, &ann, Action::Mute, Some(&bob)).is_ok(),
            edit(&mut house, &ann, &bob, silent, None).is_ok(),
            moderate(&mut house, &ann, Action::Remove, Some(&bob)).is_ok(),
        ];
        assert_eq!(did, may, "{bits:?}");
    }
}

#[test]
fn nobody_moderates_the_owner_and_only_the_owner_an_admin() {
    let (mut house, owner) = house();
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    for admin in [&ann, &bob] {
        edit(&mut house, &owner, admin, RightsEdit::default(), Some(Admin::ALL)).expect("made");
    }
    assert!(house.heard(&ann).iter().any(|n| matches!(n, Notice::Rights { admin: Admin::ALL, .. })));
    assert_eq!(refused(moderate(&mut house, &ann, Action::Remove, Some(&owner))), "NOTALLOWED");
    assert_eq!(refused(moderate(&mut house, &ann, Action::Remove, Some(&bob))), "NOTALLOWED");
    let eve = house.enter("Eve");
    let made = edit(&mut house, &ann, &eve, RightsEdit::default(), Some(Admin::ALL));
    assert_eq!(refused(made), "NOTALLOWED");
    // To all is to all whom it may be done to.
    moderate(&mut house, &ann, Action::Remove, None).expect("done");
    assert!(house.heard(&eve).iter().any(|n| matches!(n, Notice::Removed { .. })));
    assert!(!house.heard(&bob).iter().any(|n| matches!(n, Notice::Removed { .. })));
    moderate(&mut house, &owner, Action::Remove, Some(&bob)).expect("the owner may");
    assert!(house.heard(&bob).iter().any(|n| matches!(n, Notice::Removed { .. })));
}

#[test]
fn a_hang_up_ends_streams_and_a_removal_the_membership() {
    let (mut house, owner) = house();
    let ann = house.enter("Ann");
    house.publish(&ann).expect("publishes");
    moderate(&mut house, &owner, Action::Hangup, Some(&ann)).expect("ended");
    assert!(house.heard(&ann).iter().any(|n| matches!(n, Notice::Ended { status: 0x40, .. })));
    assert!(house.heard(&owner).iter().any(|n| matches!(n, Notice::Roster { left, .. } if left.len() == 1)));
    house.publish(&ann).expect("may again");
    moderate(&mut house, &owner, Action::Remove, Some(&ann)).expect("removed");
    let told = house.heard(&ann);
    assert!(told.iter().any(|n| matches!(n, Notice::Removed { reason, .. } if reason == "REMOVED")));
    let again = house.ask(&ann, &Request::Join { gid: house.gid, pin: None });
    assert_eq!(refused(again), "BADGROUP");
}

#[test]
fn all_others_are_asked_and_nobody_must() {
    let (mut house, owner) = house();
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    house.publish(&ann).expect("publishes");
    for action in [Action::Publish, Action::Stop, Action::Leave] {
        moderate(&mut house, &owner, action, None).expect("asked");
    }
    let stream = Some(crate::signal::message::StreamId { uid: ann.uid, sid: crate::control::ids::Sid(0) });
    for action in [Action::Subscribe, Action::Fullscreen] {
        let show = Moderate { stream, ..ask(house.gid, action, Some(&bob)) };
        house.ask(&owner, &Request::Moderate(show)).expect("asked");
    }
    let asked = |heard: Vec<Notice>| -> Vec<Action> {
        let asked = heard.into_iter().filter_map(|notice| match notice {
            Notice::Asked { action, .. } => Some(action),
            _ => None,
        });
        asked.collect()
    };
    let all = [Action::Publish, Action::Stop, Action::Leave];
    assert_eq!(asked(house.heard(&ann)), all);
    assert_eq!(asked(house.heard(&bob)), [&all[..], &[Action::Subscribe, Action::Fullscreen]].concat());
    assert_eq!(asked(house.heard(&owner)), []);
    assert_eq!(house.state.rooms.counts().1, 1, "the stream goes on");
    let nothing = Moderate {
        stream: stream.map(|stream| crate::signal::message::StreamId { uid: bob.uid, ..stream }),
        ..ask(house.gid, Action::Subscribe, None)
    };
    assert_eq!(refused(house.ask(&owner, &Request::Moderate(nothing))), "NOSTREAM");
}

#[test]
fn a_hand_is_lowered_and_rights_and_limits_act_at_once() {
    let (mut house, owner) = house();
    let ann = house.enter("Ann");
    house.ask(&ann, &Request::Hand { gid: house.gid, up: true }).expect("up");
    house.heard(&ann);
    moderate(&mut house, &owner, Action::Lower, Some(&ann)).expect("lowered");
    assert!(
        house.heard(&ann).iter().any(|n| matches!(n, Notice::Hands { lowered, .. } if *lowered == [ann.uid]))
    );

    house.publish(&ann).expect("publishes");
    house.done();
    let limits = LimitChanges { max_publish_kbps: Some(300), ..LimitChanges::default() };
    let rights = RightsEdit::default();
    let limit = Edit { gid: house.gid, uids: vec![ann.uid], rights, limits, admin: None };
    house.ask(&owner, &Request::Edit(limit.clone())).expect("limited");
    assert!(house.done().iter().any(|e| matches!(e, Effect::Shard(SHARD, Command::LimitTrack { .. }))));
    let nonsense = LimitChanges { max_resolution: Some(9), ..LimitChanges::default() };
    assert_eq!(refused(house.ask(&owner, &Request::Edit(Edit { limits: nonsense, ..limit }))), "BADARG");
    let silent = RightsEdit { publish: Some(false), ..RightsEdit::default() };
    edit(&mut house, &owner, &ann, silent, None).expect("lowered");
    assert!(house.heard(&ann).iter().any(|n| matches!(n, Notice::Ended { status: 0x4a, .. })));
    assert_eq!(refused(house.publish(&ann)), "NOTALLOWED");
}

#[test]
fn a_viewer_of_a_webinar_goes_to_the_stage_and_back_on_the_same_connections() {
    let mut house = House::new(Preset::Webinar);
    let owner = house.owner();
    let viewer = house.enter_with_spin("Viewer");
    house.publish(&owner).expect("publishes");
    house.watch(&viewer, owner.uid);
    let viewing = house.state.rooms.counts().2;
    house.done();
    let stage = |up| RightsEdit { publish: Some(up), ..RightsEdit::default() };
    assert_eq!(refused(house.publish(&viewer)), "NOTALLOWED");
    edit(&mut house, &owner, &viewer, stage(true), None).expect("promoted");
    assert!(
        house.heard(&viewer).iter().any(|n| matches!(n, Notice::Rights { rights, .. } if rights.publish))
    );
    house.publish(&viewer).expect("is on the stage");
    assert!(
        house.heard(&owner).iter().any(|n| matches!(n, Notice::Roster { joined, .. } if joined.len() == 1))
    );
    assert_eq!(house.state.rooms.counts().2, viewing + 1);
    house.done();
    edit(&mut house, &owner, &viewer, stage(false), None).expect("and back");
    let told = house.heard(&viewer);
    assert!(told.iter().any(|n| matches!(n, Notice::Ended { status: 0x4a, .. })));
    assert!(
        !told.iter().any(|n| matches!(n, Notice::Offer { .. } | Notice::Removed { .. } | Notice::Signout {}))
    );
    assert_eq!(house.state.rooms.counts().2, viewing, "the connection on which it watches is the one it was");
}

#[test]
fn two_thousand_viewers_cost_each_who_is_present_less_than_two_kilobytes() {
    let mut house = House::new(Preset::Webinar);
    let owner = house.owner();
    house.publish(&owner).expect("publishes");
    let present = house.enter_with_spin("Present");
    house.heard(&present);
    let (gid, pin) = (house.gid, house.spin.clone());
    for n in 0..2000 {
        // Within a minute, as when a webinar begins.
        house.tick(std::time::Duration::from_millis(30));
        let minted = house.state.directory.guest(house.now.unix, crate::control::house::HERE, gid, &pin, "V");
        let minted = minted.unwrap_or_else(|e| panic!("guest {n}: {e}"));
        let viewer = house.hello(&minted.token, minted.uid, &minted.address);
        house.ask(&viewer, &Request::Join { gid, pin: Some(Secret(pin.clone())) }).expect("joins");
    }
    house.tick(std::time::Duration::from_secs(30));
    for who in [&present, &owner] {
        let heard = house.heard(who);
        let bytes: usize = heard.iter().map(|notice| write_notice(notice).len()).sum();
        assert!(bytes < 2048, "{bytes} bytes in {} notices", heard.len());
        let count = heard.iter().rev().find_map(|notice| match notice {
            Notice::People { count, .. } => Some(*count),
            _ => None,
        });
        assert_eq!(count, Some(2002));
    }
}
