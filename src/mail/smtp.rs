//! SMTP (RFC 5321), as far as one letter to one person goes.
//!
//! 1. Connect: with TLS from the start, or plainly, and by STARTTLS (RFC 3207) to TLS.
//! 2. Greeting and EHLO; behind STARTTLS again, since what was said before may have been said by anybody.
//! 3. AUTH (RFC 4954) by PLAIN or LOGIN, if there is an account, and never in the clear but to this host itself.
//! 4. MAIL, RCPT, DATA, the letter, QUIT.

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{MailError, MailServer, Privacy};
use crate::base64;

/// Longest line of an answer, and most lines of one.
const LINE: u64 = 2048;
const LINES: usize = 64;

/// Sends one letter.
pub(super) async fn send(
    server: &MailServer,
    tls: &TlsConnector,
    to: &str,
    letter: &str,
) -> Result<(), MailError> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
    stream.set_nodelay(true)?;
    let (here, there) = (stream.local_addr()?, stream.peer_addr()?);
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    match server.privacy {
        Privacy::Tls => {
            let mut dialog = Dialog::new(tls.connect(name, stream).await?);
            dialog.greeting().await?;
            dialog.deliver(server, here, to, letter).await
        }
        Privacy::StartTls => {
            let mut dialog = Dialog::new(stream);
            dialog.greeting().await?;
            let offers = dialog.hello(here).await?;
            if offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                dialog.say("STARTTLS", "STARTTLS", 220).await?;
                let stream = dialog.into_plain()?;
                Dialog::new(tls.connect(name, stream).await?).deliver(server, here, to, letter).await
            } else if there.ip().is_loopback() {
                dialog.deliver(server, here, to, letter).await
            } else {
                Err(MailError::Lacks("STARTTLS"))
            }
        }
    }
}

struct Dialog<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    async fn greeting(&mut self) -> Result<(), MailError> {
        self.hear("the connection", 220).await.map(drop)
    }

    /// Step 2; what the server offers.
    async fn hello(&mut self, here: SocketAddr) -> Result<Vec<String>, MailError> {
        // Our address, since we may have no name that anybody could look up (section 4.1.3).
        let literal = match here {
            SocketAddr::V4(v4) => format!("[{}]", v4.ip()),
            SocketAddr::V6(v6) => format!("[IPv6:{}]", v6.ip()),
        };
        self.say("EHLO", &format!("EHLO {literal}"), 250).await
    }

    /// Steps 2 to 4.
    async fn deliver(
        mut self,
        server: &MailServer,
        here: SocketAddr,
        to: &str,
        letter: &str,
    ) -> Result<(), MailError> {
        let offers = self.hello(here).await?;
        if let Some((user, password)) = &server.account {
            self.authenticate(&offers, user, &password.0).await?;
        }
        self.say("MAIL", &format!("MAIL FROM:<{}>", server.from), 250).await?;
        self.say("RCPT", &format!("RCPT TO:<{to}>"), 250).await?;
        self.say("DATA", "DATA", 354).await?;
        self.write(&stuffed(letter)).await?;
        self.hear("the letter", 250).await?;
        // The letter is the server's now, whatever it thinks of our leaving.
        let _ = self.say("QUIT", "QUIT", 221).await;
        Ok(())
    }

    /// Step 3.
    async fn authenticate(&mut self, offers: &[String], user: &str, password: &str) -> Result<(), MailError> {
        let offered = |mechanism: &str| {
            offers.iter().any(|offer| {
                let mut words = offer.split_ascii_whitespace().map(str::to_ascii_uppercase);
                words.next().as_deref() == Some("AUTH") && words.any(|word| word == mechanism)
            })
        };
        if offered("PLAIN") {
            let proof = base64::encode(format!("\0{user}\0{password}").as_bytes());
            self.say("AUTH", &format!("AUTH PLAIN {proof}"), 235).await?;
        } else if offered("LOGIN") {
            self.say("AUTH", "AUTH LOGIN", 334).await?;
            self.say("the user's name", &base64::encode(user.as_bytes()), 334).await?;
            self.say("the password", &base64::encode(password.as_bytes()), 235).await?;
        } else {
            return Err(MailError::Lacks("AUTH by PLAIN or LOGIN"));
        }
        Ok(())
    }

    /// Says one line and hears the answer, which must be `expected`.
    async fn say(&mut self, what: &'static str, line: &str, expected: u16) -> Result<Vec<String>, MailError> {
        if line.contains(['\r', '\n', '\0']) {
            // It would be several.
            return Err(MailError::Refused { what, said: "a line that is none".to_owned() });
        }
        self.write(&format!("{line}\r\n")).await?;
        self.hear(what, expected).await
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// One answer (section 4.2): lines of which all but the last have a hyphen behind the code. Their texts.
    async fn hear(&mut self, what: &'static str, expected: u16) -> Result<Vec<String>, MailError> {
        let mut texts: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            (&mut self.stream).take(LINE).read_line(&mut line).await?;
            let text = line.strip_suffix('\n').map(str::trim_end);
            let parts = text.and_then(|text| Some((text.get(..3)?, text.get(3..4), text.get(4..))));
            let (code, more, rest) = match parts {
                Some((code, more, rest)) if texts.len() < LINES => (code, more, rest.unwrap_or_default()),
                _ if line.is_empty() => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                _ => return Err(MailError::Refused { what, said: "what is not SMTP".to_owned() }),
            };
            texts.push(rest.to_owned());
            match more {
                Some("-") => {}
                _ if code.parse() == Ok(expected) => return Ok(texts),
                _ => {
                    let said = format!("{code} {}", texts.join(" "));
                    return Err(MailError::Refused { what, said: said.chars().take(200).collect() });
                }
            }
        }
    }

    /// The stream, if the server has said nothing beyond its last answer: whoever is in between could have slipped it in.
    fn into_plain(self) -> Result<S, MailError> {
        if !self.stream.buffer().is_empty() {
            return Err(MailError::Refused { what: "STARTTLS", said: "more than one answer".to_owned() });
        }
        Ok(self.stream.into_inner())
    }
}

/// A letter as DATA carries it: lines that begin with a dot get another one, and a dot alone ends it (section 4.5.2).
fn stuffed(letter: &str) -> String {
    let mut all = String::with_capacity(letter.len() + 16);
    for line in letter.lines() {
        if line.starts_with('.') {
            all.push('.');
        }
        all.push_str(line);
        all.push_str("\r\n");
    }
    all.push_str(".\r\n");
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_alone_ends_the_letter_and_no_line_before() {
        assert_eq!(stuffed("a\r\n.\r\n..b\nc"), "a\r\n..\r\n...b\r\nc\r\n.\r\n");
    }
}
