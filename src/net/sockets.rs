//! The UDP sockets of all shards, opened once: adding or closing one later would send live flows to other shards.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use tracing::{debug, info};

use super::steer;

/// What each socket asks of the kernel for its queues; the kernel may grant less (`net.core.rmem_max`).
const QUEUE_BYTES: i32 = 4 * 1024 * 1024;

/// The kernel takes down the ring of a killed process, and the sockets in it, a moment after the process is gone: its
/// successor, started at once, waits this long for the port.
const LINGER: Duration = Duration::from_secs(2);

/// Why the sockets could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program has the port.
    #[error("UDP {0} is in use by another program: stop that program, or listen elsewhere with --listen")]
    InUse(SocketAddr),
    /// A port under 1024 without the right to it.
    #[error(
        "UDP {0} may not be opened by this user: grant CAP_NET_BIND_SERVICE, or choose a port from 1024 up"
    )]
    Denied(SocketAddr),
    /// The host does not have the address.
    #[error("{0} is not an address of this host: listen on one that is, or on 0.0.0.0 and [::]")]
    NotLocal(SocketAddr),
    /// The host does not have the address family.
    #[error("this host cannot open {0}: its kernel has that address family switched off")]
    NoFamily(SocketAddr),
    /// Anything else.
    #[error("cannot open UDP {address}: {source}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No address, or no shard.
    #[error("nothing to listen on: name at least one address with --listen")]
    Nothing,
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse(address),
            Some(libc::EACCES | libc::EPERM) => Self::Denied(address),
            Some(libc::EADDRNOTAVAIL) => Self::NotLocal(address),
            Some(libc::EAFNOSUPPORT) => Self::NoFamily(address),
            _ => Self::Other { address, source },
        }
    }
}

/// One socket of one shard.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// Where the kernel puts what is RTCP, if it sorts.
    reports: Option<OwnedFd>,
    bound: SocketAddr,
    /// Segmented sends that the kernel refused since it last took one.
    refusals: u8,
}

/// Refusals in a row after which a socket sends without segmentation for good: a few may be due to one narrow path.
const REFUSALS: u8 = 16;

impl Socket {
    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Whether the source address must be named with each datagram.
    pub(super) fn is_wildcard(&self) -> bool {
        self.bound.ip().is_unspecified()
    }

    /// Whether to try UDP_SEGMENT.
    pub(super) fn segments(&self) -> bool {
        self.refusals < REFUSALS
    }

    pub(super) fn segmented(&mut self) {
        self.refusals = 0;
    }

    /// The kernel refused a segmented send.
    pub(super) fn refused(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
        if !self.segments() {
            // All shards send by the same device: one line is enough.
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                info!(
                    "{} does not take UDP_SEGMENT: datagrams are sent one by one, which costs more",
                    self.bound
                );
            });
        }
    }

    pub(super) fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, reports: None, bound: self.bound, refusals: 0 })
    }

    pub(super) const fn take_reports(&mut self) -> Option<OwnedFd> {
        self.reports.take()
    }

    /// The same socket as another process bound it.
    fn taken_over(fd: OwnedFd, reports: Option<OwnedFd>) -> io::Result<Self> {
        let bound = SockRef::from(&fd).local_addr()?.as_socket();
        let bound = bound.ok_or_else(|| io::Error::other("it has no address"))?;
        Ok(Self { fd, reports, bound, refusals: 0 })
    }
}

/// The sockets of one shard, one for each listening address.
#[derive(Debug)]
pub struct ShardSockets(pub(super) Vec<Socket>);

impl ShardSockets {
    /// The descriptors, in the order of the listening addresses.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|socket| socket.fd.as_fd())
    }
}

/// The sockets of all shards.
#[derive(Debug)]
pub struct Sockets {
    pub(super) shards: Vec<ShardSockets>,
}

