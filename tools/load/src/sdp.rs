//! Session descriptions of a native client: a publisher's offer, a viewer's answer.

use std::net::SocketAddr;

use millrace::handshake::Fingerprint;
use millrace::router::command::IceCredentials;
use millrace::wire::ext::uri;
use millrace::wire::id::{Pt, Ssrc};
use millrace::wire::payload::Codec;
use millrace::wire::sdp::{Media, Session, Setup, Writer};

use crate::Error;
use crate::peer::{HOST_PRIORITY, Remote};

/// Payload type of Opus in our offers.
pub const OPUS: Pt = Pt(111);
/// Payload type of VP8 in our offers.
pub const VP8: Pt = Pt(96);
/// Payload type of VP8's retransmissions in our offers.
pub const VP8_RTX: Pt = Pt(97);
/// Payload type of H264 in our offers.
pub const H264: Pt = Pt(102);
/// Payload type of H264's retransmissions in our offers.
pub const H264_RTX: Pt = Pt(103);

/// Ids of the header extensions that both sides know; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Which m-line.
    pub mid: u8,
    /// Which simulcast layer.
    pub rid: u8,
    /// Which simulcast layer a retransmission repairs.
    pub repaired_rid: u8,
    /// Transport-wide sequence number.
    pub transport_seq: u8,
    /// Audio level.
    pub audio_level: u8,
}

impl Extensions {
    fn of(session: &Session<'_>) -> Self {
        let id = |uri| {
            let all = session.media.iter().flat_map(|m| m.extmaps().collect::<Vec<_>>());
            all.into_iter().find(|e| e.uri == uri).map_or(0, |e| e.id)
        };
        Self {
            mid: id(uri::MID),
            rid: id(uri::RID),
            repaired_rid: id(uri::REPAIRED_RID),
            transport_seq: id(uri::TRANSPORT_SEQ),
            audio_level: id(uri::AUDIO_LEVEL),
        }
    }
}

/// One video encoding as a publisher offers it.
#[derive(Clone, Debug)]
pub struct OfferedEncoding {
    /// Its name, with simulcast.
    pub rid: Option<String>,
    /// Its SSRC, which the offer tells without simulcast.
    pub ssrc: Ssrc,
    /// The SSRC of its retransmissions.
    pub rtx_ssrc: Ssrc,
}

/// What a publisher offers.
#[derive(Clone, Debug)]
pub struct Offering {
    /// The SSRC of its sound.
    pub audio: Option<Ssrc>,
    /// Its picture's encodings.
    pub video: Vec<OfferedEncoding>,
    /// H264, not VP8.
    pub h264: bool,
}

/// What our side of a connection is.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    ice: &'a IceCredentials,
    fingerprint: &'a Fingerprint,
    address: Option<SocketAddr>,
}

impl<'a> Ours<'a> {
    /// With these credentials and this DTLS certificate.
    pub const fn new(ice: &'a IceCredentials, fingerprint: &'a Fingerprint) -> Self {
        Self { ice, fingerprint, address: None }
    }

