//! Mail: one-time codes, by an SMTP server that the configuration names.

mod smtp;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{OnceCell, Semaphore};
use tokio_rustls::TlsConnector;

use crate::certificate::date;
use crate::control::directory::{CODE_LIFE, hex};
use crate::signal::message::Secret;
use crate::tls;

/// Letters on their way at once; who comes beyond may ask again.
const AT_ONCE: usize = 16;
/// How long a letter may take, all steps together.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where systems keep the certificates that they trust.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How one-time codes reach people.
#[derive(Debug)]
pub enum Mail {
    /// By a mail server.
    Server(Box<Mailer>),
    /// By the log: for a first run, on a server that nobody else reaches.
    Log,
    /// Not at all.
    Off,
}

/// How the connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// By TLS from its beginning on (RFC 8314 section 3): `smtps://`.
    Tls,
    /// By STARTTLS (RFC 3207): `smtp://`. Without it nothing is sent, but to this host itself.
    StartTls,
}

/// A mail server, and what it wants to know of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub privacy: Privacy,
    /// As whom we sign in, and with what; some let us in without.
    pub account: Option<(String, Secret)>,
    /// Who letters come from.
    pub from: String,
    /// The certificates to trust (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
}

/// Why a letter did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server is not to be reached, or went away.
    #[error("the connection to the mail server failed: {0}")]
    Connection(#[from] io::Error),
    /// It does not offer what we need.
    #[error("the mail server offers no {0}: change mail-server or mail-user")]
    Lacks(&'static str),
    /// It said no, or something that is not SMTP.
    #[error("the mail server answered {what} with: {said}")]
    Refused {
        /// What was said to it.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// No certificates to trust.
    #[error("{file}: {reason}: give a file of certificates (PEM) with mail-ca")]
    Trust {
        /// Where they were looked for.
        file: String,
        /// Why there are none.
        reason: String,
    },
    /// It took too long.
    #[error("the mail server did not take the letter within {} s", PATIENCE.as_secs())]
    Slow,
    /// Others are being sent.
    #[error("{AT_ONCE} letters are on their way already")]
    Busy,
}

/// Sends letters.
#[derive(Debug)]
pub struct Mailer {
    server: MailServer,
    places: Semaphore,
    connector: OnceCell<Connector>,
}

struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Mailer {
    /// By this server.
    pub fn new(server: MailServer) -> Self {
        Self { server, places: Semaphore::new(AT_ONCE), connector: OnceCell::new() }
    }

    /// Sends a one-time code, and returns when the server took it.
    pub async fn send_code(&self, to: &str, code: &Secret) -> Result<(), MailError> {
        let _place = self.places.try_acquire().map_err(|_| MailError::Busy)?;
        let letter = letter(&self.server.from, to, &code.0);
        let sent = async {
            let make = || async { connector(self.server.ca.clone()).await.map(Connector) };
            let connector = self.connector.get_or_try_init(make).await?;
            smtp::send(&self.server, &connector.0, to, &letter).await
        };
        tokio::time::timeout(PATIENCE, sent).await.unwrap_or(Err(MailError::Slow))
    }
}

/// TLS that trusts the certificates of this file, else the system's. Reading them takes a while.
pub(crate) async fn connector(ca: Option<PathBuf>) -> Result<TlsConnector, MailError> {
    let read = tokio::task::spawn_blocking(move || {
        let known = TRUSTED.iter().map(PathBuf::from).find(|path| fs::exists(path).unwrap_or(false));
        let path = ca.or(known).unwrap_or_default();
        let trust = |reason: String| MailError::Trust { file: path.display().to_string(), reason };
        let found = CertificateDer::pem_file_iter(&path).map_err(|error| trust(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.filter_map(Result::ok));
        if roots.is_empty() {
            return Err(trust("there is no certificate in it".to_owned()));
        }
        tls::client(roots).map_err(|error| trust(error.to_string()))
    });
    let config = read.await.map_err(io::Error::other)??;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A letter (RFC 5322) in ASCII. Nothing of it is anybody's own words, so that nobody writes letters by our hand.
fn letter(from: &str, to: &str, code: &str) -> String {
    let mut id = [0; 16];
    // Without random bytes the code would not have been made.
    let _ = SystemRandom::new().fill(&mut id);
    let domain = from.split_once('@').map_or("localhost", |(_, domain)| domain);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let minutes = CODE_LIFE / 60;
    format!(
        "Date: {date}\r\nFrom: <{from}>\r\nTo: <{to}>\r\nMessage-ID: <{id}@{domain}>\r\n\
         Subject: {code} is your code\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n\
         Your code to sign in is {code}\r\n\r\n\
         It is good once, for {minutes} minutes. If it was not you who asked for it,\r\n\
         somebody mistyped an address: nothing happens unless the code is used.\r\n",
        date = rfc5322(now),
        id = hex(&id),
    )
}

/// A time as letters have it (RFC 5322 section 3.3).
fn rfc5322(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    fn name<'a>(names: &[&'a str], at: u64) -> &'a str {
        usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
    }
    let day = seconds / 86_400;
    let (year, month, of_month) = date(day);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (weekday, month) = (name(&DAYS, day % 7), name(&MONTHS, month - 1));
    format!("{weekday}, {of_month} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_in_letters() {
        assert_eq!(rfc5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 +0000");
    }

    #[test]
    fn a_letter_is_lines_of_ascii_that_smtp_carries() {
        let letter = letter("no-reply@example.org", "ada@example.org", "123456");
        assert!(letter.is_ascii() && letter.ends_with("\r\n"));
        assert!(letter.split("\r\n").all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])));
        let (head, body) = letter.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("\r\nTo: <ada@example.org>\r\n") && body.contains("123456"));
    }
}
