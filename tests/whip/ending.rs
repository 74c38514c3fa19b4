//! A session ends with what it stands on: rights, membership, group, token.

use millrace::control::directory::MemberChanges;
use millrace::control::rights::{Override, Say};

use super::*;

impl Server {
    /// A member who is no owner: its token, number and address.
    async fn member(&self) -> (String, Uid, String) {
        let (gid, pin) = (self.gid, self.pin.clone());
        let made = self.control.with(move |state, now| {
            let minted = state.directory.mint_token("Ann", Some("ann")).expect("a token");
            let token = state.directory.authenticate(now.unix, &minted.token).expect("it").token;
            let from = SocketAddr::from(([127, 0, 0, 1], 0)).ip();
            let asker = millrace::control::directory::Asker { uid: minted.uid, token, from };
            state.directory.join_group(now.unix, &asker, gid, Some(&pin)).expect("joins");
            minted
        });
        let made = made.await.expect("answered");
        (made.token, made.uid, made.address)
    }

    /// One that publishes and one that watches, of the same member.
    async fn both(&self, token: &str) -> [String; 2] {
        let (publishing, _) = self.published(token).await;
        let watched = self.post(&format!("/whep/{}", self.gid), token, wish()).await;
        assert_eq!(self.counts().await, (2, 1, 2));
        [publishing, session(&watched).0]
    }

    async fn deny(&self, address: String, said: Override) {
        let (gid, owner) = (self.gid, self.owner);
        let changed = self.control.with(move |state, _| {
            let changes = MemberChanges { said: Some(said), ..MemberChanges::default() };
            state.directory.edit_members(owner, gid, &[&address], &changes).is_ok()
        });
        assert!(changed.await.expect("answered"));
    }
}

#[tokio::test]
async fn with_the_right_to_publish_and_the_right_to_watch() {
    let server = Server::start().await;
    let (token, _, address) = server.member().await;
    let [publishing, watching] = server.both(&token).await;
    server.deny(address.clone(), Override { publish: Say::Deny, ..Override::default() }).await;
    assert_eq!(server.counts().await, (1, 0, 1));
    assert_eq!(server.delete(&publishing, &token).await, StatusCode::NOT_FOUND);
    let none = Override { publish: Say::Deny, subscribe: Say::Deny, ..Override::default() };
    server.deny(address, none).await;
    assert_eq!(server.counts().await, (0, 0, 0));
    assert_eq!(server.delete(&watching, &token).await, StatusCode::NOT_FOUND);
    assert_eq!(server.publish(&token).await.status(), StatusCode::FORBIDDEN);
    let watched = server.post(&format!("/whep/{}", server.gid), &token, wish()).await;
    assert_eq!(watched.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn with_the_group() {
    let server = Server::start().await;
    let (token, ..) = server.member().await;
    server.both(&token).await;
    server.published(&server.pin).await;
    let (gid, owner) = (server.gid, server.owner);
    let deleted = server.control.with(move |state, _| state.directory.delete_group(owner, gid).is_ok());
    assert!(deleted.await.expect("answered"));
    assert_eq!(server.counts().await, (0, 0, 0));
}

#[tokio::test]
async fn with_the_token() {
    let server = Server::start().await;
    let (token, ..) = server.member().await;
    server.both(&token).await;
    server.published(&server.token).await;
    server
        .control
        .with(move |state, now| {
            let id = state.directory.authenticate(now.unix, &token).expect("a token").token;
            state.directory.logout(id);
        })
        .await
        .expect("answered");
    assert_eq!(server.counts().await, (1, 1, 1));
}
