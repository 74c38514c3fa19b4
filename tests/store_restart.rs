//! What the directory changes through the actor is in the store when the answer comes, and there again after a restart.

#[path = "common/control_plane.rs"]
mod control_plane;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use control_plane::start;
use millrace::control::directory::{
    Asker, Change, Directory, Message, Settings, Snapshot, SystemEntropy, TokenId, User,
};
use millrace::control::ids::Uid;
use millrace::control::limits::LimitChanges;
use millrace::control::rights::{Preset, Rights};
use millrace::control::store::{JournalStore, Store, StoreError};
use millrace::control::{Control, Resting, Unavailable};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn stop(control: Control, actor: tokio::task::JoinHandle<()>) {
    drop(control);
    actor.await.expect("the actor ends with its last handle");
}

async fn add_user(control: Control, name: &'static str) -> Result<String, Unavailable> {
    let minted = control.with(move |state, _| state.directory.mint_token(name, None)).await;
    minted.map(|minted| minted.expect("a token").token)
}

fn knows(data: &Path, lent: &Resting, token: &str) -> bool {
    let file = lent.store.try_clone().expect("a descriptor");
    let snapshot = JournalStore::take_over(data, file).and_then(|mut store| store.load()).expect("a store");
    snapshot.tokens.iter().any(|(id, _)| *id == TokenId::of(token))
}

#[tokio::test]
async fn while_the_actor_rests_who_gets_its_store_reads_all_that_was_acknowledged_and_nothing_changes() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, actor) = start(data.path(), 100);
    let kept = add_user(control.clone(), "Ada").await.expect("acknowledged");
    let resting = control.rest().await.expect("it rests");
    assert!(knows(data.path(), &resting, &kept));
    assert!(matches!(JournalStore::open(data.path()), Err(StoreError::Locked(_))), "it is locked for others");
    let other = tempfile::tempdir().expect("a folder");
    drop(JournalStore::open(other.path()).expect("a store"));
    let file = resting.store.try_clone().expect("a descriptor");
    assert!(JournalStore::take_over(other.path(), file).is_err(), "it is the store of one folder");

    // Who asks meanwhile waits. Here the successor fails, ...
    let asked = tokio::spawn(add_user(control.clone(), "Bob"));
    tokio::task::yield_now().await;
    assert!(!asked.is_finished());
    drop(resting);
    let kept = asked.await.expect("no panic").expect("done as if nothing had been");
    // ... and here it does not.
    let resting = control.rest().await.expect("it rests");
    assert!(knows(data.path(), &resting, &kept));
    let asked = tokio::spawn(add_user(control.clone(), "Cyd"));
    tokio::task::yield_now().await;
    resting.end(true);
    assert_eq!(asked.await.expect("no panic"), Err(Unavailable::Stopping));
    actor.await.expect("it ends");
    assert_eq!(control.rest().await.err(), Some(Unavailable::Stopping));
}

