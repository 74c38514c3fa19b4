//! Header extensions (RFC 8285): which we use, and their ids.

use crate::router::command::{ExtensionIds, Kind};
use crate::wire::ext::uri;
use crate::wire::sdp::{Direction, Media, Writer};

/// One that we know: its name and where its id is kept.
struct Known {
    uri: &'static str,
    field: fn(&mut ExtensionIds) -> &mut u8,
}

const KNOWN: [Known; 10] = [
    Known { uri: uri::MID, field: |ids| &mut ids.mid },
    Known { uri: uri::RID, field: |ids| &mut ids.rid },
    Known { uri: uri::REPAIRED_RID, field: |ids| &mut ids.repaired_rid },
    Known { uri: uri::AUDIO_LEVEL, field: |ids| &mut ids.audio_level },
    Known { uri: uri::TRANSPORT_SEQ, field: |ids| &mut ids.twcc },
    Known { uri: uri::ABS_SEND_TIME, field: |ids| &mut ids.abs_send_time },
    Known { uri: uri::VIDEO_ORIENTATION, field: |ids| &mut ids.video_orientation },
    Known { uri: uri::PLAYOUT_DELAY, field: |ids| &mut ids.playout_delay },
    Known { uri: uri::CAPTURE_TIME, field: |ids| &mut ids.capture_time },
    Known { uri: uri::DEPENDENCY_DESCRIPTOR, field: |ids| &mut ids.dependency_descriptor },
];

/// In our offers: what goes with audio and with video, with ids that are the same on all m-lines
/// (RFC 9143 section 9.2 in spirit: one bundle, one meaning).
const OFFERED: [(u8, &str, bool, bool); 8] = [
    (1, uri::AUDIO_LEVEL, true, false),
    (2, uri::ABS_SEND_TIME, true, true),
    (3, uri::TRANSPORT_SEQ, true, true),
    (4, uri::MID, true, true),
    (5, uri::PLAYOUT_DELAY, false, true),
    (6, uri::VIDEO_ORIENTATION, false, true),
    (7, uri::DEPENDENCY_DESCRIPTOR, false, true),
    (8, uri::CAPTURE_TIME, true, true),
];

/// `a=extmap` lines of an m-line of our offer.
pub(super) fn offer(sdp: &mut Writer, kind: Kind) {
    for (id, uri, audio, video) in OFFERED {
        if if kind == Kind::Audio { audio } else { video } {
            sdp.attribute("extmap", format_args!("{id} {uri}"));
        }
    }
}

/// Takes the ids that `media` gives to extensions which its writer `sends` or not, but for `without`, and tells which
/// lines were taken. The first m-line of a bundle that names an extension decides; one that gives its id to something
/// else, or it another id, is not followed.
pub(super) fn take<'a>(
    ids: &mut ExtensionIds,
    media: &Media<'a>,
    sends: bool,
    without: Option<&str>,
) -> Vec<(u8, Option<Direction>, &'a str)> {
    let mut taken = vec![];
    for extmap in media.extmaps() {
        let usable = match extmap.direction {
            None => true,
            Some(direction) if sends => direction.sends(),
            Some(direction) => direction.receives(),
        };
        let Some(known) = KNOWN.iter().find(|k| k.uri == extmap.uri) else { continue };
        // 15 means "stop" in one-byte headers (RFC 8285 section 4.2).
        if !usable || extmap.id == 15 || without == Some(extmap.uri) {
            continue;
        }
        let in_use = KNOWN.iter().any(|k| k.uri != known.uri && *(k.field)(ids) == extmap.id);
        let id = (known.field)(ids);
        if *id == extmap.id || (*id == 0 && !in_use) {
            *id = extmap.id;
            taken.push((extmap.id, extmap.direction, extmap.uri));
        }
    }
    taken
}
