//! A client's offer of a stream, answered.

use super::codecs::{self, AUDIO_CLOCK, AUDIO_FEEDBACK, VIDEO_CLOCK, VIDEO_FEEDBACK};
use super::transport::{PASSIVE, check_setup, kind_of, remote, write_candidates, write_media, write_session};
use super::{Error, Ours, Remote, extensions};
use crate::control::limits::Codecs;
use crate::router::command::{ExtensionIds, Kind, LayerParams, PayloadParams, TrackLimits, TrackParams};
use crate::router::id::{LayerId, TrackId};
use crate::sorted::sort_by_key;
use crate::units::{Bitrate, PictureSize};
use crate::wire::ext::uri;
use crate::wire::id::{Mid, Rid, Ssrc};
use crate::wire::payload::Codec;
use crate::wire::sdp::{Direction, Media, RidDirection, Session, Writer};

/// Most layers of one track; libwebrtc encodes three.
pub(super) const MAX_LAYERS: usize = 4;

/// Chromium begins at 300 kbit/s, at which the larger layers wait for many seconds; told this in kbit/s, it sends
/// all of them at once and lets its estimator find the limit.
const START_KBPS: u64 = 2500;

/// Names and limits of what is to be published.
#[derive(Clone, Debug)]
pub struct PublishIds<'a> {
    /// Name of the audio track, if there is one.
    pub audio: TrackId,
    /// Name of the video track, if there is one.
    pub video: TrackId,
    /// Whether audio begins muted.
    pub audio_muted: bool,
    /// Whether video begins muted.
    pub video_muted: bool,
    /// Layers from the smallest up, as the client told, 0x0 where it did not say how large; empty if it said nothing: then
    /// their order in the offer counts.
    pub layers: &'a [(Rid, PictureSize)],
    /// How much sound may come.
    pub audio_limits: TrackLimits,
    /// How much video.
    pub video_limits: TrackLimits,
    /// In which codecs.
    pub codecs: Codecs,
}

impl PublishIds<'_> {
    /// Unmuted, unlimited, with the layers as offered.
    pub fn new(audio: TrackId, video: TrackId) -> Self {
        let (audio_limits, video_limits) = (TrackLimits::NONE, TrackLimits::NONE);
        let (audio_muted, video_muted, codecs) = (false, false, Codecs::default());
        Self { audio, video, audio_muted, video_muted, layers: &[], audio_limits, video_limits, codecs }
    }
}

/// A stream that was offered and accepted.
#[derive(Clone, Debug)]
pub struct Published {
    /// To be sent to the client.
    pub answer: String,
    /// Header extension ids.
    pub extensions: ExtensionIds,
    /// One or two.
    pub tracks: Vec<TrackParams>,
    /// The client's side of the connection.
    pub remote: Remote,
}

/// Answers the offer of a publishing client. A later offer of the same connection (an ICE restart) is answered
/// by calling this again.
pub fn publish(offer: &str, ours: &Ours, ids: &PublishIds<'_>) -> Result<Published, Error> {
    let session = Session::parse(offer)?;
    let accepted = accepted(&session)?;
    let Some(&(first, ..)) = accepted.iter().flatten().next() else { return Err(Error::NothingToPublish) };
    check_setup(&session, first, true)?;
    let remote = remote(&session, first)?;

    let bundle: Vec<_> = accepted.iter().flatten().map(|(_, _, mid)| mid.as_str()).collect();
    let mut sdp = Writer::new(session.origin.id, session.origin.version);
    write_session(&mut sdp, ours, "passive", &bundle.join(" "));
    let mut extensions = ExtensionIds::default();
    let mut tracks = vec![];
    for (media, accepted) in session.media.iter().zip(&accepted) {
        let Some((_, kind, mid)) = *accepted else {
            reject(&mut sdp, media);
            continue;
        };
        let track = track(media, kind, mid, ids)?;
        write_answer(&mut sdp, media, &track, ours, &mut extensions, tracks.is_empty());
        tracks.push(track);
    }
    Ok(Published { answer: sdp.finish(), extensions, tracks, remote })
}

type Accepted<'s, 'a> = Option<(&'s Media<'a>, Kind, Mid)>;