#[tokio::test]
async fn everything_is_there_again() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, actor) = start(data.path(), 100);
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
                call_flags: Some(0x107),
                ..Settings::default()
            };
            let group = directory.create_group(owner.uid, &settings).expect("a group");
            let (pin, spin) = group.pins.expect("pins");
            let guest = directory.guest(now.unix, HERE, group.gid, &pin, "Gus").expect("a guest");
            let viewer = directory.mint_token("Viewer", None).expect("a token");
            let asker = Asker { uid: viewer.uid, token: TokenId::of(&viewer.token), from: HERE };
            directory.join_group(now.unix, &asker, group.gid, Some(&spin)).expect("joins");
            let said = Message {
                from: owner.uid,
                name: "Owner".to_owned(),
                to: None,
                text: "Hi".to_owned(),
                file: None,
            };
            directory.keep_message(now.unix, group.gid, said);
            let gone = directory.mint_token("Gone", None).expect("a token");
            directory.logout(TokenId::of(&gone.token));
            let deleted = directory.create_group(owner.uid, &settings).expect("a group");
            directory.delete_group(owner.uid, deleted.gid).expect("deleted");
            (directory.snapshot(), owner, guest, group.gid, spin)
        })
        .await
        .expect("answered");
    stop(control, actor).await;

    let (control, actor) = start(data.path(), 100);
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
    let (control, _actor) = start(data.path(), 100);
    let minted = control
        .with(|state, _| state.directory.mint_token("Ada", None))
        .await
        .expect("answered")
        .expect("minted");
    // What a crash would leave: the file as it is at this moment.
    let crashed = tempfile::tempdir().expect("a folder");
    std::fs::copy(data.path().join("millrace.journal"), crashed.path().join("millrace.journal"))
        .expect("copied");
    let snapshot = JournalStore::open(crashed.path()).expect("a store").load().expect("a snapshot");
    assert_eq!(snapshot.tokens.len(), 1);
    assert_eq!(snapshot.tokens[0].0, TokenId::of(&minted.token));
    let file = std::fs::read(data.path().join("millrace.journal")).expect("read");
    let secret = minted.token.as_bytes();
    assert!(!file.windows(secret.len()).any(|window| window == secret), "the token itself is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_commits() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, actor) = start(data.path(), 100);
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
    assert_eq!(
        JournalStore::open(data.path()).expect("a store").load().expect("a snapshot").users.len(),
        500
    );
}

#[test]
fn a_store_in_use_is_told_plainly() {
    let data = tempfile::tempdir().expect("a folder");
    let _first = JournalStore::open(data.path()).expect("a store");
    let error = JournalStore::open(data.path()).expect_err("locked");
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains("in use by another millrace"), "{error}");
}

/// A store after each of some commits.
fn written(data: &Path) -> Vec<(Vec<u8>, Snapshot)> {
    let mut store = JournalStore::open(data).expect("a store");
    let mut directory = Directory::new(store.load().expect("a snapshot"), Box::new(SystemEntropy::default()));
    let path = data.join("millrace.journal");
    let mut states = Vec::new();
    for n in 0..4 {
        states.push((std::fs::read(&path).expect("read"), directory.snapshot()));
        let owner = directory.mint_token(&format!("Owner {n}"), None).expect("a token");
        directory
            .create_group(
                owner.uid,
                &Settings { name: Some("Room \u{1f600}".to_owned()), ..Settings::default() },
            )
            .expect("a group");
        store.commit(&directory.take_changes()).expect("kept");
    }
    states.push((std::fs::read(&path).expect("read"), directory.snapshot()));
    states
}

fn reopened(data: &Path, bytes: &[u8]) -> Result<Snapshot, StoreError> {
    std::fs::write(data.join("millrace.journal"), bytes).expect("written");
    JournalStore::open(data)?.load()
}

#[test]
fn a_file_cut_anywhere_holds_every_commit_before_the_cut_and_no_part_of_another() {
    let data = tempfile::tempdir().expect("a folder");
    let states = written(data.path());
    let whole = &states.last().expect("states").0;
    let made = states[0].0.len();
    for cut in 0..=whole.len() {
        let found = reopened(data.path(), &whole[..cut]);
        match states.iter().rev().find(|(bytes, _)| bytes.len() <= cut) {
            Some((bytes, expected)) => {
                assert_eq!(&found.expect("a store"), expected, "cut at {cut}");
                // And what comes next follows whole lines; now and then, since it waits for the disk.
                if cut % 9 != 0 {
                    continue;
                }
                let mut store = JournalStore::open(data.path()).expect("a store");
                let ada =
                    User { name: "Ada".to_owned(), address: "ada".to_owned(), guest_of: None, app: None };
                store.commit(&[Change::PutUser(Uid(77), ada)]).expect("kept");
                drop(store);
                let file = std::fs::read(data.path().join("millrace.journal")).expect("read");
                assert!(file.starts_with(bytes) && file.ends_with(b"\n"));
                let users =
                    JournalStore::open(data.path()).expect("a store").load().expect("a snapshot").users;
                assert_eq!(users.len(), expected.users.len() + 1, "cut at {cut}");
            }
            None => {
                assert!(cut < made);
                assert!(matches!(found, Err(StoreError::Damaged { .. })), "cut at {cut}: {found:?}");
            }
        }
    }
}

