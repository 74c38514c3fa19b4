//! What begins and ends sessions and calls by itself: another session of the same token, a call in a group, and time.

use millrace::control::directory::{
    DEFAULT_APP, Directory, MemberChanges, Minted, PinChanges, Settings, TokenId,
};
use millrace::control::ids::{Gid, Sid, Uid};
use millrace::control::rights::{Override, Preset};
use millrace::signal::message::{Notice, Request, Watch};

use crate::client::{Client, Server};

impl Server {
    /// Something of the directory, done by the owner of the room, at a time in seconds since 1970.
    async fn edit<R: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Directory, Uid, u64) -> R + Send + 'static,
    ) -> R {
        let gid = self.gid;
        let done = self.control.with(move |state, now| {
            let owner = state.directory.group(gid).expect("a group").owner;
            edit(&mut state.directory, owner, now.unix.as_secs())
        });
        done.await.expect("answered")
    }

    async fn settings(&self, gid: Gid, settings: impl FnOnce(u64) -> Settings + Send + 'static) {
        self.edit(move |directory, owner, now| directory.edit_group(owner, gid, &settings(now)))
            .await
            .expect("edited");
    }

    /// A user with this name and address.
    async fn user(&self, name: &'static str) -> Minted {
        let made = self.edit(move |directory, _, _| directory.mint_token(name, Some(name))).await;
        made.expect("a token")
    }

    async fn several(&self, several: bool) {
        let said = self.edit(move |directory, _, _| {
            directory.app_or_new(DEFAULT_APP)?;
            directory.allow_several(DEFAULT_APP, several)
        });
        said.await.expect("an app");
    }
}

fn removed(why: &'static str) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Removed { reason, .. } if reason == why)
}

fn signed_out(notice: &Notice) -> bool {
    matches!(notice, Notice::Signout {})
}

fn calls(notice: &Notice) -> bool {
    matches!(notice, Notice::Call { .. })
}

#[tokio::test]
async fn signing_in_elsewhere_ends_the_older_session() {
    let server = Server::start().await;
    let token = server.token("Ann").await;
    let mut older = server.client(&token).await;
    older.join(server.gid, &server.pin).await.expect("joins");
    older.publish(server.gid).await.expect("publishes");
    let mut bob = server.client(&server.token("Bob").await).await;
    bob.join(server.gid, &server.pin).await.expect("joins");
    let mut newer = server.client(&token).await;
    older.notice(signed_out).await;
    assert_eq!(older.end().await, None);
    bob.notice(|n| matches!(n, Notice::Roster { left, .. } if left.len() == 1)).await;
    newer.join(server.gid, &server.pin).await.expect("joins");
}

#[tokio::test]
async fn an_app_may_allow_several_sessions_of_a_token() {
    let server = Server::start().await;
    server.several(true).await;
    let token = server.token("Ann").await;
    let (mut one, mut other) = (server.client(&token).await, server.client(&token).await);
    let gid = server.gid;
    one.join(gid, &server.pin).await.expect("joins");
    other.join(gid, &server.pin).await.expect("joins");
    assert!(!one.heard().iter().chain(other.heard()).any(signed_out));
    // All of them end with the token ...
    let id = TokenId::of(&token);
    server.edit(move |directory, _, _| directory.logout(id)).await;
    for client in [&mut one, &mut other] {
        client.notice(signed_out).await;
        assert_eq!(client.end().await, None);
    }
    // ... and there are never more than sixteen.
    let token = server.token("Bob").await;
    let mut many = Vec::new();
    for _ in 0..17 {
        many.push(server.client(&token).await);
    }
    let mut first = many.swap_remove(0);
    first.notice(signed_out).await;
    // Allowed one alone, who signs in next is that one.
    server.several(false).await;
    let mut last = server.client(&token).await;
    for client in &mut many {
        client.notice(signed_out).await;
    }
    last.join(gid, &server.pin).await.expect("joins");
}

