//! What offers and answers have in common: ICE, DTLS, the bundle.

use std::net::SocketAddr;

use super::{Error, Ours, Remote};
use crate::handshake::{Algorithm, Fingerprint};
use crate::router::command::{IceCredentials, Kind};
use crate::wire::sdp::{Media, Session, Setup, Writer};

/// More than this nobody has; the rest would only cost the handshake thread.
const MAX_FINGERPRINTS: usize = 8;

/// What stands above the m-lines. ICE credentials and fingerprint are the same for the whole bundle, so they are
/// written here once (RFC 8839 section 5.4, RFC 8122 section 5).
pub(super) fn write_session(sdp: &mut Writer, ours: &Ours, setup: &str, bundle: &str) {
    if !bundle.is_empty() {
        sdp.attribute("group", format_args!("BUNDLE {bundle}"));
    }
    sdp.flag("extmap-allow-mixed");
    sdp.attribute("msid-semantic", "WMS *");
    sdp.flag("ice-lite");
    sdp.attribute("ice-ufrag", &ours.ice.ufrag);
    sdp.attribute("ice-pwd", &ours.ice.pwd);
    let fingerprint = Fingerprint { algorithm: Algorithm::Sha256, bytes: ours.fingerprint.to_vec() };
    sdp.attribute("fingerprint", fingerprint);
    sdp.attribute("setup", setup);
}

/// An m-line of an answer has it, too: webrtcbin looks for it there and nowhere else.
pub(super) const PASSIVE: (&str, &str) = ("setup", "passive");

/// An m-line with the address that the first candidate has.
pub(super) fn write_media(sdp: &mut Writer, kind: Kind, ours: &Ours, formats: &str) {
    let default = ours.candidates.first();
    let port = default.map_or(9, SocketAddr::port);
    sdp.line('m', format_args!("{} {port} UDP/TLS/RTP/SAVPF {formats}", kind_name(kind)));
    match default {
        Some(SocketAddr::V4(v4)) => sdp.line('c', format_args!("IN IP4 {}", v4.ip())),
        Some(SocketAddr::V6(v6)) => sdp.line('c', format_args!("IN IP6 {}", v6.ip())),
        None => sdp.line('c', "IN IP4 0.0.0.0"),
    }
    sdp.flag("rtcp-mux");
    sdp.flag("rtcp-rsize");
}

/// Host candidates (RFC 8839 section 5.1), for the m-line that stands for the bundle.
pub(super) fn write_candidates(sdp: &mut Writer, ours: &Ours) {
    for (n, address) in ours.candidates.iter().enumerate() {
        // RFC 8445 section 5.1.2.1: type preference of host candidates, local preference, component 1.
        let local_preference = 65_535u32.saturating_sub(n as u32);
        let priority = 126 << 24 | local_preference << 8 | 255;
        let (ip, port) = (address.ip(), address.port());
        sdp.attribute("candidate", format_args!("{} 1 udp {priority} {ip} {port} typ host", n + 1));
    }
    for (n, address) in ours.streams.iter().enumerate() {
        // RFC 6544 section 4.2: worse than anything over UDP; among those of one kind passive ones have 4.
        let local_preference = (4u32 << 13 | 0x1fff).saturating_sub(n as u32);
        let priority = 90 << 24 | local_preference << 8 | 255;
        let (n, ip, port) = (ours.candidates.len() + n + 1, address.ip(), address.port());
        sdp.attribute("candidate", format_args!("{n} 1 tcp {priority} {ip} {port} typ host tcptype passive"));
    }
    sdp.flag("end-of-candidates");
}

/// The peer's side, from the m-line that stands for the bundle.
pub(super) fn remote(session: &Session<'_>, media: &Media<'_>) -> Result<Remote, Error> {
    // RFC 8839 section 5.4: 4 to 256 and 22 to 256 characters.
    let credential = |name, min| {
        let text = session.inherited(media, name)?;
        let fits = (min..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| text.to_owned())
    };
    let ufrag = credential("ice-ufrag", 4).ok_or(Error::NoIce)?;
    let pwd = credential("ice-pwd", 22).ok_or(Error::NoIce)?;
    let fingerprints: Vec<_> = session
        .fingerprints(media)
        .into_iter()
        .take(MAX_FINGERPRINTS)
        .filter_map(|(algorithm, hex)| Fingerprint::parse(algorithm, hex.trim()))
        .collect();
    if fingerprints.is_empty() {
        return Err(Error::NoFingerprint);
    }
    Ok(Remote { ice: IceCredentials { ufrag, pwd }, fingerprints })
}

/// We are the DTLS server (RFC 8842 section 5.3). An answer has to say "active"; an offer may leave it open.
pub(super) fn check_setup(session: &Session<'_>, media: &Media<'_>, is_offer: bool) -> Result<(), Error> {
    match session.setup(media) {
        Some(Setup::Active) => Ok(()),
        Some(Setup::ActPass) if is_offer => Ok(()),
        _ => Err(Error::NotActive),
    }
}

pub(super) fn kind_of(media: &Media<'_>) -> Option<Kind> {
    match media.kind {
        "audio" => Some(Kind::Audio),
        "video" => Some(Kind::Video),
        _ => None,
    }
}

pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}