/// Which m-lines bring us media, checked for what we need of them. Others (data channels, the receiving half of a
/// careless page) are refused, not an error.
fn accepted<'s, 'a>(session: &'s Session<'a>) -> Result<Vec<Accepted<'s, 'a>>, Error> {
    let mut accepted: Vec<Accepted<'s, 'a>> = vec![];
    for media in &session.media {
        let wanted = !media.rejected() && media.is_secure_rtp() && session.direction(media).sends();
        let Some(kind) = kind_of(media).filter(|_| wanted) else {
            accepted.push(None);
            continue;
        };
        let text = media.attribute("mid").ok_or(Error::BadMid)?;
        let mid = Mid::new(text.as_bytes()).ok_or(Error::BadMid)?;
        if accepted.iter().flatten().any(|(_, _, other)| *other == mid) {
            return Err(Error::BadMid);
        }
        if accepted.iter().flatten().any(|(_, other, _)| *other == kind) {
            return Err(Error::TooManyTracks);
        }
        if !session.bundle().any(|m| m == text) {
            return Err(Error::NotBundled(mid.to_string()));
        }
        if !media.has("rtcp-mux") {
            return Err(Error::NoRtcpMux(mid.to_string()));
        }
        accepted.push(Some((media, kind, mid)));
    }
    Ok(accepted)
}

fn track(media: &Media<'_>, kind: Kind, mid: Mid, ids: &PublishIds<'_>) -> Result<TrackParams, Error> {
    let mut payloads = codecs::payloads(kind, media);
    if payloads.is_empty() {
        return Err(Error::NoCommonCodec(mid.to_string()));
    }
    payloads.retain(|payload| ids.codecs.allows(payload.codec));
    if payloads.is_empty() {
        return Err(Error::CodecNotAllowed(ids.codecs.names().join(", ")));
    }
    let layers = if kind == Kind::Video { layers(media, ids.layers)? } else { vec![] };
    let (id, muted, clock_rate, limits) = match kind {
        Kind::Audio => (ids.audio, ids.audio_muted, AUDIO_CLOCK, ids.audio_limits),
        Kind::Video => (ids.video, ids.video_muted, VIDEO_CLOCK, ids.video_limits),
    };
    let ssrcs = if layers.is_empty() { ssrcs(media) } else { vec![] };
    Ok(TrackParams { id, kind, mid, payloads, layers, ssrcs, clock_rate, muted, limits })
}

/// The rids that `a=simulcast` sends (RFC 8853 section 5.3), or the only one that there is; from the smallest up if
/// the client said which that is.
fn layers(media: &Media<'_>, told: &[(Rid, PictureSize)]) -> Result<Vec<LayerParams>, Error> {
    let declared: Vec<_> = media.rids().filter(|r| r.direction == RidDirection::Send).map(|r| r.id).collect();
    let sent = media.simulcast().map(|s| s.send).unwrap_or_default();
    let sent: Vec<_> = if sent.is_empty() { declared.clone() } else { sent.iter().map(|s| s.rid).collect() };
    let mut rids: Vec<Rid> = vec![];
    for rid in sent.iter().filter(|rid| declared.contains(rid)).filter_map(|rid| Rid::new(rid.as_bytes())) {
        if rids.len() == MAX_LAYERS {
            return Err(Error::TooManyLayers);
        }
        if !rids.contains(&rid) {
            rids.push(rid);
        }
    }
    let place = |rid: &Rid| told.iter().position(|(r, _)| r == rid);
    if rids.iter().all(|rid| place(rid).is_some()) {
        sort_by_key(&mut rids, place);
    }
    let size = |rid| told.iter().find(|(r, size)| *r == rid && size.area() > 0).map(|(_, size)| *size);
    Ok((0..).zip(rids).map(|(n, rid)| LayerParams { layer: LayerId(n), rid, size: size(rid) }).collect())
}

/// SSRCs that the offer names, each with that of its retransmissions (RFC 5576 section 4.2, RFC 4588 section 8.3).
fn ssrcs(media: &Media<'_>) -> Vec<(Ssrc, Option<Ssrc>)> {
    let pairs: Vec<(Ssrc, Ssrc)> = media
        .ssrc_groups()
        .filter(|g| g.semantics == "FID")
        .filter_map(|g| if let [media, rtx, ..] = g.ssrcs[..] { Some((media, rtx)) } else { None })
        .take(MAX_LAYERS)
        .collect();
    let primary = media.ssrcs().into_iter().filter(|s| pairs.iter().all(|(_, rtx)| rtx != s));
    primary
        .take(MAX_LAYERS)
        .map(|s| (s, pairs.iter().find(|(media, _)| *media == s).map(|(_, rtx)| *rtx)))
        .collect()
}

/// RFC 3264 section 6: port 0, with the formats as they were offered.
pub(super) fn reject(sdp: &mut Writer, media: &Media<'_>) {
    sdp.line('m', format_args!("{} 0 {} {}", media.kind, media.protocol, media.formats.join(" ")));
    sdp.line('c', "IN IP4 0.0.0.0");
    if let Some(mid) = media.attribute("mid") {
        sdp.attribute("mid", mid);
    }
    sdp.flag("inactive");
}