impl Sockets {
    /// The addresses we listen on, with the ports that the kernel chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shards.first().map(|shard| shard.0.iter().map(Socket::bound).collect()).unwrap_or_default()
    }

    /// A set of sockets for each shard.
    pub fn into_shards(self) -> Vec<ShardSockets> {
        self.shards
    }

    /// The same sockets once more: who has these has the port, whatever becomes of the others.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = |socket: &Socket| {
            let reports = socket.reports.as_ref().map(OwnedFd::try_clone).transpose()?;
            Ok(Socket { reports, ..socket.duplicate()? })
        };
        let shard =
            |shard: &ShardSockets| shard.0.iter().map(socket).collect::<io::Result<_>>().map(ShardSockets);
        Ok(Self { shards: self.shards.iter().map(shard).collect::<io::Result<_>>()? })
    }

    /// What [`Sockets::from_descriptors`] must know of these.
    pub fn layout(&self) -> Layout {
        let first = self.shards.first().map(|shard| &shard.0[..]).unwrap_or_default();
        let reports = first.iter().map(|socket| socket.reports.is_some()).collect();
        Layout { shards: self.shards.len(), reports }
    }

    /// All descriptors: shard by shard and address by address, a socket and then what it has for reports.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut all = Vec::new();
        for socket in self.shards.iter().flat_map(|shard| &shard.0) {
            all.push(socket.fd.as_fd());
            all.extend(socket.reports.as_ref().map(AsFd::as_fd));
        }
        all
    }

    /// Sockets that another process bound. They are the same group in the kernel, with the program that sorts for it.
    pub fn from_descriptors(
        layout: &Layout,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let missing = || io::Error::other("descriptors are missing");
        let mut shards = Vec::new();
        for _ in 0..layout.shards {
            let mut set = Vec::new();
            for reports in &layout.reports {
                let fd = descriptors.next().ok_or_else(missing)?;
                let reports = reports.then(|| descriptors.next().ok_or_else(missing)).transpose()?;
                set.push(Socket::taken_over(fd, reports)?);
            }
            shards.push(ShardSockets(set));
        }
        Ok(Self { shards })
    }
}

/// How many sockets there are, and which have others for reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Of each shard one for each address.
    pub shards: usize,
    /// For each address whether the kernel sorts reports out.
    pub reports: Vec<bool>,
}

/// Opens one socket for each of `addresses` and each of `shards`.
///
/// Any number of processes of one user may share a port with SO_REUSEPORT and would steal each other's flows. So the
/// first socket is bound without the flag, which fails if anybody has the port, and joins the group only then.
pub fn bind(addresses: &[SocketAddr], shards: usize) -> Result<Sockets, BindError> {
    if addresses.is_empty() || shards == 0 {
        return Err(BindError::Nothing);
    }
    let mut sets: Vec<_> = (0..shards).map(|_| ShardSockets(Vec::with_capacity(addresses.len()))).collect();
    for &address in addresses {
        let mut bound = address;
        for (nth, set) in sets.iter_mut().enumerate() {
            let socket = open_patiently(bound, if nth > 0 { Join::Later } else { Join::First })
                .map_err(|source| BindError::new(address, source))?;
            bound = socket.bound;
            set.0.push(socket);
        }
        let mut group: Vec<_> = sets.iter_mut().filter_map(|set| set.0.last_mut()).collect();
        if let Err(error) = sort(&mut group, bound) {
            // Everything works without; it costs more.
            debug!("reports come with the media: {error}");
        }
    }
    Ok(Sockets { shards: sets })
}

/// Gives each socket of a group another one for its reports, and has the kernel sort.
fn sort(group: &mut [&mut Socket], bound: SocketAddr) -> io::Result<()> {
    let reports = group.iter().map(|_| open(bound, Join::Reports)).collect::<io::Result<Vec<_>>>()?;
    let Some(first) = group.first() else { return Ok(()) };
    steer::attach(first.raw(), bound, group.len() as u32)?;
    for (socket, reports) in group.iter_mut().zip(reports) {
        socket.reports = Some(reports.fd);
    }
    Ok(())
}

/// What a socket is to the group of those that share its port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    First,
    Later,
    /// For RTCP alone, of which none is joined by the kernel.
    Reports,
}

/// A port that is taken is tried again for [`LINGER`].
fn open_patiently(address: SocketAddr, join: Join) -> io::Result<Socket> {
    let end = Instant::now() + LINGER;
    loop {
        match open(address, join) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) && Instant::now() < end => {
                std::thread::sleep(LINGER / 40);
            }
            other => return other,
        }
    }
}

fn open(address: SocketAddr, join: Join) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    let fd = socket.as_raw_fd();
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        // Media never exceeds what any path carries and QUIC probes for itself: do not fragment, and do not believe
        // ICMP about the path either (RFC 8085 section 3.2, RFC 9000 section 14).
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
    }
    // Kernels before 5.0 do not join datagrams; everything works without.
    if join != Join::Reports {
        let _ = set(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
    }
    for (forced, asked) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        // Beyond the limits of the host only with CAP_NET_ADMIN; else as much as it allows.
        if set(fd, libc::SOL_SOCKET, forced, QUEUE_BYTES).is_err() {
            set(fd, libc::SOL_SOCKET, asked, QUEUE_BYTES)?;
        }
    }
    if join != Join::First {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    socket.bind(&SockAddr::from(address))?;
    if join == Join::First {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Socket { fd: socket.into(), reports: None, bound, refusals: 0 })
}

pub(super) fn set(fd: RawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the option value is an `int` that outlives the call, and its length is that of an `int`.
    let done = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
