//! Has the kernel sort what comes: RTCP goes to sockets of its own, all else to the others, and each flow always to the
//! same shard. A classic BPF program on the SO_REUSEPORT group (socket(7)) reads the first two bytes of each datagram.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Places in the network header, as the kernel counts them for such programs (`linux/filter.h`).
const NETWORK: u32 = -0x10_0000i32 as u32;
/// The last four bytes of the source address, and the source port, where the header has no options.
const SOURCE_V4: (u32, u32) = (12, 20);
const SOURCE_V6: (u32, u32) = (20, 40);
/// Knuth's multiplier: neighbouring ports go to different shards.
const SPREAD: u32 = 0x9e37_79b1;

/// The group has `shards` sockets for everything and then as many for RTCP, in the order of their binding.
pub(super) fn attach(fd: RawFd, bound: SocketAddr, shards: u32) -> io::Result<()> {
    let mut program = program(bound.is_ipv6(), shards);
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let len = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `filter` and the program that it points at outlive the call, and the lengths are theirs.
    let done = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            len,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn program(v6: bool, shards: u32) -> Vec<libc::sock_filter> {
    use libc::{
        BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD,
        BPF_LDX, BPF_MEM, BPF_MOD, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST, BPF_STX, BPF_W, BPF_X, BPF_XOR,
    };
    let (address, port) = if v6 { SOURCE_V6 } else { SOURCE_V4 };
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Unless it is so, skip so many.
    let only = |k: u32, jf: u8| libc::sock_filter { jf, ..step(BPF_JMP | BPF_JEQ | BPF_K, k) };
    vec![
        // Which half of the group: as `wire::demux` tells RTCP (RFC 7983, RFC 5761 section 4).
        step(BPF_LDX | BPF_IMM, 0),
        step(BPF_LD | BPF_B | BPF_ABS, 0),
        step(BPF_ALU | BPF_AND | BPF_K, 0xc0),
        only(0x80, 4),
        step(BPF_LD | BPF_B | BPF_ABS, 1),
        step(BPF_ALU | BPF_AND | BPF_K, 0xe0),
        only(0xc0, 1),
        step(BPF_LDX | BPF_IMM, shards),
        step(BPF_STX, 0),
        // Which shard: by the source.
        step(BPF_LD | BPF_W | BPF_ABS, NETWORK.wrapping_add(address)),
        step(BPF_ST, 1),
        step(BPF_LD | BPF_H | BPF_ABS, NETWORK.wrapping_add(port)),
        step(BPF_LDX | BPF_MEM, 1),
        step(BPF_ALU | BPF_XOR | BPF_X, 0),
        step(BPF_ALU | BPF_MUL | BPF_K, SPREAD),
        step(BPF_ALU | BPF_RSH | BPF_K, 16),
        step(BPF_ALU | BPF_MOD | BPF_K, shards.max(1)),
        step(BPF_LDX | BPF_MEM, 0),
        step(BPF_ALU | BPF_ADD | BPF_X, 0),
        step(BPF_RET | BPF_A, 0),
    ]
}
