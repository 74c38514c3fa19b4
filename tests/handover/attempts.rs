//! What comes of a hand-over that cannot be: the server goes on, and nothing that it said was done is lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::program::{self, PATIENCE, Running, millrace};
use crate::{follow, line, start};

fn token(data: &Path) -> String {
    let folder = data.to_str().expect("a plain path");
    let made = millrace(&["token", "--data", folder, "--name", "Ann"]).output().expect("it runs");
    String::from_utf8(made.stdout).expect("text").trim().to_owned()
}

fn operation(server: &Running, query: &str) -> Value {
    let answer = program::get(server.port(), &format!("/api?{query}")).expect("an answer");
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

fn rename(server: &Running, token: &str, gid: u64, name: &str) {
    let done = operation(server, &format!("op=setgroup&token={token}&gid={gid}&name={name}"));
    assert_eq!(done["result"], "OK", "{done}");
}

fn name(server: &Running, token: &str) -> String {
    operation(server, &format!("op=rooms&token={token}"))["rooms"][0]["name"]
        .as_str()
        .expect("text")
        .to_owned()
}

/// A successor of the test's own, which says the first line.
fn introduced(data: &Path, form: u32) -> UnixStream {
    let mut stream = UnixStream::connect(data.join("admin.sock")).expect("a server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    writeln!(stream, "{{\"successor\":{{\"form\":{form}}}}}").expect("said");
    stream
}

/// The next frame, as text, and how many descriptors are said to come with it.
fn hear(stream: &mut UnixStream) -> (String, u32) {
    let mut numbers = [[0; 4]; 2];
    stream.read_exact(numbers.as_flattened_mut()).expect("a frame");
    let [len, descriptors] = numbers.map(u32::from_be_bytes);
    let mut body = vec![0; len as usize];
    stream.read_exact(&mut body).expect("a frame");
    // The descriptors themselves are thrown away by who does not ask for them.
    let mut bytes = vec![0; descriptors.div_ceil(64) as usize];
    stream.read_exact(&mut bytes).expect("a byte for each lot of them");
    (String::from_utf8(body).expect("text"), descriptors)
}

fn say(stream: &mut UnixStream, step: &str) {
    let body = format!("\"{step}\"");
    let head = [(body.len() as u32).to_be_bytes(), [0; 4]];
    stream.write_all(head.as_flattened()).and_then(|()| stream.write_all(body.as_bytes())).expect("said");
}

#[test]
fn a_successor_that_fails_on_the_way_leaves_the_server_as_it_was() {
    let data = tempfile::tempdir().expect("a folder");
    let server = start(data.path());
    let token = token(data.path());
    let made = operation(&server, &format!("op=setgroup&token={token}&name=first&resolution=0&type=0"));
    let gid = made["gid"].as_u64().expect("a room");

    // It goes with what it was offered, ...
    let (offer, descriptors) = hear(&mut introduced(data.path(), 2));
    assert!(offer.contains("\"form\":2"), "{offer}");
    assert!(descriptors > 2, "the media port's and the page's: {descriptors}");
    rename(&server, &token, gid, "second");
    // ... with the store in its hands, ...
    let mut stream = introduced(data.path(), 2);
    hear(&mut stream);
    say(&mut stream, "ready");
    assert_eq!(hear(&mut stream), ("\"store\"".to_owned(), 1));
    drop(stream);
    rename(&server, &token, gid, "third");
    // ... or it is of another time.
    let (offer, descriptors) = hear(&mut introduced(data.path(), 99));
    assert!(offer.contains("\"form\":2") && descriptors == 0, "{offer}");

    assert_eq!(name(&server, &token), "third");
    let successor = follow(server, data.path(), "auto");
    assert_eq!(name(&successor, &token), "third", "what was kept went over");
    rename(&successor, &token, gid, "fourth");
    let (status, log) = successor.end("TERM");
    assert!(status.success(), "{log}");
    // Where none runs it starts as usual.
    let again = Running::launch(&line(data.path(), "2"));
    assert_eq!(name(&again, &token), "fourth");
}

#[test]
fn a_successor_with_other_ports_or_shards_says_so_and_ends() {
    let data = tempfile::tempdir().expect("a folder");
    let server = start(data.path());
    let refused = |line: &[&str]| {
        let output = millrace(line).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let told = refused(&line(data.path(), "1"));
    assert!(told.contains("the running server has shards = 2, this one 1"), "{told}");
    let mut other = line(data.path(), "2");
    other[4] = "127.0.0.2:0";
    let told = refused(&other);
    assert!(told.contains("listen = 127.0.0.1:0, this one 127.0.0.2:0"), "{told}");
    let told = refused(&[&line(data.path(), "2")[..], &["--tls-cert", "none", "--tls-key", "none"]].concat());
    assert!(told.contains("none"), "{told}");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    let (status, log) = server.end("TERM");
    assert!(status.success(), "{log}");
    assert!(log.contains("this server goes on"), "{log}");
}

#[test]
fn a_server_that_knows_of_no_successors_is_left_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let listener = std::os::unix::net::UnixListener::bind(data.path().join("admin.sock")).expect("a socket");
    let older = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a line");
        stream.write_all(b"{\"error\":\"unknown variant\"}\n").expect("said");
        line
    });
    let output = millrace(&line(data.path(), "1")).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.contains("it knows of no successors"), "{told}");
    assert!(older.join().expect("no panic").contains("successor"));
}
