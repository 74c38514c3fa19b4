//! Values of attributes.

use std::net::{IpAddr, SocketAddr};

use crate::wire::id::{Pt, Ssrc};

/// Which way media goes, seen from who wrote the description (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From the writer.
    SendOnly,
    /// To the writer.
    RecvOnly,
    /// Not at all.
    Inactive,
}

impl Direction {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|d| d.name() == name)
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether the writer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Who begins the DTLS handshake (RFC 8842 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The writer.
    Active,
    /// The other side.
    Passive,
    /// The answer decides.
    ActPass,
}

impl Setup {
    pub(super) fn parse(value: &str) -> Option<Self> {
        match value {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::ActPass),
            _ => None,
        }
    }
}

/// `a=rtpmap` (RFC 8866 section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// The payload type.
    pub pt: Pt,
    /// The encoding's name; compare it without regard to case.
    pub name: &'a str,
    /// In Hz.
    pub clock_rate: u32,
    /// Number of channels, 1 if not given.
    pub channels: u8,
}

impl<'a> RtpMap<'a> {
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let (pt, encoding) = value.split_once(' ')?;
        let mut parts = encoding.trim().split('/');
        let name = parts.next().filter(|n| !n.is_empty())?;
        let clock_rate = parts.next()?.parse().ok().filter(|&rate| rate > 0)?;
        let channels = parts.next().map_or(Some(1), |n| n.parse().ok())?;
        Some(Self { pt: payload_type(pt)?, name, clock_rate, channels })
    }
}

/// `a=fmtp`: parameters of one payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fmtp<'a> {
    /// As written, without the payload type.
    pub text: &'a str,
}

impl<'a> Fmtp<'a> {
    pub(super) fn parse(value: &'a str) -> Option<(Pt, Self)> {
        let (pt, text) = value.split_once(' ')?;
        Some((payload_type(pt)?, Self { text: text.trim() }))
    }

    /// The value of a parameter; names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let pairs = self.text.split(';').filter_map(|p| p.trim().split_once('='));
        pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).next()
    }
}

/// `a=rtcp-fb` (RFC 4585 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback<'a> {
    /// The payload type, `None` for all of the m-line (`*`).
    pub pt: Option<Pt>,
    /// `nack`, `nack pli`, ...
    pub what: &'a str,
}

impl<'a> Feedback<'a> {
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let (pt, what) = value.split_once(' ')?;
        let pt = if pt == "*" { None } else { Some(payload_type(pt)?) };
        Some(Self { pt, what: what.trim() })
    }
}

/// `a=extmap` (RFC 8285 section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extmap<'a> {
    /// 1 to 255. Ids to be assigned later (4096 and up) are left out.
    pub id: u8,
    /// Which way, if said.
    pub direction: Option<Direction>,
    /// What it is.
    pub uri: &'a str,
}

impl<'a> Extmap<'a> {
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let first = words.next()?;
        let (id, direction) = match first.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::parse(direction)?)),
            None => (first, None),
        };
        let id = id.parse().ok().filter(|&id| id > 0)?;
        Some(Self { id, direction, uri: words.next()? })
    }
}

/// One `a=ssrc` line (RFC 5576 section 4.1); its text is of no use to us.
#[derive(Clone, Copy, Debug)]
pub(super) struct SsrcText {
    pub(super) ssrc: Ssrc,
}

impl SsrcText {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let ssrc = value.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { ssrc: Ssrc(ssrc) })
    }
}

/// `a=ssrc-group` (RFC 5576 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup<'a> {
    /// `FID` for a stream and its retransmissions, `SIM`, ...
    pub semantics: &'a str,
    /// Its members.
    pub ssrcs: Vec<Ssrc>,
}

impl<'a> SsrcGroup<'a> {
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next()?;
        let ssrcs = words.map(|w| w.parse().ok().map(Ssrc)).collect::<Option<Vec<_>>>()?;
        Some(Self { semantics, ssrcs })
    }
}

/// `a=rid` (RFC 8851).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rid<'a> {
    /// Its name.
    pub id: &'a str,
    /// Which way.
    pub direction: RidDirection,
    /// `pt=...;max-width=...` and the like, as written; empty if there are none.
    pub restrictions: &'a str,
}

/// Which way a rid goes, seen from the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RidDirection {
    /// From the writer.
    Send,
    /// To the writer.
    Recv,
}

impl<'a> Rid<'a> {
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.splitn(3, ' ');
        let id = words.next().filter(|id| is_rid(id))?;
        let direction = match words.next()? {
            "send" => RidDirection::Send,
            "recv" => RidDirection::Recv,
            _ => return None,
        };
        Some(Self { id, direction, restrictions: words.next().unwrap_or_default().trim() })
    }
}