    /// Tells our address, too. An ICE-lite server learns it from our checks, others want to know.
    #[must_use]
    pub const fn at(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    fn write(&self, sdp: &mut Writer, setup: &str) {
        sdp.line('c', "IN IP4 0.0.0.0");
        sdp.attribute("ice-ufrag", &self.ice.ufrag);
        sdp.attribute("ice-pwd", &self.ice.pwd);
        sdp.attribute("fingerprint", self.fingerprint);
        sdp.attribute("setup", setup);
        sdp.flag("rtcp-mux");
        sdp.flag("rtcp-rsize");
        if let Some(address) = self.address {
            let (ip, port) = (address.ip(), address.port());
            let host = format_args!("1 1 udp {HOST_PRIORITY} {ip} {port} typ host");
            sdp.attribute("candidate", host);
            sdp.flag("end-of-candidates");
        }
    }
}

/// A publisher's offer: Opus as the first m-line if there is sound, then the picture if there is one.
pub fn offer(ours: &Ours<'_>, offering: &Offering) -> String {
    const CNAME: &str = "cname:load";
    let Offering { audio, video, h264 } = offering;
    let mut sdp = begin(audio.is_some(), !video.is_empty());
    if let Some(ssrc) = audio {
        sound(&mut sdp, ours, "sendonly");
        sdp.attribute("ssrc", format_args!("{} {CNAME}", ssrc.0));
    }
    if video.is_empty() {
        return sdp.finish();
    }
    let codec = if *h264 { &CODECS[1] } else { &CODECS[0] };
    picture(&mut sdp, ours, "sendonly", usize::from(audio.is_some()), std::slice::from_ref(codec));
    sdp.attribute("extmap", format_args!("4 {}", uri::RID));
    sdp.attribute("extmap", format_args!("5 {}", uri::REPAIRED_RID));
    let rids: Vec<_> = video.iter().filter_map(|e| e.rid.as_deref()).collect();
    for rid in &rids {
        sdp.attribute("rid", format_args!("{rid} send"));
    }
    if !rids.is_empty() {
        sdp.attribute("simulcast", format_args!("send {}", rids.join(";")));
    }
    for encoding in video.iter().filter(|e| e.rid.is_none()) {
        sdp.attribute("ssrc-group", format_args!("FID {} {}", encoding.ssrc.0, encoding.rtx_ssrc.0));
        sdp.attribute("ssrc", format_args!("{} {CNAME}", encoding.ssrc.0));
        sdp.attribute("ssrc", format_args!("{} {CNAME}", encoding.rtx_ssrc.0));
    }
    sdp.finish()
}

/// The offer of a viewer who begins, as WHEP has it: sound and picture as it likes them, whatever of the codecs there is.
pub fn wish(ours: &Ours<'_>, audio: bool, video: bool) -> String {
    let mut sdp = begin(audio, video);
    if audio {
        sound(&mut sdp, ours, "recvonly");
    }
    if video {
        picture(&mut sdp, ours, "recvonly", usize::from(audio), &CODECS);
    }
    sdp.finish()
}

fn begin(audio: bool, video: bool) -> Writer {
    let mut sdp = Writer::new(1, 1);
    let mids = if audio && video { "0 1" } else { "0" };
    sdp.attribute("group", format_args!("BUNDLE {mids}"));
    sdp
}

fn sound(sdp: &mut Writer, ours: &Ours<'_>, direction: &str) {
    sdp.line('m', format_args!("audio 9 UDP/TLS/RTP/SAVPF {}", OPUS.0));
    ours.write(sdp, "actpass");
    sdp.attribute("mid", 0);
    sdp.flag(direction);
    sdp.attribute("extmap", format_args!("1 {}", uri::MID));
    sdp.attribute("extmap", format_args!("2 {}", uri::TRANSPORT_SEQ));
    sdp.attribute("extmap", format_args!("3 {}", uri::AUDIO_LEVEL));
    sdp.attribute("rtpmap", format_args!("{} opus/48000/2", OPUS.0));
    sdp.attribute("rtcp-fb", format_args!("{} transport-cc", OPUS.0));
    sdp.attribute("fmtp", format_args!("{} minptime=10;useinbandfec=1", OPUS.0));
}

/// A codec of pictures: its name, its payload type and that of its retransmissions, its parameters.
type Picture = (&'static str, Pt, Pt, &'static str);

const CODECS: [Picture; 2] = [
    ("VP8", VP8, VP8_RTX, ""),
    ("H264", H264, H264_RTX, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
];

fn picture(sdp: &mut Writer, ours: &Ours<'_>, direction: &str, mid: usize, codecs: &[Picture]) {
    let types = codecs.iter().map(|(_, pt, rtx, _)| format!(" {} {}", pt.0, rtx.0)).collect::<String>();
    sdp.line('m', format_args!("video 9 UDP/TLS/RTP/SAVPF{types}"));
    ours.write(sdp, "actpass");
    sdp.attribute("mid", mid);
    sdp.flag(direction);
    sdp.attribute("extmap", format_args!("1 {}", uri::MID));
    sdp.attribute("extmap", format_args!("2 {}", uri::TRANSPORT_SEQ));
    for (name, pt, rtx, parameters) in codecs {
        sdp.attribute("rtpmap", format_args!("{} {name}/90000", pt.0));
        if !parameters.is_empty() {
            sdp.attribute("fmtp", format_args!("{} {parameters}", pt.0));
        }
        for feedback in ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"] {
            sdp.attribute("rtcp-fb", format_args!("{} {feedback}", pt.0));
        }
        sdp.attribute("rtpmap", format_args!("{} rtx/90000", rtx.0));
        sdp.attribute("fmtp", format_args!("{} apt={}", rtx.0, pt.0));
    }
}

/// The server's end and the extensions it took, from its answer.
pub fn read_answer(answer: &str) -> Result<(Remote, Extensions), Error> {
    let session = parse(answer)?;
    Ok((remote(&session)?, Extensions::of(&session)))
}

/// What a payload type means to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// On the wire.
    pub pt: Pt,
    /// In Hz.
    pub clock_rate: u32,
    /// Whether it is sound.
    pub audio: bool,
    /// Whether it carries retransmissions (RFC 4588).
    pub rtx: bool,
    /// The codec, as far as we look into its packets.
    pub codec: Option<Codec>,
}

