//! SDP: no panic, and no value that could begin a line of its own.

use millrace::wire::sdp::Session;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(session) = Session::parse(text) else { return };
    for media in &session.media {
        for map in media.rtp_maps() {
            assert!(map.pt.0 < 128 && map.clock_rate > 0);
            let _ = (media.fmtp(map.pt).get("apt"), media.feedback(map.pt).count());
        }
        assert!(media.extmaps().all(|e| e.id > 0));
        let _ = (media.simulcast(), media.ssrcs(), media.ssrc_groups().count());
        let _ = (media.rids().count(), media.candidates().count());
        let _ = (session.direction(media), session.setup(media), session.fingerprints(media));
    }
    let values = session.attributes.iter().chain(session.media.iter().flat_map(|m| &m.attributes));
    assert!(values.flat_map(|a| [a.name, a.value]).all(|t| !t.contains(['\r', '\n'])));
    let _ = session.bundle().count();
}
