//! A certificate for the page from an authority that gives them out by itself (RFC 8555, as Let's Encrypt does).
//!
//! 1. An account is made, with a key of ours that is kept in the data folder.
//! 2. For each name the authority sets a challenge and connects to the page's port, on 443, where it is shown a certificate
//!    that nobody else could make (RFC 8737, tls-alpn-01). So no other port need be open.
//! 3. It signs a new key. Key and chain are put where the page reads its certificate from, which notices by itself.
//! 4. When two thirds of its time are over it begins anew; what fails is tried again, less and less often.

mod client;

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::{error, info};

use self::client::{Client, text};
use crate::base64;
use crate::certificate::der;
use crate::config::Tls;
use crate::hooks::Endpoint;
use crate::http::Challenges;

/// The authority that is asked unless another one is named.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How long to wait after the first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);
/// Between two certificates that came, whatever they say of themselves: authorities count.
const LEAST: Duration = Duration::from_secs(3600);
/// How often it is asked whether something is done, and how many times.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASKS: usize = 90;
/// How long the first, self-signed certificate and those that answer challenges are valid.
const FOR_NOW: u64 = 7 * 86_400;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The page's names.
    pub domains: Vec<String>,
    /// The authority.
    pub directory: Endpoint,
    /// Certificates (PEM) to trust there in place of the system's.
    pub ca: Option<PathBuf>,
}

/// Why there is no certificate this time.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Problem {
    text: String,
    kind: String,
}

impl Problem {
    fn new(text: impl Display) -> Self {
        Self { text: text.to_string(), kind: String::new() }
    }

    /// What the authority says (RFC 8555 section 6.7).
    fn told(status: u16, problem: &Value) -> Self {
        let of = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, detail) = (of("type"), of("detail"));
        Self { text: format!("the authority refuses with {status}: {detail} ({kind})"), kind }
    }

    fn is_bad_nonce(&self) -> bool {
        self.kind.ends_with(":badNonce")
    }
}

/// Where key and chain are kept. Where there are none yet, or they are for other names, self-signed ones are put there, so that the page can be
/// served and challenges be answered.
pub fn files(data: &Path, settings: &Settings) -> io::Result<Tls> {
    let folder = data.join("acme");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let tls = Tls { cert: folder.join("chain.pem"), key: folder.join("key.pem") };
    let names = settings.domains.join("\n");
    let kept = fs::read_to_string(folder.join("names")).is_ok_and(|kept| kept == names);
    if !kept || due(&tls).is_none() || !tls.key.exists() {
        let key = der::key().map_err(no_random)?;
        let host = settings.domains.first().map_or("localhost", String::as_str);
        // It has been valid for long, so it is to be renewed at once.
        let made = der::certificate(&key, "millrace", host, (0, unix_now() + FOR_NOW));
        put(&tls, &key, &pem("CERTIFICATE", &made.map_err(no_random)?))?;
        keep(&folder.join("names"), names.as_bytes())?;
    }
    Ok(tls)
}

