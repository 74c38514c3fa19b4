//! Lines into sessions, media and attributes.

use super::attribute::{
    Candidate, Direction, Extmap, Feedback, Fmtp, Rid, RtpMap, Setup, Simulcast, SsrcGroup, SsrcText,
};
use super::{Error, MAX_FORMATS, MAX_LEN, MAX_MEDIA};
use crate::wire::id::{Pt, Ssrc};

/// A whole description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// Who made it.
    pub origin: Origin<'a>,
    /// `a=` lines before the first m-line, in order.
    pub attributes: Vec<Attribute<'a>>,
    /// The m-lines, in order.
    pub media: Vec<Media<'a>>,
}

/// `o=`: the session and its version (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// `sess-id`
    pub id: &'a str,
    /// `sess-version`
    pub version: &'a str,
}

/// An m-line and what belongs to it (RFC 8866 section 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, `application`, ...
    pub kind: &'a str,
    /// 0 is a rejected m-line, unless it is bundle-only (RFC 9143 section 6).
    pub port: u16,
    /// `UDP/TLS/RTP/SAVPF` and the like.
    pub protocol: &'a str,
    /// What stands behind: payload types, for RTP.
    pub formats: Vec<&'a str>,
    /// Its `a=` lines, in order.
    pub attributes: Vec<Attribute<'a>>,
}

/// `a=name` or `a=name:value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// In front of the colon.
    pub name: &'a str,
    /// Behind the colon; empty if there is none.
    pub value: &'a str,
}

impl<'a> Session<'a> {
    /// Reads a description. Lines may end with LF alone; lines of unknown type are left out.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > MAX_LEN {
            return Err(Error::TooLong);
        }
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
        match lines.next() {
            Some((_, "v=0")) => {}
            _ => return Err(Error::Line(1)),
        }
        let mut session =
            Self { origin: Origin { id: "0", version: "0" }, attributes: vec![], media: vec![] };
        for (number, line) in lines {
            if line.is_empty() {
                continue;
            }
            let malformed = Error::Line(number);
            let (kind, value) = line.split_once('=').ok_or(malformed)?;
            // What a line holds may be written into another description, so it must not hold line ends.
            if kind.len() != 1 || value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
                return Err(malformed);
            }
            match kind {
                "o" => session.origin = Origin::parse(value).ok_or(malformed)?,
                "m" if session.media.len() >= MAX_MEDIA => return Err(Error::TooManyMedia),
                "m" => session.media.push(Media::parse(value).ok_or(malformed)?),
                "a" => {
                    let attribute = Attribute::parse(value).ok_or(malformed)?;
                    match session.media.last_mut() {
                        Some(media) => media.attributes.push(attribute),
                        None => session.attributes.push(attribute),
                    }
                }
                _ => {}
            }
        }
        Ok(session)
    }

    /// The value of the first session-level attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        find(&self.attributes, name)
    }

    /// The mids of the first `a=group:BUNDLE` (RFC 9143).
    pub fn bundle(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let groups = all(&self.attributes, "group");
        let bundle =
            groups.filter_map(|v| v.strip_prefix("BUNDLE")).find(|v| v.is_empty() || v.starts_with(' '));
        bundle.unwrap_or_default().split_ascii_whitespace()
    }

    /// The m-line with that mid.
    pub fn media(&self, mid: &str) -> Option<&Media<'a>> {
        self.media.iter().find(|m| m.attribute("mid") == Some(mid))
    }

    /// An attribute that may stand at the m-line or, for all of them, above.
    pub fn inherited(&self, media: &Media<'a>, name: &str) -> Option<&'a str> {
        media.attribute(name).or_else(|| self.attribute(name))
    }

    /// `a=fingerprint` lines of an m-line, or else of the session (RFC 8122 section 5): hash function and digest.
    pub fn fingerprints(&self, media: &Media<'a>) -> Vec<(&'a str, &'a str)> {
        let pairs =
            |attributes| all(attributes, "fingerprint").filter_map(|v: &str| v.split_once(' ')).collect();
        let own: Vec<_> = pairs(&media.attributes);
        if own.is_empty() { pairs(&self.attributes) } else { own }
    }

    /// `a=setup` (RFC 8842), of the m-line or the session.
    pub fn setup(&self, media: &Media<'a>) -> Option<Setup> {
        Setup::parse(self.inherited(media, "setup")?)
    }

    /// Which way the media goes; both if nothing is said (RFC 8866 section 6.7).
    pub fn direction(&self, media: &Media<'a>) -> Direction {
        let of = |attributes: &[Attribute<'a>]| attributes.iter().find_map(|a| Direction::parse(a.name));
        of(&media.attributes).or_else(|| of(&self.attributes)).unwrap_or(Direction::SendRecv)
    }
}

impl<'a> Origin<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace().skip(1);
        let origin = Self { id: words.next()?, version: words.next()? };
        let number = |text: &str| text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
        (number(origin.id) && number(origin.version)).then_some(origin)
    }
}

