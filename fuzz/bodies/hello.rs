//! Datagrams before DTLS: each is two bytes of length and that many bytes. A hello is whole also where each of its
//! datagrams comes twice, unless it is several that mingle.

use millrace::fuzzing;

/// One input.
pub fn run(data: &[u8]) {
    let mut datagrams = Vec::new();
    let mut rest = data;
    while let [high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (datagram, after) = after.split_at(len);
        datagrams.push(datagram);
        rest = after;
    }
    let whole = fuzzing::hello(datagrams.iter().copied());
    let twice = fuzzing::hello(datagrams.iter().flat_map(|datagram| [*datagram, *datagram]));
    assert!(twice || !whole || datagrams.len() > 1);
}