fn write_answer(
    sdp: &mut Writer,
    media: &Media<'_>,
    track: &TrackParams,
    ours: &Ours,
    extensions: &mut ExtensionIds,
    first: bool,
) {
    let formats = track.payloads.iter().flat_map(|p| [Some(p.pt), p.rtx]).flatten();
    let formats: Vec<_> = formats.map(|pt| pt.0.to_string()).collect();
    write_media(sdp, track.kind, ours, &formats.join(" "));
    sdp.attribute("mid", track.mid);
    sdp.attribute(PASSIVE.0, PASSIVE.1);
    sdp.flag("recvonly");
    // Chromium leaves picture ids and layers out of VP8's payload descriptor once it sends a dependency descriptor,
    // so that is taken only where nothing else tells of layers.
    let without = match track.payloads.first().map(|p| p.codec) {
        Some(Codec::Av1 { .. }) => None,
        _ => Some(uri::DEPENDENCY_DESCRIPTOR),
    };
    for (id, direction, uri) in extensions::take(extensions, media, true, without) {
        match direction {
            // RFC 8285 section 6: the other way round in the answer.
            Some(Direction::SendOnly) => sdp.attribute("extmap", format_args!("{id}/recvonly {uri}")),
            _ => sdp.attribute("extmap", format_args!("{id} {uri}")),
        }
    }
    for payload in &track.payloads {
        write_payload(sdp, media, track, *payload);
    }
    if !track.layers.is_empty() {
        // In the offer's order, whatever order of ours.
        let offered = media.rids().filter_map(|r| Rid::new(r.id.as_bytes()));
        let rids: Vec<Rid> = offered.filter(|rid| track.layers.iter().any(|l| l.rid == *rid)).collect();
        for rid in &rids {
            sdp.attribute("rid", format_args!("{rid} recv"));
        }
        if media.simulcast().is_some() {
            let rids: Vec<_> = rids.iter().map(Rid::as_str).collect();
            sdp.attribute("simulcast", format_args!("recv {}", rids.join(";")));
        }
    }
    if first {
        write_candidates(sdp, ours);
    }
}

/// A codec as it was offered, with the feedback that we give.
fn write_payload(sdp: &mut Writer, media: &Media<'_>, track: &TrackParams, payload: PayloadParams) {
    let pt = payload.pt.0;
    if let Some(map) = media.rtp_maps().find(|m| m.pt == payload.pt) {
        match map.channels {
            1 => sdp.attribute("rtpmap", format_args!("{pt} {}/{}", map.name, map.clock_rate)),
            n => sdp.attribute("rtpmap", format_args!("{pt} {}/{}/{n}", map.name, map.clock_rate)),
        }
    }
    let known: &[&str] = if track.kind == Kind::Audio { &AUDIO_FEEDBACK } else { &VIDEO_FEEDBACK };
    for what in known {
        if media.feedback(payload.pt).any(|offered| offered == *what) {
            sdp.attribute("rtcp-fb", format_args!("{pt} {what}"));
        }
    }
    let fmtp = media.fmtp(payload.pt).text;
    match track.kind {
        // RFC 7587 section 6.1: what the encoder of a client is to keep to that hears no notices of ours.
        Kind::Audio if payload.codec == Codec::Opus && track.limits.max_bitrate != Bitrate::MAX => {
            let bps = track.limits.max_bitrate.as_bps().clamp(6000, 510_000);
            let separator = if fmtp.is_empty() { "" } else { ";" };
            sdp.attribute("fmtp", format_args!("{pt} {fmtp}{separator}maxaveragebitrate={bps}"));
        }
        Kind::Audio if fmtp.is_empty() => {}
        Kind::Audio => sdp.attribute("fmtp", format_args!("{pt} {fmtp}")),
        Kind::Video => {
            let kbps = START_KBPS.min(track.limits.max_bitrate.as_bps() / 1000);
            let separator = if fmtp.is_empty() { "" } else { ";" };
            sdp.attribute("fmtp", format_args!("{pt} {fmtp}{separator}x-google-start-bitrate={kbps}"));
        }
    }
    if let Some(rtx) = payload.rtx {
        sdp.attribute("rtpmap", format_args!("{} rtx/{}", rtx.0, track.clock_rate));
        sdp.attribute("fmtp", format_args!("{} apt={pt}", rtx.0));
    }
}
