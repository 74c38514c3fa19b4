//! Behind a proxy each client has an account of its own of wrong guesses, and without one nobody can say to be another.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::Running;

/// The status of a request with a wrong token, which the address pays for.
fn guess(server: &Running, field: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let request = format!(
        "GET /v1/groups HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer no\r\n{field}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// Guesses as one until that one has to wait; then what another one is answered.
fn other_after(server: &Running, one: &str, other: &str) -> u16 {
    for _ in 0..20 {
        assert_eq!(guess(server, one), 401);
    }
    assert_eq!(guess(server, one), 429);
    guess(server, other)
}

#[test]
fn nobody_is_believed_who_is_not_listed() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &["--trusted-proxy", "192.0.2.0/24"]);
    assert_eq!(other_after(&server, "x-forwarded-for: 203.0.113.7", "x-forwarded-for: 203.0.113.8"), 429);
    server.end("TERM");
}

#[test]
fn a_listed_proxy_tells_clients_apart() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &["--trusted-proxy", "127.0.0.0/8,10.0.0.0/8"]);
    let (one, other) = ("x-forwarded-for: 203.0.113.7, 10.0.0.1", "x-forwarded-for: 203.0.113.8, 10.0.0.1");
    assert_eq!(other_after(&server, one, other), 401);
    // What the client put before is worth nothing, and neither is the field that the proxy does not write.
    assert_eq!(guess(&server, "x-forwarded-for: 203.0.113.9, 203.0.113.7, 10.0.0.1"), 429);
    assert_eq!(guess(&server, "x-forwarded-for: 203.0.113.7\r\nforwarded: for=203.0.113.9"), 429);
    server.end("TERM");
}

#[test]
fn the_standards_own_field_is_read_where_the_proxy_writes_that() {
    let data = tempfile::tempdir().expect("a folder");
    let server =
        Running::start(data.path(), &["--trusted-proxy", "127.0.0.1", "--proxy-header", "forwarded"]);
    let (one, other) = ("forwarded: for=203.0.113.7", "forwarded: for=\"[2001:db8::8]:4711\";proto=https");
    assert_eq!(other_after(&server, one, other), 401);
    assert_eq!(guess(&server, "forwarded: for=203.0.113.7\r\nx-forwarded-for: 203.0.113.9"), 429);
    drop(server.end("KILL").1);
}
