//! Headers of packets as a capture that tcpdump and Wireshark read: the classic format of libpcap, its packets cut short after
//! their headers (draft-ietf-opsawg-pcap).
//!
//! What was said of each packet is put before it again: an IP and a UDP header, which for TCP (RFC 4571) is not what was sent.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::control::rooms::Recalled;
use crate::router::recorder::{Front, Way};
use crate::units::Instant;

/// Microseconds, in our order of bytes.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const LONGEST: u32 = 65_535;
/// Packets begin with IP, of either version.
const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const HOPS: u8 = 64;

/// What was recorded, in the order of its time, which `unix` says in microseconds since 1970.
pub(super) fn write(all: &[Recalled], unix: impl Fn(Instant) -> u64) -> Vec<u8> {
    let mut packets: Vec<(&Front, SocketAddr, SocketAddr)> = Vec::new();
    for Recalled { recording, ours, .. } in all {
        packets.extend(recording.packets.iter().filter_map(|front| {
            let path = usize::from(front.path);
            Some((front, *ours.get(path)?, recording.paths.get(path)?.remote))
        }));
    }
    packets.sort_by_key(|(front, ..)| front.at);
    let mut out = Vec::with_capacity(24 + packets.len() * 128);
    out.extend(MAGIC.to_le_bytes());
    VERSION.iter().for_each(|part| out.extend(part.to_le_bytes()));
    [0, 0, LONGEST, LINKTYPE_RAW].iter().for_each(|field| out.extend(field.to_le_bytes()));
    for (front, ours, theirs) in packets {
        let (from, to) = if front.way == Way::In { (theirs, ours) } else { (ours, theirs) };
        let header = headers(from, to, front.len);
        let us = unix(front.at);
        let kept = header.len() + front.bytes().len();
        let whole = header.len() + usize::from(front.len);
        let fields = [us / 1_000_000, us % 1_000_000, kept as u64, whole as u64];
        fields.iter().for_each(|field| out.extend((*field as u32).to_le_bytes()));
        out.extend(header);
        out.extend(front.bytes());
    }
    out
}

/// IP and UDP before `len` bytes. Addresses of two versions, as a socket for both has them, are written as IPv6.
fn headers(from: SocketAddr, to: SocketAddr, len: u16) -> Vec<u8> {
    let udp = len.saturating_add(UDP_HEADER as u16);
    let mut out = Vec::with_capacity(48);
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [total_high, total_low] = udp.saturating_add(20).to_be_bytes();
            // Not to be fragmented (RFC 791 section 3.1).
            out.extend([0x45, 0, total_high, total_low, 0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            out.extend(from.octets());
            out.extend(to.octets());
            let sum = checksum(&out).to_be_bytes();
            out.iter_mut().skip(10).zip(sum).for_each(|(to, from)| *to = from);
        }
        (from, to) => {
            let [high, low] = udp.to_be_bytes();
            out.extend([0x60, 0, 0, 0, high, low, UDP, HOPS]);
            out.extend(v6(from).octets());
            out.extend(v6(to).octets());
        }
    }
    // Without the payload no checksum can be had: none is said (RFC 768).
    [from.port(), to.port(), udp, 0].iter().for_each(|field| out.extend(field.to_be_bytes()));
    out
}

const fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_ipv4_adds_up() {
        let header = headers(
            "10.0.0.1:5000".parse().expect("an address"),
            "10.0.0.2:443".parse().expect("an address"),
            100,
        );
        assert_eq!(header.len(), 28);
        assert_eq!(checksum(&header[..20]), 0, "with its checksum in it the sum is none");
        assert_eq!(header[2..4], 128u16.to_be_bytes());
        assert_eq!(header[20..], [0x13, 0x88, 1, 0xbb, 0, 108, 0, 0]);
    }

    #[test]
    fn addresses_of_two_versions_are_told_as_one() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5000".parse().expect("an address");
        let v4: SocketAddr = "10.0.0.2:443".parse().expect("an address");
        let v6: SocketAddr = "[2001:db8::1]:443".parse().expect("an address");
        assert_eq!(headers(mapped, v4, 9).len(), 28);
        let header = headers(v4, v6, 9);
        assert_eq!((header.len(), header[0] >> 4), (48, 6));
        assert_eq!(header[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2]);
    }
}
