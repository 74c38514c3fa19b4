//! No descriptor is left: new connections wait, what is there goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::limit;
use crate::program::Running;

fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("asked");
    let mut answer = [0; 1024];
    let len = stream.read(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer[..len]).into_owned()
}

#[test]
fn without_descriptors_old_connections_go_on_and_new_ones_wait_for_them() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let mut old = TcpStream::connect(("127.0.0.1", server.port())).expect("accepted");
    assert!(ask(&mut old).starts_with("HTTP/1.1 200"));
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).expect("listed").count();
    limit(&server, &format!("--nofile={open}:"));

    let mut new = TcpStream::connect(("127.0.0.1", server.port())).expect("the kernel takes it");
    assert!(ask(&mut old).starts_with("HTTP/1.1 200"), "who is there is served");
    limit(&server, "--nofile=1024:");
    assert!(ask(&mut new).starts_with("HTTP/1.1 200"), "who waited is served");
    let (status, log) = server.end("TERM");
    assert!(status.success() && log.contains("Too many open files"), "{log}");
}
