//! The program as people run it: what it prints, how it ends, and how it says what is wrong.

#[path = "common/program.rs"]
mod program;

use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use program::{PATIENCE, Running, ask, millrace};

fn refused(line: &[&str]) -> String {
    let Output { status, stdout, stderr } = millrace(line).output().expect("it runs");
    assert_eq!(status.code(), Some(2), "{}", String::from_utf8_lossy(&stderr));
    assert!(stdout.is_empty(), "what is wrong goes to stderr");
    let told = String::from_utf8(stderr).expect("text");
    let sentences = told.lines().skip_while(|line| !line.starts_with("millrace: "));
    sentences.collect::<Vec<_>>().join("\n")
}

#[test]
fn it_prints_one_link_serves_and_drains() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    assert!(server.link.contains("/?gid=1000&pin="), "{}", server.link);
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    let config = server.get("/config.json");
    assert!(config.contains("\"signal\":\"https://127.0.0.1:"));
    assert!(config.contains("\"codes\":\"log\""), "the page says where codes are found: {config}");
    let token =
        millrace(&["token", "--data", data.path().to_str().expect("plain"), "--name", "Ann"]).output();
    let token = token.expect("it runs, also while the server does");
    assert!(token.status.success());
    assert_eq!(token.stdout.len(), 65, "a token of 64 characters and nothing else");
    let (status, log) = server.end("TERM");
    assert!(status.success(), "{log}");
    assert!(log.contains("datagrams are moved by") && !log.contains("ERROR"), "{log}");
}

#[test]
fn the_same_link_opens_the_same_room_after_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let room = |server: &Running| server.link.split("/?").nth(1).map(str::to_owned).expect("a room");
    let first = Running::start(data.path(), &["--io", "mmsg", "--shards", "1"]);
    let (before, hashes) = (room(&first), first.get("/config.json"));
    let (_, log) = first.end("TERM");
    assert!(log.contains("recvmmsg and sendmmsg"), "{log}");
    let second = Running::start(data.path(), &[]);
    assert_eq!(room(&second), before);
    let hash = |config: &str| config.split("\"hashes\":[\"").nth(1).map(|rest| rest[..64].to_owned());
    assert_eq!(hash(&second.get("/config.json")), hash(&hashes), "the certificate is kept");
    second.end("TERM");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("plain");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = udp.local_addr().expect("bound").to_string();
    let told = refused(&["--data", folder, "--listen", &taken, "--http", "127.0.0.1:0"]);
    assert!(told.contains(&taken) && told.contains("in use") && told.contains("--listen"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");

    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = tcp.local_addr().expect("bound").to_string();
    let told = refused(&["--data", folder, "--listen", "127.0.0.1:0", "--http", &taken]);
    assert!(told.contains(&taken) && told.contains("in use") && told.contains("--http"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_folder_that_cannot_be_used_is_one_sentence() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let told = refused(&["--data", file.to_str().expect("plain"), "--listen", "127.0.0.1:0"]);
    assert!(told.contains("a folder that can be written"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn one_data_folder_is_for_one_server() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Running::start(data.path(), &[]);
    let folder = data.path().to_str().expect("plain");
    let told = refused(&["--data", folder, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    assert!(told.contains("in use by another millrace"), "{told}");
    server.end("KILL");
    Running::start(data.path(), &[]).end("TERM");
}

#[test]
fn all_bad_settings_are_told_at_once() {
    let told = refused(&["--listen", "here", "--shards", "0", "--io", "fast", "--tls-cert", "only.pem"]);
    for key in ["listen", "shards", "io", "tls"] {
        assert!(told.contains(key), "{key}: {told}");
    }
}

#[test]
fn settings_that_can_act_do_so_at_a_signal_and_a_broken_file_changes_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("millrace.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    let page = "https://new.example.org";
    write("file-mb = 1");
    let server = Running::start(data.path(), &["--config", file.to_str().expect("plain")]);
    // What a page of that origin may read: nothing, or how large files may be.
    let told = || {
        let answer = ask(server.port(), "/config.json", &format!("origin: {page}\r\n")).expect("an answer");
        let largest = answer.split("\"maxBytes\":").nth(1).and_then(|rest| rest.split(',').next());
        answer.contains("access-control-allow-origin").then(|| largest.map(str::to_owned)).flatten()
    };
    let hang_up = || sh(&format!("kill -HUP {}", server.child.id()));
    let until_told = |largest: &str| {
        let asked = Instant::now();
        while told().as_deref() != Some(largest) {
            assert!(asked.elapsed() < PATIENCE, "it does not act");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    assert_eq!(told(), None);

    write(&format!("origin = [\"{page}\"]\nfile-mb = 2\nshards = 7\n"));
    hang_up();
    until_told("2097152");

    // Refused whole: what is right in it does not act either. A pipe tells when it was read.
    let path = file.to_str().expect("plain");
    sh(&format!("rm {path} && mkfifo {path}"));
    hang_up();
    write("origin = [\"https://other.example.org\"]\nvoices = 99\nprot = 1\n");
    sh(&format!("rm {path}"));
    write(&format!("origin = [\"{page}\"]\nfile-mb = 3\nshards = 7\n"));
    hang_up();
    until_told("3145728");

    let (status, log) = server.end("TERM");
    assert!(status.success(), "{log}");
    assert!(log.contains("changed: origin, file-mb"), "{log}");
    assert!(log.contains("need a restart: shards"), "{log}");
    let refused = log.split("stay as they were").nth(1).expect("refused");
    assert!(refused.contains(":2: voices") && refused.contains(":3: prot"), "{log}");
    assert!(refused.contains("changed: file-mb"), "the refused origin was never there: {log}");
}

fn sh(line: &str) {
    assert!(Command::new("sh").args(["-c", line]).status().expect("a shell").success(), "{line}");
}