#[tokio::test]
async fn a_token_that_expires_ends_its_session() {
    let server = Server::start().await;
    let user = server.user("ann").await;
    let token = server
        .edit(move |directory, _, now| directory.add_token_of(user.uid, now + 2, Default::default()))
        .await
        .expect("a token");
    let mut ann = server.client(&token).await;
    ann.join(server.gid, &server.pin).await.expect("joins");
    ann.publish(server.gid).await.expect("publishes");
    let mut bob = server.client(&server.token("Bob").await).await;
    bob.join(server.gid, &server.pin).await.expect("joins");
    assert_eq!(ann.end().await.as_deref(), Some("AUTHFAIL"));
    bob.notice(|n| matches!(n, Notice::Roster { left, .. } if left.len() == 1)).await;
    let refusal = server.stranger().await.hello(&token, None).await.expect_err("refused");
    assert_eq!(refusal.error, "AUTHFAIL");
    let id = TokenId::of(&token);
    let kept = server.edit(move |directory, _, _| directory.snapshot().tokens.iter().any(|(t, _)| *t == id));
    assert!(!kept.await, "forgotten");
}

#[tokio::test]
async fn a_group_that_expires_ends_its_call() {
    let server = Server::start().await;
    let (mut ann, mut bob) =
        (server.client(&server.token("Ann").await).await, server.client(&server.token("Bob").await).await);
    for client in [&mut ann, &mut bob] {
        client.join(server.gid, &server.pin).await.expect("joins");
    }
    ann.publish(server.gid).await.expect("publishes");
    // In a running call, which is looked at anew.
    server.settings(server.gid, |now| Settings { expires: Some(now + 2), ..Settings::default() }).await;
    for client in [&mut ann, &mut bob] {
        client.notice(removed("EXPIRED")).await;
    }
    assert_eq!(bob.publish(server.gid).await.expect_err("refused").error, "BADGROUP");
    assert_eq!(bob.join(server.gid, &server.pin).await.expect_err("refused").error, "EXPIRED");
    server.settings(server.gid, |_| Settings { expires: Some(0), ..Settings::default() }).await;
    bob.join(server.gid, &server.pin).await.expect("joins again");
}

#[tokio::test]
async fn a_member_and_who_came_with_a_pin_that_expires_go_alone() {
    let server = Server::start().await;
    let gid = server.gid;
    let pin = server.edit(move |directory, owner, now| {
        let leaving = PinChanges {
            rights: Override::PARTICIPANT.into(),
            expires: Some(now + 3),
            leave: Some(true),
            ..PinChanges::default()
        };
        let staying = PinChanges { leave: None, ..leaving };
        Ok::<_, millrace::control::directory::Failure>((
            directory.add_pin(owner, gid, &leaving)?,
            directory.add_pin(owner, gid, &staying)?,
        ))
    });
    let (leaving, staying) = pin.await.expect("pins");
    let users = [server.user("ann").await, server.user("bob").await, server.user("cyd").await];
    let mut clients = Vec::new();
    for (user, pin) in users.iter().zip([&server.pin, &leaving, &staying]) {
        let mut client = server.client(&user.token).await;
        client.join(gid, pin).await.expect("joins");
        clients.push(client);
    }
    let [ann, bob, cyd] = &mut clients[..] else { panic!("three") };
    let edited = server.edit(move |directory, owner, now| {
        let changes = MemberChanges { expires: Some(now + 2), ..MemberChanges::default() };
        directory.edit_members(owner, gid, &["ann"], &changes)
    });
    edited.await.expect("edited");
    ann.notice(removed("EXPIRED")).await;
    bob.notice(removed("EXPIRED")).await;
    // That pin opens no more, but who is in stays.
    cyd.publish(gid).await.expect("publishes");
    let mut late = server.client(&server.token("Late").await).await;
    assert_eq!(late.join(gid, &staying).await.expect_err("refused").error, "BADGROUP");
    assert!(!cyd.heard().iter().any(removed("EXPIRED")));
}

