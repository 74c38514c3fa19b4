//! What goes wrong around a server, done to the real program.

#[path = "../common/program.rs"]
mod program;

mod descriptors;
mod killed;
mod no_room;

use std::process::Command;

use program::{Running, millrace};
use serde_json::Value;

/// A user of the data folder, by the command line.
fn token(data: &std::path::Path) -> String {
    let folder = data.to_str().expect("a plain path");
    let made = millrace(&["token", "--data", folder, "--name", "Ann"]).output().expect("it runs");
    String::from_utf8(made.stdout).expect("text").trim().to_owned()
}

/// The answer to an operation; nothing if there was none.
fn operation(port: u16, query: &str) -> Option<Value> {
    let answer = program::get(port, &format!("/api?{query}"))?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Changes a limit of the running server, as `prlimit` of util-linux does.
fn limit(server: &Running, what: &str) {
    let pid = server.child.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, what]).status().expect("prlimit runs");
    assert!(done.success(), "prlimit {what}");
}
