//! A server is followed by its successor: two processes of the program as people run it, over one data folder.

#[path = "../common/program.rs"]
mod program;

mod attempts;
mod audience;
mod media;

use std::path::Path;

use program::Running;

/// The line that starts the successor of this folder's server.
fn line<'a>(data: &'a Path, shards: &'a str) -> Vec<&'a str> {
    let data = data.to_str().expect("a plain path");
    vec!["take-over", "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--shards", shards]
}

fn start(data: &Path) -> Running {
    Running::start(data, &["--shards", "2"])
}

/// Starts a successor that moves datagrams in this way, and waits until the server before has made way for it.
fn follow(before: Running, data: &Path, io: &str) -> Running {
    let port = before.port();
    let successor = Running::launch(&[&line(data, "2")[..], &["--io", io]].concat());
    let (status, log) = before.ended();
    assert!(status.success() && !log.contains("ERROR"), "{log}");
    assert_eq!(successor.port(), port, "it listens where the one before did");
    successor
}