/// `a=simulcast` (RFC 8853 section 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulcast<'a> {
    /// What the writer sends: streams in order, each by its first alternative.
    pub send: Vec<SimulcastStream<'a>>,
    /// What the writer receives.
    pub recv: Vec<SimulcastStream<'a>>,
}

/// One stream of `a=simulcast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulcastStream<'a> {
    /// Its rid.
    pub rid: &'a str,
    /// `~`: not sent for now.
    pub paused: bool,
}

impl<'a> Simulcast<'a> {
    pub(super) fn parse(value: &'a str) -> Self {
        let mut simulcast = Self::default();
        let mut words = value.split_ascii_whitespace();
        while let (Some(direction), Some(list)) = (words.next(), words.next()) {
            let streams = list.split(';').filter_map(|alternatives| {
                let first = alternatives.split(',').next()?;
                let rid = first.strip_prefix('~').unwrap_or(first);
                is_rid(rid).then_some(SimulcastStream { rid, paused: first.len() > rid.len() })
            });
            match direction {
                "send" => simulcast.send = streams.collect(),
                "recv" => simulcast.recv = streams.collect(),
                _ => {}
            }
        }
        simulcast
    }
}

/// `a=candidate` (RFC 8839 section 5.1), as far as a reader of ours needs it: component 1, an address, a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub address: SocketAddr,
    /// Over UDP, else TCP.
    pub udp: bool,
    /// Higher is better.
    pub priority: u32,
}

impl Candidate {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (_foundation, component) = (words.next()?, words.next()?);
        let transport = words.next()?;
        let priority = words.next()?.parse().ok()?;
        let ip: IpAddr = words.next()?.parse().ok()?;
        let port = words.next()?.parse().ok()?;
        let udp = transport.eq_ignore_ascii_case("udp");
        (component == "1" && words.next()? == "typ").then_some(Self {
            address: SocketAddr::new(ip, port),
            udp,
            priority,
        })
    }
}

fn payload_type(text: &str) -> Option<Pt> {
    text.parse().ok().filter(|&pt| pt < 128).map(Pt)
}

/// RFC 8851 section 10: letters, digits, `-` and `_`.
fn is_rid(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_name() {
        let (pt, fmtp) =
            Fmtp::parse("102 level-asymmetry-allowed=1; Packetization-Mode=1;profile-level-id=42001f")
                .expect("well-formed");
        assert_eq!(pt, Pt(102));
        assert_eq!(fmtp.get("packetization-mode"), Some("1"));
        assert_eq!(fmtp.get("profile-level-id"), Some("42001f"));
        assert_eq!(fmtp.get("mode"), None);
    }

    #[test]
    fn extmaps_may_have_a_direction() {
        let plain = Extmap::parse("3 urn:x").expect("well-formed");
        assert_eq!((plain.id, plain.direction, plain.uri), (3, None, "urn:x"));
        assert_eq!(
            Extmap::parse("6/recvonly urn:y").expect("well-formed").direction,
            Some(Direction::RecvOnly)
        );
        assert!(
            Extmap::parse("0 urn:x").is_none()
                && Extmap::parse("4096 urn:x").is_none()
                && Extmap::parse("3").is_none()
        );
    }

    #[test]
    fn simulcast_streams_keep_their_order() {
        let simulcast = Simulcast::parse("send q;h,h2;~f recv a");
        let send: Vec<_> = simulcast.send.iter().map(|s| (s.rid, s.paused)).collect();
        assert_eq!(send, [("q", false), ("h", false), ("f", true)]);
        assert_eq!(simulcast.recv.len(), 1);
        assert_eq!(Simulcast::parse("send"), Simulcast::default());
    }

    #[test]
    fn rids_have_restrictions_and_clean_names() {
        let rid = Rid::parse("f send pt=96;max-width=1280").expect("well-formed");
        assert_eq!(
            (rid.id, rid.direction, rid.restrictions),
            ("f", RidDirection::Send, "pt=96;max-width=1280")
        );
        assert!(Rid::parse("a=b send").is_none() && Rid::parse("f sideways").is_none());
    }

    #[test]
    fn candidates_without_an_ip_address_are_left_out() {
        let c = Candidate::parse("1 1 UDP 2130706431 ::1 4433 typ host").expect("well-formed");
        assert_eq!((c.address, c.udp), ("[::1]:4433".parse().expect("well-formed"), true));
        assert!(Candidate::parse("1 1 udp 1 2b6e.local 4433 typ host").is_none());
        assert!(Candidate::parse("1 2 udp 1 127.0.0.1 4433 typ host").is_none(), "no RTCP component");
    }

    #[test]
    fn rtpmaps_have_bounds() {
        assert_eq!(RtpMap::parse("111 opus/48000/2").map(|m| (m.pt, m.channels)), Some((Pt(111), 2)));
        assert!(
            RtpMap::parse("128 x/1").is_none()
                && RtpMap::parse("96 x/0").is_none()
                && RtpMap::parse("96 /1").is_none()
        );
    }
}
