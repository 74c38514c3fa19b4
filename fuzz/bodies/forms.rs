//! What comes in requests of HTTP: forms of both kinds, the headers of proxies, origins, addresses. The first byte says which.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use millrace::control::directory::{FileId, mail_address};
use millrace::fuzzing;
use millrace::http::{Network, Proxies};
use millrace::origin::{Host, Origin};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// One input.
pub fn run(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which % 5 {
        0 => fuzzing::form(rest),
        1 => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let (content_type, form) = rest.split_at(end);
            if let Ok(content_type) = str::from_utf8(content_type) {
                fuzzing::multipart(content_type, form);
            }
        }
        2 => proxied(which & 0x80 != 0, rest),
        3 => {
            let Ok(text) = str::from_utf8(rest) else { return };
            if let Some(origin) = Origin::parse(text) {
                let _ = origin.host().is_loopback();
            }
            if let Some((host, _)) = Host::of_authority(text) {
                let _ = host.is_loopback();
            }
            let _ = (Network::parse(text), FileId::parse(text));
        }
        _ => {
            let Ok(text) = str::from_utf8(rest) else { return };
            // What goes into a letter's head begins no line of its own.
            let address = mail_address(text);
            assert!(
                address.is_none_or(|a| a.contains('@') && !a.contains(|c: char| c.is_control() || c == ' '))
            );
        }
    }
}

/// Whoever is not believed says nothing; who is believed names an address that is no proxy's.
fn proxied(forwarded: bool, lines: &[u8]) {
    let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let network = Network::parse("10.0.0.0/8").expect("a network");
    let (trusting, alone) =
        (Proxies { networks: vec![network], forwarded }, Proxies { networks: Vec::new(), forwarded });
    assert_eq!(alone.client(PROXY, &headers), PROXY);
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    assert_eq!(trusting.client(stranger, &headers), stranger);
    let _ = trusting.client(PROXY, &headers);
}
