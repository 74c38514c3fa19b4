//! The page's certificate is renewed while the server runs: at once where it is told to look, else soon, and never by one
//! that is of no use.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::program::{PATIENCE, Running};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// Takes any certificate, and remembers it.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<u8>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("whole") = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Where a server's page is.
pub(crate) fn address(server: &Running) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// Connects to the page as a client that asks for this name and offers to speak this: the connection, and the certificate
/// that is shown.
fn connect(
    page: &str,
    name: &str,
    spoken: &[&[u8]],
) -> io::Result<(StreamOwned<ClientConnection, TcpStream>, Vec<u8>)> {
    let witness = Arc::new(Witness::default());
    let mut config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    config.alpn_protocols = spoken.iter().map(|spoken| spoken.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(client, TcpStream::connect(page).expect("a connection"));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let shown = witness.0.lock().expect("whole").clone();
    Ok((stream, shown))
}

/// The certificate that is shown, and what was agreed on to be spoken.
pub(crate) fn shown(page: &str, name: &str, spoken: &[&[u8]]) -> io::Result<(Vec<u8>, Option<Vec<u8>>)> {
    let (stream, shown) = connect(page, name, spoken)?;
    Ok((shown, stream.conn.alpn_protocol().map(<[u8]>::to_vec)))
}

struct Page(StreamOwned<ClientConnection, TcpStream>);

impl Page {
    /// Asks for something; the certificate that is shown.
    fn open(server: &Running) -> (Self, Vec<u8>) {
        let (stream, shown) = connect(&address(server), "localhost", &[]).expect("a connection");
        let mut page = Self(stream);
        page.get();
        (page, shown)
    }

    fn get(&mut self) {
        self.0.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
    }
}

/// A new certificate in these files; its bytes.
fn renew(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.join("chain.pem"), made.cert.pem()).expect("written");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().to_vec()
}

fn start(folder: &Path) -> Running {
    let file = |name: &str| folder.join(name).to_str().expect("plain").to_owned();
    let data = folder.join("data");
    Running::start(&data, &["--tls-cert", &file("chain.pem"), "--tls-key", &file("key.pem")])
}

fn hang_up(server: &Running) {
    let kill = format!("kill -HUP {}", server.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

pub(crate) fn until_shown(server: &Running, wanted: &[u8]) {
    let began = Instant::now();
    while Page::open(server).1 != wanted {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_new_certificate_serves_after_a_signal_and_by_itself_and_connections_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = renew(folder.path());
    let server = start(folder.path());
    let (mut page, shown) = Page::open(&server);
    assert_eq!(shown, first);
    let second = renew(folder.path());
    hang_up(&server);
    until_shown(&server, &second);
    page.get();
    // Nobody has to say anything.
    let third = renew(folder.path());
    until_shown(&server, &third);
    page.get();
    let (_, log) = server.end("TERM");
    assert_eq!(log.matches("a new certificate of the page is in service").count(), 2, "{log}");
}

#[test]
fn half_a_renewal_and_rubbish_leave_the_old_one_in_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = renew(folder.path());
    let server = start(folder.path());
    // Another certificate with the old key, as between the writing of the two.
    let key = fs::read(folder.path().join("key.pem")).expect("there");
    let second = renew(folder.path());
    let new_key = fs::read(folder.path().join("key.pem")).expect("there");
    fs::write(folder.path().join("key.pem"), &key).expect("written");
    hang_up(&server);
    assert_eq!(Page::open(&server).1, first);
    fs::write(folder.path().join("key.pem"), &new_key).expect("written");
    until_shown(&server, &second);
    fs::write(folder.path().join("chain.pem"), "no PEM").expect("written");
    hang_up(&server);
    assert_eq!(Page::open(&server).1, second);
    let log = server.end("KILL").1;
    assert!(!log.contains("panicked"), "{log}");
}
