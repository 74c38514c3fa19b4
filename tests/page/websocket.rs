//! Signalling by WebSocket, as a client that knows nothing but the standard meets it: the program, a TCP connection, and
//! frames written by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::program::{Running, millrace};

/// Generous: only a test that fails waits this long.
const LONG: Duration = Duration::from_secs(20);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

struct Client(TcpStream);

impl Client {
    /// Asks for signalling with these lines besides the usual ones; what is answered, without its body.
    fn ask(server: &Running, more: &str) -> (Self, String) {
        let host = server.link.split("//").nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
        let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).expect("a connection");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        let request = format!(
            "GET /signal HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        (Self(stream), String::from_utf8(head).expect("text").to_ascii_lowercase())
    }

    fn connect(server: &Running) -> Self {
        let (client, head) = Self::ask(server, "Sec-WebSocket-Version: 13\r\n");
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(!head.contains("sec-websocket-extensions"), "nothing is compressed: {head}");
        client
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).expect("sent");
    }

    /// The next frame: its first byte and its payload.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        let [first, second] = head;
        let len = match second {
            126 => {
                let mut len = [0; 2];
                self.0.read_exact(&mut len).expect("a length");
                usize::from(u16::from_be_bytes(len))
            }
            len => usize::from(len),
        };
        assert!(len < 1 << 16 && second & 0x80 == 0, "a server does not mask");
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).expect("a payload");
        (first, payload)
    }

    /// Signs in; the whole answer.
    fn hello(&mut self, data: &Path) -> String {
        let hello = format!(r#"{{"t":"hello","id":0,"v":1,"token":"{}"}}"#, token(data));
        self.send(0x81, (hello + "\n").as_bytes());
        let (first, answer) = self.receive();
        assert_eq!(first, 0x81);
        String::from_utf8(answer).expect("text")
    }

    /// Asserts that the server ends the connection, and says why.
    fn assert_closed(mut self, why: u16) {
        let (first, payload) = self.receive();
        assert_eq!((first, &payload[..]), (0x88, &why.to_be_bytes()[..]));
        self.send(0x88, &why.to_be_bytes());
        assert_eq!(self.0.read(&mut [0]).expect("the end"), 0);
    }
}

fn token(data: &Path) -> String {
    let words = ["token", "--data", data.to_str().expect("plain"), "--name", "Ann"];
    let output = millrace(&words).output().expect("it runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_client_is_sent_on_to_the_successor_of_its_server() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let mut client = Client::connect(&server);
    client.hello(data.path());
    let folder = data.path().to_str().expect("plain");
    let line = ["take-over", "--data", folder, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let successor = Running::launch(&line);
    let (first, told) = client.receive();
    let told = String::from_utf8(told).expect("text");
    assert!(
        first == 0x81 && told.contains(r#""error":"RESTARTED""#) && told.contains(r#""retryMs":0"#),
        "{told}"
    );
    client.assert_closed(1000);
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    assert!(Client::connect(&successor).hello(data.path()).contains("resume"), "it is let in there");
}

#[test]
fn lines_go_both_ways_however_messages_are_cut_and_a_bye_ends_it() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let mut client = Client::connect(&server);
    let answer = client.hello(data.path());
    assert!(
        answer.starts_with(r#"{"re":0,"#) && answer.ends_with('\n') && answer.contains("resume"),
        "{answer}"
    );
    // Two lines in one message, the second of which ends in another one, with a ping in between.
    client.send(0x01, b"{\"t\":\"ping\",\"id\":7}\n{\"t\":\"pi");
    client.send(0x89, b"still there?");
    client.send(0x80, b"ng\",\"id\":8}\n");
    let mut got: Vec<_> = (0..3).map(|_| client.receive()).collect();
    got.sort();
    let line = |id: u8| (0x81, format!("{{\"re\":{id}}}\n").into_bytes());
    assert_eq!(got, [line(7), line(8), (0x8a, b"still there?".to_vec())]);
    client.send(0x81, b"{\"t\":\"bye\",\"id\":9}\n");
    assert_eq!(client.receive(), line(9));
    client.assert_closed(1000);
    server.end("TERM");
}

#[test]
fn the_rules_are_those_of_every_other_way_in() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let mut client = Client::connect(&server);
    client.hello(data.path());
    client.send(0x81, b"no JSON\n");
    let (_, line) = client.receive();
    assert!(String::from_utf8_lossy(&line).contains("BADLINE"), "{line:?}");
    client.assert_closed(1008);
    let mut client = Client::connect(&server);
    client.hello(data.path());
    for _ in 0..5 {
        client.send(0x82, &[b'x'; 60_000]);
    }
    let (_, line) = client.receive();
    assert!(String::from_utf8_lossy(&line).contains("TOOLONG"), "{line:?}");
    server.end("TERM");
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_with_its_reason() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    for (bytes, why) in [
        (&[0x81, 0x01, b'x'][..], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let mut client = Client::connect(&server);
        client.0.write_all(bytes).expect("sent");
        client.assert_closed(why);
    }
    server.end("TERM");
}

#[test]
fn who_speaks_another_version_or_comes_from_another_page_is_told() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &["--origin", "https://app.example.org"]);
    let version = "Sec-WebSocket-Version: 13\r\n";
    let (_, head) = Client::ask(&server, "Sec-WebSocket-Version: 8\r\n");
    assert!(head.starts_with("http/1.1 426") && head.contains("sec-websocket-version: 13"), "{head}");
    let (_, head) = Client::ask(&server, &format!("{version}Origin: https://evil.example\r\n"));
    assert!(head.starts_with("http/1.1 403"), "{head}");
    for origin in ["https://app.example.org", "http://localhost:1"] {
        let (_, head) = Client::ask(&server, &format!("{version}Origin: {origin}\r\n"));
        assert!(head.starts_with("http/1.1 101"), "{origin}: {head}");
    }
    server.end("TERM");
}

#[test]
fn media_comes_to_the_same_port_and_strangers_get_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let host = server.link.split("//").nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
    let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).expect("a connection");
    // A connectivity check (RFC 8489) of a session that there is not, framed (RFC 4571): it is taken, and not answered.
    let mut check = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0, 6, 0, 4, b'a', b':', b'b', b'c']);
    stream.write_all(&[&[0, check.len() as u8][..], &check].concat()).expect("sent");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let silence = stream.read(&mut [0; 100]).expect_err("nothing is answered, and nothing closed at once");
    assert!(
        matches!(silence.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        "{silence}"
    );
    // What is no sequence of packets ends.
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream.write_all(&[0xff; 64]).expect("sent");
    assert_eq!(stream.read(&mut [0; 100]).unwrap_or(0), 0);
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    server.end("KILL");
}
