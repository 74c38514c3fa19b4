//! Origins of web pages (RFC 6454), as browsers send them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A scheme, a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    secure: bool,
    host: Host<'a>,
    port: Option<u16>,
}

/// The part of an address that names a machine.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// By name, which is the same in capitals and small letters.
    Name(&'a str),
    /// By number.
    Address(IpAddr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::Address(one), Self::Address(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl<'a> Host<'a> {
    /// The host of `host:port` or of a host alone, and the port.
    pub fn of_authority(authority: &'a str) -> Option<(Self, Option<u16>)> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                (Self::Address(address.parse::<Ipv6Addr>().ok()?.into()), rest)
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let (name, rest) = authority.split_at_checked(end)?;
                (Self::of_name(name)?, rest)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if port.is_empty() => None,
            _ => return None,
        };
        Some((host, port))
    }

    fn of_name(name: &'a str) -> Option<Self> {
        if let Ok(address) = name.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        (!name.is_empty() && name.bytes().all(plain)).then_some(Self::Name(name))
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => {
                let name = name.to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl<'a> Origin<'a> {
    /// An origin: `http` or `https`, host and port, and no more but a slash at the end.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        let (host, port) = Host::of_authority(rest.strip_suffix('/').unwrap_or(rest))?;
        let usual = if secure { 443 } else { 80 };
        Some(Self { secure, host, port: port.filter(|port| *port != usual) })
    }

    /// Its host.
    pub const fn host(&self) -> Host<'a> {
        self.host
    }
}

/// As browsers write it: small letters, the default port left out.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "https://" } else { "http://" })?;
        match self.host {
            Host::Name(name) => f.write_str(&name.to_ascii_lowercase())?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, written) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.org:443/", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("https://example.org:80", "https://example.org:80"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Some(written));
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        for text in [
            "",
            "null",
            "example.org",
            "ftp://example.org",
            "https://",
            "https://example.org/room",
            "https://example.org?x",
            "https://user@example.org",
            "https://example.org:",
            "https://example.org:port",
            "https://example.org:99999",
            "https://[::1",
            "https://[::1]x",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