impl<'a> Attribute<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        (!name.is_empty()).then_some(Self { name, value: value.trim_start_matches(' ') })
    }
}

impl<'a> Media<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next()?;
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let protocol = words.next()?;
        let formats: Vec<_> = words.by_ref().take(MAX_FORMATS).collect();
        if formats.is_empty() || words.next().is_some() {
            return None;
        }
        Some(Self { kind, port, protocol, formats, attributes: vec![] })
    }

    /// The value of the first attribute of that name; empty for one without value.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        find(&self.attributes, name)
    }

    /// Whether there is an attribute of that name.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The values of all attributes of that name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        all(&self.attributes, name)
    }

    /// Whether the m-line is refused (RFC 3264 section 6), which a bundle-only one is not.
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.has("bundle-only")
    }

    /// Whether it is RTP with feedback over DTLS, the only kind that we carry.
    pub fn is_secure_rtp(&self) -> bool {
        self.protocol.ends_with("TLS/RTP/SAVPF")
    }

    /// The payload types in the order of preference, with their `a=rtpmap`. Those without one (static ones) are left out.
    pub fn rtp_maps(&self) -> impl Iterator<Item = RtpMap<'a>> + use<'a, '_> {
        let maps: Vec<RtpMap<'a>> = self.all("rtpmap").filter_map(RtpMap::parse).collect();
        let formats = self.formats.iter().filter_map(|f| f.parse().ok());
        formats.filter_map(move |pt: u8| maps.iter().find(|m| m.pt == Pt(pt)).copied())
    }

    /// The parameters of a payload type; empty if there are none.
    pub fn fmtp(&self, pt: Pt) -> Fmtp<'a> {
        let lines = self.all("fmtp").filter_map(Fmtp::parse);
        lines.filter(|(of, _)| *of == pt).map(|(_, fmtp)| fmtp).next().unwrap_or_default()
    }

    /// What feedback a payload type may have, `*` included.
    pub fn feedback(&self, pt: Pt) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let lines = self.all("rtcp-fb").filter_map(Feedback::parse);
        lines.filter(move |f| f.pt.is_none_or(|of| of == pt)).map(|f| f.what)
    }

    /// The header extensions.
    pub fn extmaps(&self) -> impl Iterator<Item = Extmap<'a>> + use<'a, '_> {
        self.all("extmap").filter_map(Extmap::parse)
    }

    /// The SSRCs that are named, each once.
    pub fn ssrcs(&self) -> Vec<Ssrc> {
        let mut ssrcs: Vec<Ssrc> = vec![];
        for SsrcText { ssrc, .. } in self.all("ssrc").filter_map(SsrcText::parse) {
            // One source has several lines, next to each other.
            if ssrcs.last() != Some(&ssrc) && ssrcs.len() < MAX_FORMATS && !ssrcs.contains(&ssrc) {
                ssrcs.push(ssrc);
            }
        }
        ssrcs
    }

    /// `a=ssrc-group` lines.
    pub fn ssrc_groups(&self) -> impl Iterator<Item = SsrcGroup<'a>> + use<'a, '_> {
        self.all("ssrc-group").filter_map(SsrcGroup::parse)
    }

    /// `a=rid` lines.
    pub fn rids(&self) -> impl Iterator<Item = Rid<'a>> + use<'a, '_> {
        self.all("rid").filter_map(Rid::parse)
    }

    /// `a=simulcast`.
    pub fn simulcast(&self) -> Option<Simulcast<'a>> {
        self.attribute("simulcast").map(Simulcast::parse)
    }

    /// `a=candidate` lines.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate> + use<'a, '_> {
        self.all("candidate").filter_map(Candidate::parse)
    }
}