/// What a viewer learns from the server's description, offer or answer.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The server's end.
    pub remote: Remote,
    /// The extensions.
    pub extensions: Extensions,
    /// The payload types, all m-lines together: they are bundled, so a number means one thing.
    pub payloads: Vec<Payload>,
    /// SSRCs of retransmissions, each with the one it repairs.
    pub repairs: Vec<(Ssrc, Ssrc)>,
    /// SSRCs, each with the m-line that it fills.
    pub mids: Vec<(Ssrc, String)>,
}

/// Reads the server's description of what it sends.
pub fn read_offer(offer: &str) -> Result<Offered, Error> {
    let session = parse(offer)?;
    let mut payloads: Vec<Payload> = Vec::new();
    let (mut repairs, mut mids) = (Vec::new(), Vec::new());
    for media in &session.media {
        let mid = media.attribute("mid").unwrap_or_default();
        mids.extend(media.ssrcs().into_iter().map(|ssrc| (ssrc, mid.to_owned())));
        for map in media.rtp_maps() {
            if payloads.iter().any(|p| p.pt == map.pt) {
                continue;
            }
            let is = |name: &str| map.name.eq_ignore_ascii_case(name);
            payloads.push(Payload {
                pt: map.pt,
                clock_rate: map.clock_rate,
                audio: media.kind == "audio",
                rtx: is("rtx"),
                codec: match map.name {
                    _ if is("VP8") => Some(Codec::Vp8),
                    // Which profile does not matter to us.
                    _ if is("H264") => Some(Codec::H264 { profile: 0x42e0, packetization_mode: 1 }),
                    _ => None,
                },
            });
        }
        for group in media.ssrc_groups() {
            if let ("FID", [source, rtx]) = (group.semantics, group.ssrcs.as_slice()) {
                repairs.push((*rtx, *source));
            }
        }
    }
    Ok(Offered { remote: remote(&session)?, extensions: Extensions::of(&session), payloads, repairs, mids })
}

/// A viewer's answer: everything that is offered is taken.
pub fn answer(ours: &Ours<'_>, offer: &str) -> Result<String, Error> {
    const COPIED: [&str; 5] = ["mid", "extmap", "rtpmap", "fmtp", "rtcp-fb"];
    let session = parse(offer)?;
    let mut sdp = Writer::new(2, session.origin.version);
    let mids: Vec<_> = session.media.iter().filter_map(|m| m.attribute("mid")).collect();
    sdp.attribute("group", format_args!("BUNDLE {}", mids.join(" ")));
    for media in &session.media {
        sdp.line('m', format_args!("{} 9 {} {}", media.kind, media.protocol, media.formats.join(" ")));
        ours.write(&mut sdp, "active");
        sdp.flag("recvonly");
        for attribute in media.attributes.iter().filter(|a| COPIED.contains(&a.name)) {
            sdp.attribute(attribute.name, attribute.value);
        }
    }
    Ok(sdp.finish())
}

fn parse(text: &str) -> Result<Session<'_>, Error> {
    Session::parse(text).map_err(|e| Error::Sdp(e.to_string()))
}

fn remote(session: &Session<'_>) -> Result<Remote, Error> {
    let missing = |what: &str| Error::Sdp(format!("it has no {what}"));
    let live = |m: &&Media<'_>| !m.rejected();
    let media = session.media.iter().find(live).ok_or_else(|| missing("accepted media"))?;
    let ufrag = session.inherited(media, "ice-ufrag").ok_or_else(|| missing("ICE credentials"))?;
    let pwd = session.inherited(media, "ice-pwd").ok_or_else(|| missing("ICE credentials"))?;
    let named = session.fingerprints(media);
    let fingerprints: Vec<_> = named.iter().filter_map(|(name, hex)| Fingerprint::parse(name, hex)).collect();
    let mut candidates: Vec<_> =
        session.media.iter().flat_map(|m| m.candidates().collect::<Vec<_>>()).filter(|c| c.udp).collect();
    candidates.sort_by_key(|c| std::cmp::Reverse(c.priority));
    if fingerprints.is_empty() {
        return Err(missing("fingerprint"));
    }
    if candidates.is_empty() {
        return Err(missing("candidate"));
    }
    Ok(Remote {
        ice: IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() },
        candidates: candidates.into_iter().map(|c| c.address).collect(),
        fingerprints,
        begins: session.setup(media) == Some(Setup::Active),
    })
}
