//! The certificate is kept, replaced in time by the one that was announced, and never valid for more than 14 days.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use millrace::certificate::Certificates;

const DAY: Duration = Duration::from_secs(24 * 3600);
const NOW: Duration = Duration::from_secs(1_800_000_000);

#[test]
fn it_is_kept_across_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let first = Certificates::open(data.path(), NOW).expect("made");
    let again = Certificates::open(data.path(), NOW + 6 * DAY).expect("kept");
    assert_eq!(first.current(), again.current());
    assert_eq!(first.hashes(), again.hashes());
    assert_eq!(first.hashes()[0].len(), 64);
    let mode = std::fs::metadata(data.path().join("certificates.json")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_announced_one_takes_over_for_a_year_of_rotations() {
    let data = tempfile::tempdir().expect("a folder");
    let mut certificates = Certificates::open(data.path(), NOW).expect("made");
    let mut now = NOW;
    while now < NOW + 365 * DAY {
        let (from, until) = certificates.current().validity();
        assert!(until - from <= 14 * DAY);
        assert!(from <= now && now + DAY < until, "valid now, with a reserve");
        let announced = certificates.hashes()[1].clone();
        assert!(!certificates.rotate(certificates.due() - Duration::from_secs(1)).expect("early"));
        now = certificates.due();
        assert!(certificates.rotate(now).expect("in time"));
        assert_eq!(certificates.hashes()[0], announced);
        assert_ne!(certificates.hashes()[1], announced);
    }
    let kept = Certificates::open(data.path(), now).expect("kept");
    assert_eq!(kept.hashes(), certificates.hashes());
}

#[test]
fn a_server_that_slept_through_both_makes_new_ones() {
    let data = tempfile::tempdir().expect("a folder");
    let old = Certificates::open(data.path(), NOW).expect("made");
    for later in [NOW + 40 * DAY, NOW - 40 * DAY] {
        let new = Certificates::open(data.path(), later).expect("made");
        let (from, until) = new.current().validity();
        assert!(from <= later && later < until);
        assert!(!old.hashes().contains(&new.hashes()[0]));
    }
}

#[test]
fn a_broken_file_is_replaced() {
    let data = tempfile::tempdir().expect("a folder");
    let first = Certificates::open(data.path(), NOW).expect("made");
    std::fs::write(data.path().join("certificates.json"), b"{\"current\":").expect("written");
    let new = Certificates::open(data.path(), NOW).expect("made");
    assert_ne!(first.hashes(), new.hashes());
    assert_eq!(Certificates::open(data.path(), NOW).expect("kept").hashes(), new.hashes());
}

#[test]
fn it_serves_rustls() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let data = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::open(data.path(), NOW).expect("made");
    let certificate = CertificateDer::from(certificates.current().certificate().to_vec());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificates.current().private_key().to_vec()));
    rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to the certificate");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let data = tempfile::tempdir().expect("a folder");
    let missing = data.path().join("missing");
    let error = Certificates::open(&missing, NOW).expect_err("no folder").to_string();
    assert!(error.contains("missing/certificates.json") && error.contains("writable"), "{error}");
}
