//! The program as people run it, on ports that the kernel chooses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer on any machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn millrace(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server on ports that the kernel chooses; killed when it goes out of scope.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) link: String,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().expect("a plain path");
        let mut line = vec!["--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        line.extend(more);
        Self::launch(&line)
    }

    /// By a line of the caller's, which leads to a server with a demo room.
    pub(crate) fn launch(line: &[&str]) -> Self {
        let mut child = millrace(line).spawn().expect("it starts");
        let mut stderr = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).map(|_| log).unwrap_or_default()
        });
        let mut link = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut link).expect("a line");
        Self { child, link: link.trim_end().to_owned(), log: Some(log) }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        get(self.port(), path).expect("the page is served")
    }

    /// Where its page and its REST are.
    pub(crate) fn port(&self) -> u16 {
        let authority = self.link.split("://localhost:").nth(1).expect("a link");
        authority.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Sends it a signal and waits for its end: TERM as an operator's service manager does, KILL for a crash. Its status and its log.
    pub(crate) fn end(self, signal: &str) -> (ExitStatus, String) {
        // The shell's own kill: a bare system has no other.
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        self.ended()
    }

    /// Waits for its end: its status and its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(asked.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = self.log.take().expect("read once").join().expect("read");
        (status, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a page server of this machine answers, head and all; nothing if it went away.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    ask(port, path, "")
}

/// The same with more lines in the request's head.
pub(crate) fn ask(port: u16, path: &str, more: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