/// Sees to it that there is a certificate, for as long as the server runs.
pub async fn run(settings: Settings, files: Tls, challenges: Challenges) {
    let mut pause = FIRST_PAUSE;
    loop {
        let due = due(&files).unwrap_or(0).saturating_sub(unix_now());
        if due > 0 {
            // Clocks are set, and hosts suspended.
            sleep(Duration::from_secs(due).min(LEAST)).await;
            continue;
        }
        match order(&settings, &files, &challenges).await {
            Ok(()) => {
                info!("a certificate came for {}", settings.domains.join(", "));
                pause = FIRST_PAUSE;
                sleep(LEAST).await;
            }
            Err(problem) => {
                error!("no certificate for {}: {problem}", settings.domains.join(", "));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        challenges.clear();
    }
}

/// When to renew what is kept, in seconds since 1970.
fn due(files: &Tls) -> Option<u64> {
    let certificate = CertificateDer::from_pem_file(&files.cert).ok()?;
    let (not_before, not_after) = der::validity(&certificate)?;
    Some(not_after - not_after.checked_sub(not_before)? / 3)
}

async fn order(settings: &Settings, files: &Tls, challenges: &Challenges) -> Result<(), Problem> {
    let account = account(files).map_err(Problem::new)?;
    let (mut client, directory) = Client::new(&settings.directory, settings.ca.clone(), &account).await?;
    client.sign_up(&text(&directory, "newAccount")?).await?;
    let names: Vec<_> = settings.domains.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let answer = client.post(&text(&directory, "newOrder")?, Some(&json!({ "identifiers": names }))).await?;
    let at = answer.location.clone().ok_or_else(|| Problem::new("the order has no address"))?;
    let order = answer.json()?;
    let parts = order.get("authorizations").and_then(Value::as_array).cloned().unwrap_or_default();
    for part in parts.iter().filter_map(Value::as_str) {
        authorize(&mut client, part, challenges).await?;
    }
    let key = der::key().map_err(no_random).map_err(Problem::new)?;
    let request = der::request(&key, &settings.domains).map_err(no_random).map_err(Problem::new)?;
    let request = json!({ "csr": base64::encode_url(&request) });
    client.post(&text(&order, "finalize")?, Some(&request)).await?;
    let done = settle(&mut client, &at).await?;
    let chain = client.post(&text(&done, "certificate")?, None).await?.body;
    let public = der::public_half(&key).unwrap_or_default();
    let first =
        CertificateDer::from_pem_slice(&chain).map_err(|_| Problem::new("what came is no certificate"))?;
    if !first.windows(public.len()).any(|window| window == public) {
        return Err(Problem::new("the certificate that came is of another key"));
    }
    put(files, &key, &chain).map_err(Problem::new)
}

/// Shows that a name is ours (RFC 8555 section 7.5).
async fn authorize(client: &mut Client, at: &str, challenges: &Challenges) -> Result<(), Problem> {
    let part = client.post(at, None).await?.json()?;
    if part.get("status").and_then(Value::as_str) == Some("valid") {
        return Ok(());
    }
    let name = part.get("identifier").map(|named| text(named, "value")).transpose()?.unwrap_or_default();
    let offered = part.get("challenges").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = offered.iter().find(|one| one.get("type").and_then(Value::as_str) == Some("tls-alpn-01"));
    let ours = ours.ok_or_else(|| Problem::new(format!("{name} cannot be proved by tls-alpn-01")))?;
    let proof = client.proof(&text(ours, "token")?);
    let now = unix_now();
    let made = der::key().and_then(|key| {
        let certificate = der::challenge(&key, &name, (now.saturating_sub(86_400), now + FOR_NOW), &proof)?;
        Ok((certificate, key))
    });
    let (certificate, key) = made.map_err(no_random).map_err(Problem::new)?;
    challenges.answer(&name, certificate, key).map_err(Problem::new)?;
    client.post(&text(ours, "url")?, Some(&json!({}))).await?;
    settle(client, at).await.map(drop)
}

/// Waits until something is valid.
async fn settle(client: &mut Client, at: &str) -> Result<Value, Problem> {
    for _ in 0..ASKS {
        let now = client.post(at, None).await?.json()?;
        match now.get("status").and_then(Value::as_str) {
            Some("valid") => return Ok(now),
            Some("pending" | "ready" | "processing") => sleep(ASK_EVERY).await,
            other => {
                // What went wrong stands with the order, or with the challenge.
                let tried = now.get("challenges").and_then(Value::as_array).into_iter().flatten();
                let error = tried.chain([&now]).find_map(|one| one.get("error"));
                let detail = error.and_then(|error| error.get("detail")).and_then(Value::as_str);
                let (state, detail) =
                    (other.unwrap_or("in no state"), detail.unwrap_or("it does not say why"));
                return Err(Problem::new(format!("the authority says that it is {state}: {detail}")));
            }
        }
    }
    Err(Problem::new("the authority does not come to an end"))
}

/// The account's key, made at the first time.
fn account(files: &Tls) -> io::Result<Vec<u8>> {
    let path = files.key.with_file_name("account.key");
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = der::key().map_err(no_random)?;
            keep(&path, &key)?;
            Ok(key)
        }
        other => other,
    }
}

/// The key first: who reads between the two finds that they do not belong together, and keeps what it has.
fn put(files: &Tls, key: &[u8], chain: &[u8]) -> io::Result<()> {
    keep(&files.key, &pem("PRIVATE KEY", key))?;
    keep(&files.cert, chain)
}

/// Writes a file whole or not at all, for the owner alone.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // One left by a crash may have other permissions.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// RFC 7468.
fn pem(label: &str, bytes: &[u8]) -> Vec<u8> {
    let coded = base64::encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in coded.as_bytes().chunks(64) {
        text.extend(line);
        text.push(b'\n');
    }
    text.extend(format!("-----END {label}-----\n").bytes());
    text
}

fn no_random(_: ring::error::Unspecified) -> io::Error {
    io::Error::other("the system gives no random bytes")
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
