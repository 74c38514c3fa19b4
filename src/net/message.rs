//! What travels beside a datagram: the socket addresses and control messages of `sendmsg(2)` and `recvmsg(2)`,
//! laid out by hand (cmsg(3), ip(7), ipv6(7), udp(7)) so that reading and writing them needs no `unsafe`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::batch::Path;

/// Bytes of the larger of `sockaddr_in` and `sockaddr_in6`.
pub(super) const NAME_LEN: usize = 28;
/// Room for control messages: packet info (40), segment size (24) and whatever else a socket may add.
pub(super) const CONTROL_LEN: usize = 96;

/// A `sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name(pub(super) [u8; NAME_LEN]);

impl Name {
    pub(super) const EMPTY: Self = Self([0; NAME_LEN]);

    /// Writes `address` and returns its length.
    pub(super) fn write(&mut self, address: SocketAddr) -> libc::socklen_t {
        let Self(bytes) = self;
        *bytes = [0; NAME_LEN];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                16
            }
            SocketAddr::V6(v6) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                28
            }
        }
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
pub(super) fn read_name(name: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = name.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            let (_flow, rest) = rest.split_first_chunk::<4>()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, 0, scope).into())
        }
        _ => None,
    }
}

const WORD: usize = size_of::<usize>();
const CMSG_HEADER: usize = align(size_of::<libc::cmsghdr>());

const fn align(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

/// The control messages of one datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control(pub(super) [u8; CONTROL_LEN]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_LEN]);

    /// Writes the source address (if given) and the segment size (if given); returns the bytes written.
    pub(super) fn write(&mut self, source: Option<IpAddr>, segment: Option<u16>) -> usize {
        let mut used = 0;
        match source {
            // struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst; struct in_addr ipi_addr; }
            Some(IpAddr::V4(ip)) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                self.push(&mut used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            // struct in6_pktinfo { struct in6_addr ipi6_addr; unsigned int ipi6_ifindex; }
            Some(IpAddr::V6(ip)) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                self.push(&mut used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        if let Some(segment) = segment {
            self.push(&mut used, libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        used
    }

    fn push(&mut self, used: &mut usize, level: i32, kind: i32, data: &[u8]) {
        let Some(room) = self.0.get_mut(*used..*used + align(CMSG_HEADER + data.len())) else { return };
        room.fill(0);
        room[..WORD].copy_from_slice(&(CMSG_HEADER + data.len()).to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        room[CMSG_HEADER..CMSG_HEADER + data.len()].copy_from_slice(data);
        *used += room.len();
    }
}

/// What the kernel tells of an arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The address that the peer sent to.
    pub(super) local: Option<IpAddr>,
    /// The size of the datagrams that the kernel joined (UDP_GRO); the last may be shorter.
    pub(super) segment: Option<usize>,
}

/// Reads the control messages of an arrival.
pub(super) fn read_control(mut control: &[u8]) -> Arrival {
    let mut arrival = Arrival::default();
    while let Some((level, kind, data, rest)) = next_message(control) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let address = data.get(8..12).and_then(|a| <[u8; 4]>::try_from(a).ok());
                arrival.local = address.map(IpAddr::from);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address = data.first_chunk::<16>();
                arrival.local = address.map(|a| IpAddr::from(*a));
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = data.first_chunk::<4>().map(|s| i32::from_ne_bytes(*s));
                arrival.segment = size.and_then(|s| usize::try_from(s).ok()).filter(|s| *s > 0);
            }
            _ => {}
        }
        control = rest;
    }
    arrival
}

fn next_message(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let header = control.get(..CMSG_HEADER)?;
    let len = usize::from_ne_bytes(*header.first_chunk()?);
    let level = i32::from_ne_bytes(*header.get(WORD..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*header.get(WORD + 4..)?.first_chunk()?);
    let data = control.get(CMSG_HEADER..len)?;
    let rest = control.get(align(len)..).unwrap_or_default();
    Some((level, kind, data, rest))
}

/// Hands `payload` over as the datagrams it was joined from, and returns their number.
pub(super) fn split(
    path: Path,
    payload: &mut [u8],
    segment: Option<usize>,
    rx: &mut impl FnMut(Path, &mut [u8]),
) -> u64 {
    let size = segment.unwrap_or(payload.len()).max(1);
    let mut count = 0;
    for datagram in payload.chunks_mut(size) {
        rx(path, datagram);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for text in ["127.0.0.2:443", "[::1]:5000", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut name = Name::EMPTY;
            let len = name.write(address) as usize;
            assert_eq!(read_name(&name.0[..len]), Some(address));
        }
        assert_eq!(read_name(&[0; 28]), None);
        assert_eq!(read_name(&[2, 0, 1]), None);
    }

    #[test]
    fn control_messages_follow_each_other() {
        // in_pktinfo is read from its third field and written to its second, hence IPv6 here.
        let source = IpAddr::from(Ipv6Addr::LOCALHOST);
        let mut control = Control::EMPTY;
        let mut used = control.write(Some(source), None);
        control.push(&mut used, libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes());
        let arrival = read_control(&control.0[..used]);
        assert_eq!(arrival, Arrival { local: Some(source), segment: Some(1200) });
    }

    #[test]
    fn broken_control_messages_end_the_reading() {
        assert_eq!(read_control(&[]), Arrival::default());
        assert_eq!(read_control(&[0; 64]), Arrival::default());
        assert_eq!(read_control(&[0xff; 64]), Arrival::default());
    }
}