#[tokio::test]
async fn a_call_lasts_as_long_as_group_pin_or_member_say() {
    let server = Server::start().await;
    let gid = server.gid;
    server.settings(gid, |_| Settings { call_duration: Some(3600), ..Settings::default() }).await;
    let pin = server.edit(move |directory, owner, _| {
        let changes = PinChanges {
            rights: Override::PARTICIPANT.into(),
            call_duration: Some(1),
            ..PinChanges::default()
        };
        directory.add_pin(owner, gid, &changes)
    });
    let pin = pin.await.expect("a pin");
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (mut ann, mut bob) = (server.client(&ann.token).await, server.client(&bob.token).await);
    ann.join(gid, &server.pin).await.expect("joins");
    bob.join(gid, &pin).await.expect("joins");
    ann.publish(gid).await.expect("publishes");
    // Who watches is in the call as well.
    let uid = server.user("ann").await.uid;
    let watch = Watch {
        gid,
        uid,
        sid: Sid(0),
        audio: true,
        video: true,
        width: 640,
        height: 360,
        visible: true,
        priority: 1,
    };
    bob.ask(&Request::Watch(watch)).await.expect("watches");
    bob.notice(removed("DURATION")).await;
    // In a running call the time is told anew, and counts from when the call began.
    let edited = server.edit(move |directory, owner, _| {
        let changes = MemberChanges { call_duration: Some(1), ..MemberChanges::default() };
        directory.edit_members(owner, gid, &["ann"], &changes)
    });
    edited.await.expect("edited");
    ann.notice(removed("DURATION")).await;
    assert_eq!(ann.publish(gid).await.expect_err("refused").error, "BADGROUP");
    ann.join(gid, &server.pin).await.expect("who comes again begins another call");
}

/// A member of the room who is signed in, and not in it.
async fn elsewhere(server: &Server, name: &'static str, pin: &str) -> Client {
    let user = server.user(name).await;
    let mut client = server.client(&user.token).await;
    client.join(server.gid, pin).await.expect("joins");
    client.ask(&Request::Leave { gid: server.gid }).await.expect("leaves");
    client
}

#[tokio::test]
async fn members_who_are_elsewhere_are_told_of_a_call() {
    let server = Server::start().await;
    let (mut ann, mut bob) =
        (elsewhere(&server, "ann", &server.pin).await, elsewhere(&server, "bob", &server.spin).await);
    let mut stranger = server.client(&server.token("Stranger").await).await;
    ann.join(server.gid, "").await.expect("joins");
    ann.publish(server.gid).await.expect("publishes");
    let Notice::Call { gid, group, by } = bob.notice(calls).await else { panic!("a call") };
    assert_eq!((gid, group.as_str(), by.name.as_str()), (server.gid, "Room", "ann"));
    // Not who begins, not who is in, not who is no member; and not again at once.
    bob.join(server.gid, "").await.expect("joins");
    ann.ask(&Request::Unpublish { sid: Sid(0), gid: None }).await.expect("ends");
    bob.ask(&Request::Leave { gid: server.gid }).await.expect("leaves");
    ann.publish(server.gid).await.expect("publishes");
    stranger.join(server.gid, &server.pin).await.expect("joins");
    bob.join(server.gid, "").await.expect("joins");
    assert!(!ann.heard().iter().chain(bob.heard()).chain(stranger.heard()).any(calls));
}

#[tokio::test]
async fn viewers_of_a_webinar_are_told_of_no_call() {
    let server = Server::start().await;
    server.settings(server.gid, |_| Settings { preset: Some(Preset::Webinar), ..Settings::default() }).await;
    let (mut speaker, mut guest) =
        (elsewhere(&server, "speaker", &server.pin).await, elsewhere(&server, "other", &server.pin).await);
    let mut viewer = elsewhere(&server, "viewer", &server.spin).await;
    speaker.join(server.gid, "").await.expect("joins");
    speaker.publish(server.gid).await.expect("publishes");
    guest.notice(calls).await;
    viewer.join(server.gid, &server.spin).await.expect("joins");
    assert!(!viewer.heard().iter().any(calls));
}
