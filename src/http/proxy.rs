//! Who asks, where a proxy asks for others: what it says of them counts if it is one of ours, and nothing else does.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

/// What most proxies write to.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
            None => most,
        };
        Some(Self { first, bits })
    }

    fn has(&self, address: IpAddr) -> bool {
        let left = |bits: u8, all: u32| all - u32::from(bits);
        match (self.first, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let differ = ours.to_bits() ^ other.to_bits();
                differ.checked_shr(left(self.bits, 32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let differ = ours.to_bits() ^ other.to_bits();
                differ.checked_shr(left(self.bits, 128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The proxies before us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// Whether they write `Forwarded` (RFC 7239), and not `X-Forwarded-For`. The other one is whatever clients made of it.
    pub forwarded: bool,
}

impl Proxies {
    /// Whose request it is that came from `peer`: the last address, going back from us, that is no proxy's.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.networks.is_empty() {
            return client;
        }
        let name = if self.forwarded { FORWARDED } else { X_FORWARDED_FOR };
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("")).collect();
        let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        while self.networks.iter().any(|network| network.has(client)) {
            let Some(hop) = hops.next() else { break };
            let hop = if self.forwarded { forwarded_for(hop) } else { Some(hop) };
            // Who hides, or cannot be understood, is who the proxy is.
            let Some(before) = hop.and_then(address) else { break };
            client = before;
        }
        client
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value.trim_matches('"'))
    })
}

/// An address, perhaps in brackets and with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        // One colon stands before a port; an IPv6 address has more.
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':')).map_or(text, |(host, _)| host),
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(proxies: &Proxies, peer: &str, name: &'static str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).expect("a value"));
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    fn proxies(networks: &[&str], forwarded: bool) -> Proxies {
        let networks = networks.iter().map(|text| Network::parse(text).expect("a network")).collect();
        Proxies { networks, forwarded }
    }

    #[test]
    fn what_a_stranger_says_of_others_is_not_believed() {
        let ours = proxies(&["10.0.0.0/8"], false);
        assert_eq!(asked(&ours, "192.0.2.1", "x-forwarded-for", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(asked(&Proxies::default(), "127.0.0.1", "x-forwarded-for", &["203.0.113.7"]), "127.0.0.1");
    }

    #[test]
    fn behind_proxies_it_is_the_last_that_is_none_of_them() {
        let ours = proxies(&["10.0.0.0/8", "2001:db8::/32"], false);
        // The first is what the client itself claimed.
        let said = ["198.51.100.9, 203.0.113.7", "2001:db8::5, 10.1.2.3:4711"];
        assert_eq!(asked(&ours, "::ffff:10.0.0.1", "x-forwarded-for", &said), "203.0.113.7");
        assert_eq!(asked(&ours, "10.0.0.1", "x-forwarded-for", &["[2001:db9::1]:80"]), "2001:db9::1");
        assert_eq!(asked(&ours, "10.0.0.1", "x-forwarded-for", &["10.0.0.2"]), "10.0.0.2");
        assert_eq!(asked(&ours, "10.0.0.1", "x-forwarded-for", &["203.0.113.7, unknown"]), "10.0.0.1");
        assert_eq!(asked(&ours, "10.0.0.1", "x-forwarded-for", &[]), "10.0.0.1");
        // What the proxies do not write clients do.
        assert_eq!(asked(&ours, "10.0.0.1", "forwarded", &["for=203.0.113.7"]), "10.0.0.1");
    }

    #[test]
    fn the_standards_own_field_is_read_where_it_is_what_they_write() {
        let ours = proxies(&["10.0.0.1"], true);
        let said = ["for=198.51.100.9", r#"proto=https;For="[2001:db8:cafe::17]:4711";by=10.0.0.1"#];
        assert_eq!(asked(&ours, "10.0.0.1", "forwarded", &said), "2001:db8:cafe::17");
        assert_eq!(asked(&ours, "10.0.0.1", "forwarded", &["for=_hidden"]), "10.0.0.1");
        assert_eq!(asked(&ours, "10.0.0.2", "forwarded", &said), "10.0.0.2");
    }

    #[test]
    fn networks_are_read_and_end_where_they_should() {
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0/8", "example.org", "", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
        let has = |network: &str, address: &str| {
            Network::parse(network).is_some_and(|network| network.has(address.parse().expect("an address")))
        };
        assert!(has("0.0.0.0/0", "203.0.113.7") && !has("0.0.0.0/0", "::1"));
        assert!(has("192.168.4.0/22", "192.168.7.255") && !has("192.168.4.0/22", "192.168.8.0"));
        assert!(has("fe80::/10", "febf::1") && !has("fe80::/10", "fec0::1"));
        assert!(has("::1", "::1") && !has("::1", "::2"));
    }
}
