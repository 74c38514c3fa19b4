//! ICE alone, without the rest of a session description: `application/trickle-ice-sdpfrag` (RFC 8840 section 9), as
//! WHIP has it for trickled candidates and for restarts (RFC 9725 section 4.3).

use super::Ours;
use super::transport::{kind_name, write_candidates};
use crate::router::command::{IceCredentials, Kind};
use crate::wire::id::Mid;
use crate::wire::sdp::Writer;

/// The ICE credentials that a fragment, or a whole description, names first: everything is in one bundle, so they are
/// those of all of it. `None` if a line is no line of SDP; no credentials if it has candidates alone.
pub fn credentials(text: &str) -> Option<Option<IceCredentials>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    if !lines.all(|line| matches!(line.as_bytes(), [b'a'..=b'z', b'=', ..])) {
        return None;
    }
    let value = |name: &str, least: usize| {
        let value = text.lines().find_map(|line| line.trim_end().strip_prefix(name))?;
        let fits = (least..=256).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
        Some(fits.then(|| value.to_owned()))
    };
    match (value("a=ice-ufrag:", 4), value("a=ice-pwd:", 22)) {
        (None, None) => Some(None),
        (Some(Some(ufrag)), Some(Some(pwd))) => Some(Some(IceCredentials { ufrag, pwd })),
        _ => None,
    }
}

/// Our side after a restart; `kind` and `mid` are of the m-line that stands for the bundle.
pub fn restarted(ours: &Ours, kind: Kind, mid: Mid) -> String {
    let mut sdp = Writer::fragment();
    sdp.flag("ice-lite");
    sdp.line('m', format_args!("{} 9 UDP/TLS/RTP/SAVPF 0", kind_name(kind)));
    sdp.attribute("mid", mid);
    sdp.attribute("ice-ufrag", &ours.ice.ufrag);
    sdp.attribute("ice-pwd", &ours.ice.pwd);
    write_candidates(&mut sdp, ours);
    sdp.finish()
}
