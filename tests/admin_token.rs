//! `millrace token` gives a token that works, whether or not a server runs.

#[path = "common/control_plane.rs"]
mod control_plane;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use millrace::admin;
use millrace::config::{AppOptions, Invocation, TokenOptions};
use millrace::control::Control;
use millrace::control::directory::TokenId;
use millrace::control::limits::{Codecs, Limits};

fn options(data: &Path, name: &str, address: Option<&str>) -> TokenOptions {
    TokenOptions {
        data: data.to_owned(),
        name: name.to_owned(),
        address: address.map(str::to_owned),
        limits: Limits { max_subscribe_kbps: 600, max_voices: 2, ..Limits::default() },
    }
}

async fn ask(options: TokenOptions) -> Result<String, admin::AdminError> {
    tokio::task::spawn_blocking(move || admin::token(&options)).await.expect("a thread")
}

async fn name_of(control: &Control, token: String) -> Option<String> {
    let found = control.with(move |state, now| state.directory.authenticate(now.unix, &token)).await;
    found.expect("answered").map(|identity| identity.name)
}

#[tokio::test]
async fn with_and_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    // Longer than a socket's path may be.
    let data = folder.path().join("d".repeat(150));
    let before = ask(options(&data, "Before", Some("a@example.org"))).await.expect("a token");

    let (control, actor) = control_plane::start(&data, 100);
    let socket = admin::serve(&data, control.clone()).expect("a socket");
    let mode = std::fs::metadata(data.join("admin.sock")).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let during = ask(options(&data, "During", Some("a@example.org"))).await.expect("a token");
    assert_eq!(name_of(&control, during.clone()).await.as_deref(), Some("During"));
    assert_eq!(name_of(&control, before).await.as_deref(), Some("During"), "one address is one user");
    assert!(ask(options(&data, " ", None)).await.expect_err("no name").to_string().contains("give a name"));

    socket.abort();
    // Ends in being cancelled.
    let _ = socket.await;
    drop(control);
    actor.await.expect("the actor ends");
    let after = ask(options(&data, "After", None)).await.expect("a token, with the old socket still there");
    let (control, _actor) = control_plane::start(&data, 100);
    assert_eq!(name_of(&control, after).await.as_deref(), Some("After"));
    assert_eq!(name_of(&control, during).await.as_deref(), Some("During"));
    admin::serve(&data, control).expect("the old socket is replaced");
}

#[tokio::test]
async fn a_server_that_is_just_stopping_is_waited_for() {
    let data = tempfile::tempdir().expect("a folder");
    let (control, _actor) = control_plane::start(data.path(), 100);
    let asked = tokio::spawn(ask(options(data.path(), "Ada", None)));
    // No socket yet, and the store is taken: the asker goes on trying.
    tokio::task::yield_now().await;
    drop(control);
    asked.await.expect("a task").expect("a token");
}

#[tokio::test]
async fn an_app_keeps_its_secret_whoever_is_asked() {
    let data = tempfile::tempdir().expect("a folder");
    let ask = async |appid: &str, several| {
        let options = AppOptions { data: data.path().to_owned(), appid: appid.to_owned(), several };
        tokio::task::spawn_blocking(move || admin::app(&options)).await.expect("a thread")
    };
    let before = ask("shop", Some(true)).await.expect("a secret");
    assert_eq!(before.len(), 64);
    let (control, _actor) = control_plane::start(data.path(), 100);
    admin::serve(data.path(), control.clone()).expect("a socket");
    assert_eq!(ask("shop", None).await.expect("a secret"), before);
    assert_ne!(ask("other", None).await.expect("a secret"), before);
    assert!(ask("a shop", None).await.expect_err("no name for an app").to_string().contains("no app"));
    let several = control.with(|state, _| state.directory.app("shop").expect("an app").several).await;
    assert!(several.expect("answered"));
}

#[tokio::test]
async fn a_running_server_is_found_ready_and_is_drained_and_one_that_does_not_run_is_not() {
    let data = tempfile::tempdir().expect("a folder");
    let not_running = admin::ready(data.path()).expect_err("nobody answers").to_string();
    assert!(not_running.contains("no server runs over this folder"), "{not_running}");
    assert!(admin::drain(data.path(), Duration::ZERO).is_err());

    let (control, _actor) = control_plane::start(data.path(), 100);
    admin::serve(data.path(), control.clone()).expect("a socket");
    let path = data.path().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        (admin::ready(&path), admin::drain(&path, Duration::from_secs(60)))
    });
    let (ready, left) = asked.await.expect("no panic");
    ready.expect("it is");
    assert_eq!(left.expect("drained"), 0, "nobody is there to wait for");
    assert!(control.with(|state, _| state.draining()).await.expect("answered"));
}

#[tokio::test]
async fn a_token_has_every_limit_that_the_command_line_gives() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("a text").to_owned();
    let line = |more: &str| {
        let words = format!("millrace token --data {folder} --name Ada {more}");
        Invocation::try_from_line(words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let given = "--max-publish-kbps 900 --max-subscribe-kbps 3000 --max-resolution 3 --max-voices 5 --max-fps 15 \
                 --audio-kbps 24 --codecs h264,vp8 --max-streams 2 --max-subscriptions 300 --simulcast-layers 2 --priority 7";
    let Ok(Invocation::Token(options)) = line(given) else { panic!("a token") };
    let token = ask(options).await.expect("a token");
    let (control, _actor) = control_plane::start(data.path(), 100);
    let held = control.with(move |state, _| state.directory.token_limits(TokenId::of(&token))).await;
    let expected = Limits {
        max_publish_kbps: 900,
        max_subscribe_kbps: 3000,
        max_resolution: 3,
        max_voices: 5,
        max_fps: 15,
        audio_kbps: 24,
        codecs: Codecs::parse("vp8,h264").expect("codecs"),
        max_streams: 2,
        max_subscriptions: 300,
        simulcast_layers: 2,
        priority: 7,
    };
    assert_eq!(held.expect("answered"), expected);
    for wrong in
        ["--max-fps 256", "--simulcast-layers 5", "--codecs mp3", "--priority -1", "--max-subscriptions x"]
    {
        let Err(stop) = line(wrong) else { panic!("{wrong}") };
        let name = wrong.split_whitespace().next().expect("a name");
        assert!(stop.to_string().contains(name), "{stop}");
    }
}
