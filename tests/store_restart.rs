//! What the directory changes through the actor is in the store when the answer comes, and there again after a restart.

#[path = "common/control_plane.rs"]
mod control_plane;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use control_plane::start;
use millrace::control::Control;
use millrace::control::directory::{Asker, Settings, TokenId};
use millrace::control::limits::LimitChanges;
use millrace::control::rights::{Preset, Rights};
use millrace::control::store::{RedbStore, Store, StoreError};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn stop(control: Control, actor: tokio::task::JoinHandle<()>) {
    drop(control);
    actor.await.expect("the actor ends with its last handle");
}

#[tokio::test]
async fn everything_is_there_again() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, actor) = start(data.path());
    let (before, owner, guest, gid, spin) = control
        .with(|state, now| {
            let directory = &mut state.directory;
            let owner = directory.mint_token("Owner", Some("owner@example.org")).expect("a token");
            let settings = Settings {
                name: Some("Room".to_owned()),
                preset: Some(Preset::Classroom),
                resolution: Some(3),
                limits: LimitChanges { max_voices: Some(3), ..LimitChanges::default() },
                guests: Some(true),
            };
            let group = directory.create_group(owner.uid, &settings).expect("a group");
            let (pin, spin) = group.pins.expect("pins");
            let guest = directory.guest(now.unix, HERE, group.gid, &pin, "Gus").expect("a guest");
            let viewer = directory.mint_token("Viewer", None).expect("a token");
            let asker = Asker { uid: viewer.uid, token: TokenId::of(&viewer.token), from: HERE };
            directory.join_group(now.unix, &asker, group.gid, Some(&spin)).expect("joins");
            let gone = directory.mint_token("Gone", None).expect("a token");
            directory.logout(TokenId::of(&gone.token));
            let deleted = directory.create_group(owner.uid, &settings).expect("a group");
            directory.delete_group(owner.uid, deleted.gid).expect("deleted");
            (directory.snapshot(), owner, guest, group.gid, spin)
        })
        .await
        .expect("answered");
    stop(control, actor).await;

    let (control, actor) = start(data.path());
    let after = control.with(|state, _| state.directory.snapshot()).await.expect("answered");
    assert_eq!(after, before);
    control
        .with(move |state, now| {
            let directory = &mut state.directory;
            let identity = directory.authenticate(now.unix, &owner.token).expect("the token still opens");
            assert_eq!(identity.uid, owner.uid);
            let room = directory.rooms(owner.uid).remove(0);
            assert_eq!((room.gid, room.spin), (gid, spin));
            assert_eq!(directory.rights_of(now.unix, guest.uid, gid), Rights::ALL);
            let further = directory
                .create_group(owner.uid, &Settings { name: Some("New".to_owned()), ..Settings::default() });
            assert_eq!(further.expect("a group").gid.0, gid.0 + 2, "no number is given twice");
        })
        .await
        .expect("answered");
    stop(control, actor).await;
}

#[tokio::test]
async fn an_answer_means_kept_even_if_nobody_stops_the_server() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, _actor) = start(data.path());
    let minted = control
        .with(|state, _| state.directory.mint_token("Ada", None))
        .await
        .expect("answered")
        .expect("minted");
    // What a crash would leave: the file as it is at this moment.
    let crashed = tempfile::tempdir().expect("a folder");
    std::fs::copy(data.path().join("millrace.redb"), crashed.path().join("millrace.redb")).expect("copied");
    let snapshot = RedbStore::open(crashed.path()).expect("a store").load().expect("a snapshot");
    assert_eq!(snapshot.tokens.len(), 1);
    assert_eq!(snapshot.tokens[0].0, TokenId::of(&minted.token));
    let file = std::fs::read(data.path().join("millrace.redb")).expect("read");
    let secret = minted.token.as_bytes();
    assert!(!file.windows(secret.len()).any(|window| window == secret), "the token itself is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_transactions() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, actor) = start(data.path());
    let asked: Vec<_> = (0..500)
        .map(|n| {
            let control = control.clone();
            tokio::spawn(async move {
                control.with(move |state, _| state.directory.mint_token(&format!("u{n}"), None)).await
            })
        })
        .collect();
    for answer in asked {
        answer.await.expect("a task").expect("answered").expect("minted");
    }
    stop(control, actor).await;
    assert_eq!(RedbStore::open(data.path()).expect("a store").load().expect("a snapshot").users.len(), 500);
}

#[test]
fn a_store_in_use_is_told_plainly() {
    let data = tempfile::tempdir().expect("a folder");
    let _first = RedbStore::open(data.path()).expect("a store");
    let error = RedbStore::open(data.path()).expect_err("locked");
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains("in use by another millrace"), "{error}");
}

#[test]
fn a_damaged_file_is_told_plainly_and_left_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let path = data.path().join("millrace.redb");
    drop(RedbStore::open(data.path()).expect("a store"));
    let good = std::fs::read(&path).expect("read");
    let garbage = vec![0x5a; good.len()];
    let cut = good[..good.len() / 2].to_vec();
    let mut holes = good.clone();
    holes[4096..].fill(0xff);
    for (what, bytes) in [("garbage", garbage), ("cut", cut), ("holes", holes), ("text", b"hello".to_vec())] {
        std::fs::write(&path, &bytes).expect("written");
        let error = RedbStore::open(data.path()).and_then(|mut store| store.load()).expect_err(what);
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
        assert!(error.to_string().contains("put a backup in its place"), "{what}: {error}");
        assert_eq!(std::fs::read(&path).expect("read").len(), bytes.len(), "{what}: left as it was");
    }
}

#[test]
fn a_folder_that_is_not_there_is_told_plainly() {
    let error = RedbStore::open(Path::new("/no/such/folder")).expect_err("no folder").to_string();
    assert!(error.contains("/no/such/folder/millrace.redb") && error.contains("--data"), "{error}");
}
