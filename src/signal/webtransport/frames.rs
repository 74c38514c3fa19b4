//! What HTTP/3 and capsules are made of: a type, a length, and so many bytes.

use bytes::BytesMut;

use crate::signal::integer::integer;

/// Takes the next whole frame out of `buffer`: its type and its payload. `Err` where it is longer than `most`.
pub(crate) fn take(buffer: &mut BytesMut, most: usize) -> Result<Option<(u64, BytesMut)>, TooLong> {
    let Some((kind, at)) = integer(buffer) else { return Ok(None) };
    let Some((len, more)) = buffer.get(at..).and_then(integer) else { return Ok(None) };
    let len = usize::try_from(len).ok().filter(|len| *len <= most).ok_or(TooLong)?;
    if buffer.len() < at + more + len {
        return Ok(None);
    }
    let mut frame = buffer.split_to(at + more + len);
    Ok(Some((kind, frame.split_off(at + more))))
}

/// A frame that nobody has reason to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Frames of any length as they pass, with nothing kept of what they carry.
#[derive(Debug, Default)]
struct Passing {
    kind: u64,
    /// Bytes of the current one that are still to come.
    left: u64,
    /// The beginning of the next one.
    head: [u8; 16],
    filled: usize,
}

impl Passing {
    /// Takes a part of one frame's payload from `bytes`: of what type, which bytes, and whether it is the last part.
    fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8], bool)> {
        while self.left == 0 {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            *self.head.get_mut(self.filled)? = *first;
            self.filled += 1;
            let head = self.head.get(..self.filled)?;
            let Some((kind, at)) = integer(head) else { continue };
            let Some((len, _)) = head.get(at..).and_then(integer) else { continue };
            (self.kind, self.left, self.filled) = (kind, len, 0);
            if len == 0 {
                return Some((kind, &[], true));
            }
        }
        if bytes.is_empty() {
            return None;
        }
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (part, rest) = bytes.split_at(len);
        *bytes = rest;
        self.left -= part.len() as u64;
        Some((self.kind, part, self.left == 0))
    }
}

/// Reads the stream of a session's CONNECT request for the capsule that ends the session (draft-ietf-webtrans-http3
/// section 6).
#[derive(Debug, Default)]
pub(crate) struct Capsules {
    frames: Passing,
    capsules: Passing,
    code: u32,
    /// Bytes of the code so far.
    digits: usize,
}

impl Capsules {
    const DATA: u64 = 0;
    const CLOSE: u64 = 0x2843;

    /// Takes what arrived; the code with which the client ended the session, if it did.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Option<u32> {
        while let Some((kind, mut part, _)) = self.frames.next(&mut bytes) {
            if kind != Self::DATA {
                continue;
            }
            while let Some((kind, part, last)) = self.capsules.next(&mut part) {
                if kind != Self::CLOSE {
                    continue;
                }
                for byte in part.iter().take(4 - self.digits) {
                    self.code = self.code << 8 | u32::from(*byte);
                    self.digits += 1;
                }
                if last {
                    return Some(self.code);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capsule of an unknown type, then one that ends the session with code 258, in two DATA frames between unknown
    /// ones.
    const STREAM: &[u8] =
        &[0x21, 2, 9, 9, 0, 5, 0x40, 0x99, 1, 7, 0x68, 0x21, 0, 0, 8, 0x43, 6, 0, 0, 1, 2, b'h', b'i'];

    #[test]
    fn a_session_ends_with_its_code_however_its_bytes_come() {
        for size in 1..=STREAM.len() {
            let mut capsules = Capsules::default();
            let ends: Vec<_> = STREAM.chunks(size).filter_map(|piece| capsules.take(piece)).collect();
            assert_eq!(ends, [258], "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole_and_refused_when_it_is_too_long() {
        let mut buffer = BytesMut::from(&[1, 2, 7][..]);
        assert_eq!(take(&mut buffer, 10), Ok(None));
        buffer.extend_from_slice(&[8, 0, 0]);
        assert_eq!(take(&mut buffer, 10), Ok(Some((1, BytesMut::from(&[7, 8][..])))));
        assert_eq!(take(&mut buffer, 10), Ok(Some((0, BytesMut::new()))));
        buffer.extend_from_slice(&[1, 0x40, 11]);
        assert_eq!(take(&mut buffer, 10), Err(TooLong));
    }
}
