//! The offer of a client that wants to watch, answered: WHEP has it this way round. One audio and one video m-line are
//! taken, each a slot; payload types and extension ids are the client's.

use super::codecs::{self, AUDIO_FEEDBACK, VIDEO_FEEDBACK};
use super::publish::reject;
use super::subscribe::SplitMix;
use super::transport::{PASSIVE, check_setup, kind_of, remote, write_candidates, write_media, write_session};
use super::{Error, Ours, Remote, extensions};
use crate::router::command::{ExtensionIds, Kind, PayloadParams, SlotParams};
use crate::router::id::SlotId;
use crate::wire::id::{Mid, Ssrc};
use crate::wire::sdp::{Direction, Media, Session, Writer};

/// A viewer's offer that was accepted.
#[derive(Clone, Debug)]
pub struct Viewed {
    /// To be sent to the client.
    pub answer: String,
    /// The client's side of the connection.
    pub remote: Remote,
    /// Header extension ids.
    pub extensions: ExtensionIds,
    /// One of a kind at most.
    pub slots: Vec<SlotParams>,
}

/// Answers the offer of a client that watches; `seed` is random and different for each.
pub fn view(offer: &str, ours: &Ours, seed: u64) -> Result<Viewed, Error> {
    let session = Session::parse(offer)?;
    let mut random = SplitMix(seed);
    let mut slots: Vec<SlotParams> = vec![];
    let mut accepted = vec![];
    for media in &session.media {
        let slot = slot(&session, media, &slots, &mut random)?;
        accepted.push(slot.is_some());
        slots.extend(slot);
    }
    let first = session.media.iter().zip(&accepted).find(|(_, accepted)| **accepted);
    let (first, _) = first.ok_or(Error::NothingToWatch)?;
    check_setup(&session, first, true)?;
    let remote = remote(&session, first)?;

    let bundle: Vec<_> = slots.iter().map(|slot| slot.mid.as_str()).collect();
    let mut sdp = Writer::new(session.origin.id, session.origin.version);
    write_session(&mut sdp, ours, "passive", &bundle.join(" "));
    let mut extensions = ExtensionIds::default();
    let mut answered = slots.iter();
    let mut candidates_due = true;
    for (media, accepted) in session.media.iter().zip(&accepted) {
        let Some(slot) = accepted.then(|| answered.next()).flatten() else {
            reject(&mut sdp, media);
            continue;
        };
        write_slot(&mut sdp, media, slot, ours, &mut extensions);
        if std::mem::take(&mut candidates_due) {
            write_candidates(&mut sdp, ours);
        }
    }
    Ok(Viewed { answer: sdp.finish(), remote, extensions, slots })
}

/// The slot of an m-line, `None` if it is refused: it does not receive, or there is one of its kind already.
fn slot(
    session: &Session<'_>,
    media: &Media<'_>,
    before: &[SlotParams],
    random: &mut SplitMix,
) -> Result<Option<SlotParams>, Error> {
    let wanted = !media.rejected() && media.is_secure_rtp() && session.direction(media).receives();
    let new = |kind: &Kind| wanted && before.iter().all(|slot| slot.kind != *kind);
    let Some(kind) = kind_of(media).filter(new) else { return Ok(None) };
    let text = media.attribute("mid").ok_or(Error::BadMid)?;
    let mid = Mid::new(text.as_bytes()).ok_or(Error::BadMid)?;
    if before.iter().any(|slot| slot.mid == mid) {
        return Err(Error::BadMid);
    }
    if !session.bundle().any(|bundled| bundled == text) {
        return Err(Error::NotBundled(mid.to_string()));
    }
    if !media.has("rtcp-mux") {
        return Err(Error::NoRtcpMux(mid.to_string()));
    }
    let payloads = codecs::payloads(kind, media);
    if payloads.is_empty() {
        return Err(Error::NoCommonCodec(mid.to_string()));
    }
    let taken: Vec<Ssrc> =
        before.iter().flat_map(|slot| [Some(slot.ssrc), slot.rtx_ssrc]).flatten().collect();
    let ssrc = random.ssrc(&taken);
    let repairs = payloads.iter().any(|payload| payload.rtx.is_some());
    let rtx_ssrc = repairs.then(|| random.ssrc(&[taken.as_slice(), &[ssrc]].concat()));
    let place = u16::try_from(before.len()).map_err(|_| Error::BadMid)?;
    Ok(Some(SlotParams { slot: SlotId(place), kind, mid, ssrc, rtx_ssrc, payloads }))
}

fn write_slot(
    sdp: &mut Writer,
    media: &Media<'_>,
    slot: &SlotParams,
    ours: &Ours,
    extensions: &mut ExtensionIds,
) {
    let formats = slot.payloads.iter().flat_map(|p| [Some(p.pt), p.rtx]).flatten();
    let formats: Vec<_> = formats.map(|pt| pt.0.to_string()).collect();
    write_media(sdp, slot.kind, ours, &formats.join(" "));
    sdp.attribute("mid", slot.mid);
    sdp.attribute(PASSIVE.0, PASSIVE.1);
    sdp.flag("sendonly");
    sdp.attribute("msid", format_args!("millrace {}", slot.mid));
    for (id, direction, uri) in extensions::take(extensions, media, false, None) {
        match direction {
            // RFC 8285 section 6: the other way round in the answer.
            Some(Direction::RecvOnly) => sdp.attribute("extmap", format_args!("{id}/sendonly {uri}")),
            _ => sdp.attribute("extmap", format_args!("{id} {uri}")),
        }
    }
    for payload in &slot.payloads {
        write_payload(sdp, media, slot.kind, *payload);
    }
    if let Some(rtx) = slot.rtx_ssrc {
        sdp.attribute("ssrc-group", format_args!("FID {} {}", slot.ssrc.0, rtx.0));
    }
    for ssrc in [Some(slot.ssrc), slot.rtx_ssrc].into_iter().flatten() {
        sdp.attribute("ssrc", format_args!("{} cname:millrace", ssrc.0));
    }
}

/// A codec as it was offered, with the feedback that we understand.
fn write_payload(sdp: &mut Writer, media: &Media<'_>, kind: Kind, payload: PayloadParams) {
    let pt = payload.pt.0;
    if let Some(map) = media.rtp_maps().find(|map| map.pt == payload.pt) {
        match map.channels {
            1 => sdp.attribute("rtpmap", format_args!("{pt} {}/{}", map.name, map.clock_rate)),
            n => sdp.attribute("rtpmap", format_args!("{pt} {}/{}/{n}", map.name, map.clock_rate)),
        }
    }
    let (known, clock): (&[&str], _) = match kind {
        Kind::Audio => (&AUDIO_FEEDBACK, codecs::AUDIO_CLOCK),
        Kind::Video => (&VIDEO_FEEDBACK, codecs::VIDEO_CLOCK),
    };
    for what in known.iter().filter(|what| media.feedback(payload.pt).any(|offered| offered == **what)) {
        sdp.attribute("rtcp-fb", format_args!("{pt} {what}"));
    }
    let fmtp = media.fmtp(payload.pt).text;
    if !fmtp.is_empty() {
        sdp.attribute("fmtp", format_args!("{pt} {fmtp}"));
    }
    if let Some(rtx) = payload.rtx {
        sdp.attribute("rtpmap", format_args!("{} rtx/{clock}", rtx.0));
        sdp.attribute("fmtp", format_args!("{} apt={pt}", rtx.0));
    }
}