fn find<'a>(attributes: &[Attribute<'a>], name: &str) -> Option<&'a str> {
    attributes.iter().find(|a| a.name == name).map(|a| a.value)
}

fn all<'a, 's>(
    attributes: &'s [Attribute<'a>],
    name: &'s str,
) -> impl Iterator<Item = &'a str> + use<'a, 's> {
    attributes.iter().filter(move |a| a.name == name).map(|a| a.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=fingerprint:sha-256 AA\r\na=setup:actpass\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 97 96\r\na=mid:1\r\na=bundle-only\r\na=fingerprint:sha-512 BB\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:* nack\r\n\
        a=rtcp-fb:96 nack pli\r\na=ssrc:7 cname:x\r\na=ssrc:7 msid:a b\r\na=ssrc:8 cname:x\r\na=ssrc-group:FID 7 8\r\n";

    #[test]
    fn the_model_follows_the_text() {
        let session = Session::parse(SMALL).expect("well-formed");
        assert_eq!(session.origin, Origin { id: "42", version: "2" });
        assert_eq!(session.bundle().collect::<Vec<_>>(), ["0", "1"]);
        let [audio, video] = &session.media[..] else { panic!("two m-lines") };
        assert_eq!(session.media("1"), Some(video));
        assert_eq!(
            (session.direction(audio), session.direction(video)),
            (Direction::SendOnly, Direction::SendRecv)
        );
        assert_eq!(session.fingerprints(audio), [("sha-256", "AA")]);
        assert_eq!(session.fingerprints(video), [("sha-512", "BB")]);
        assert_eq!(session.setup(video), Some(Setup::ActPass));
        assert!(!video.rejected() && video.is_secure_rtp());
        let names: Vec<_> = video.rtp_maps().map(|m| (m.pt.0, m.name, m.clock_rate)).collect();
        assert_eq!(names, [(97, "rtx", 90_000), (96, "VP8", 90_000)], "in the order of the m-line");
        assert_eq!(video.fmtp(Pt(97)).get("apt"), Some("96"));
        assert_eq!(video.feedback(Pt(96)).collect::<Vec<_>>(), ["nack", "nack pli"]);
        assert_eq!(video.ssrcs(), [Ssrc(7), Ssrc(8)]);
        assert_eq!(
            video.ssrc_groups().next().map(|g| (g.semantics, g.ssrcs)),
            Some(("FID", vec![Ssrc(7), Ssrc(8)]))
        );
        assert_eq!(audio.rtp_maps().count(), 1, "a static payload type has no line");
    }

    #[test]
    fn lines_may_end_with_lf_alone() {
        let unix = SMALL.replace('\r', "");
        assert_eq!(Session::parse(&unix).map(|s| s.media.len()), Ok(2));
    }

    #[test]
    fn what_is_no_description_is_refused_with_its_line() {
        assert_eq!(Session::parse(""), Err(Error::Line(1)));
        assert_eq!(Session::parse("{\"sdp\":1}"), Err(Error::Line(1)));
        assert_eq!(Session::parse("v=0\r\nhello"), Err(Error::Line(2)));
        assert_eq!(Session::parse("v=0\no=- 1 1 IN IP4 0\nm=audio x RTP 0"), Err(Error::Line(3)));
        assert_eq!(Session::parse("v=0\no=- 1 1 IN IP4 0\nm=audio 9 RTP"), Err(Error::Line(3)));
        assert_eq!(Session::parse("v=0\na=mid:a\rb"), Err(Error::Line(2)), "a line end inside a line");
        let many = format!("v=0\n{}", "m=audio 9 RTP 0\n".repeat(MAX_MEDIA + 1));
        assert_eq!(Session::parse(&many), Err(Error::TooManyMedia));
        assert_eq!(Session::parse(&"v=0\n".repeat(MAX_LEN)), Err(Error::TooLong));
    }
}
