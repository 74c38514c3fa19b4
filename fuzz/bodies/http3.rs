//! HTTP/3 as far as WebTransport needs it: frames, fields, and the capsule that ends a session, the same wherever its
//! stream is cut.

use millrace::fuzzing;

/// Bytes of a frame at most.
const MOST: usize = 1024;

/// One input.
pub fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    assert!(fuzzing::fields(stream).is_none_or(|fields| fields <= stream.len()));
    assert!(fuzzing::frames(stream, MOST) * 2 <= stream.len());
    assert_eq!(fuzzing::capsules(stream, usize::from(*cut) + 1), fuzzing::capsules(stream, stream.len()));
}