#[test]
fn bytes_that_never_reached_the_disk_read_as_zero_and_are_no_damage() {
    let data = tempfile::tempdir().expect("a folder");
    let states = written(data.path());
    let [.., (before, expected), (whole, _)] = states.as_slice() else { panic!("no states") };
    let mut holed = whole.clone();
    holed[before.len() + 10..].fill(0);
    assert_eq!(&reopened(data.path(), &holed).expect("a store"), expected);
}

#[test]
fn a_changed_byte_anywhere_is_told_plainly_and_the_file_left_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let states = written(data.path());
    let [.., (_, before), (whole, all)] = states.as_slice() else { panic!("no states") };
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x15;
        match reopened(data.path(), &bad) {
            Err(error @ StoreError::Damaged { .. }) => {
                assert!(error.to_string().contains("put a backup in its place"), "{error}");
                assert_eq!(std::fs::read(data.path().join("millrace.journal")).expect("read"), bad);
            }
            // An end of line that is none looks like a commit under way.
            Ok(found) => assert!(at == whole.len() - 1 && &found == before, "{at}"),
            Err(other) => panic!("{at}: {other}"),
        }
    }
    assert_eq!(&reopened(data.path(), whole).expect("a store"), all);
}

#[test]
fn what_is_no_store_is_told_plainly_and_left_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let whole = written(data.path()).pop().expect("a state").0;
    let twice = [&whole[..], &whole[..]].concat();
    for (what, bytes) in [
        ("garbage", vec![0x5a; 9000]),
        ("nothing", Vec::new()),
        ("text", b"hello\n".to_vec()),
        ("twice", twice),
    ] {
        let error = reopened(data.path(), &bytes).expect_err(what);
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
        assert_eq!(std::fs::read(data.path().join("millrace.journal")).expect("read"), bytes, "{what}");
    }
    // `{"format":2}` with its checksum.
    let later = b"843390fa {\"format\":2}\n";
    let error = reopened(data.path(), later).expect_err("a later one");
    assert!(matches!(error, StoreError::TooNew { format: 2, .. }), "{error:?}");
}

#[test]
fn a_journal_does_not_grow_without_end() {
    let data = tempfile::tempdir().expect("a folder");
    let mut store = JournalStore::open(data.path()).expect("a store");
    let user = |n: u32| User { name: "x".repeat(5000), address: n.to_string(), guest_of: None, app: None };
    for n in 0..2000 {
        store
            .commit(&[Change::PutUser(Uid(n), user(n)), Change::RemoveUser(Uid(n.wrapping_sub(3)))])
            .expect("kept");
        if n % 500 == 0 {
            assert!(matches!(JournalStore::open(data.path()), Err(StoreError::Locked(_))), "still locked");
        }
    }
    let len = std::fs::metadata(data.path().join("millrace.journal")).expect("a file").len();
    assert!(len < 2 * 1024 * 1024, "{len} bytes for three users");
    drop(store);
    let users = JournalStore::open(data.path()).expect("a store").load().expect("a snapshot").users;
    assert_eq!(users, (1997..2000).map(|n| (Uid(n), user(n))).collect::<Vec<_>>());
    assert!(!data.path().join("millrace.journal.new").exists());
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(data.path().join("millrace.journal")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_a_crash_left_of_a_file_written_anew_is_of_no_account() {
    let data = tempfile::tempdir().expect("a folder");
    let left = data.path().join("millrace.journal.new");
    std::fs::write(&left, b"half a").expect("written");
    let states = written(data.path());
    std::fs::write(&left, b"half a").expect("written");
    let (whole, expected) = states.last().expect("a state");
    assert_eq!(&reopened(data.path(), whole).expect("a store"), expected);
}

#[test]
fn a_folder_that_is_not_there_is_told_plainly() {
    let error = JournalStore::open(Path::new("/no/such/folder")).expect_err("no folder").to_string();
    assert!(error.contains("/no/such/folder/millrace.journal") && error.contains("--data"), "{error}");
}
