//! Lines of a client, out of what arrives in pieces.

use bytes::{Buf, Bytes, BytesMut};

use super::message::CLIENT_LINE;

/// The client's lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line, without its line feed. While a client has nothing to say it takes no room.
    partial: BytesMut,
}

/// A line is longer than [`CLIENT_LINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// The next line that is not empty, taken out of what `arrived`; `None` once that is used up.
    pub fn next(&mut self, arrived: &mut Bytes) -> Result<Option<Bytes>, TooLong> {
        while let Some(end) = arrived.iter().position(|byte| *byte == b'\n') {
            let mut line = arrived.split_to(end);
            arrived.advance(1);
            if !self.partial.is_empty() {
                self.partial.extend_from_slice(&line);
                line = std::mem::take(&mut self.partial).freeze();
            }
            if line.len() >= CLIENT_LINE {
                return Err(TooLong);
            }
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
        self.partial.extend_from_slice(&std::mem::take(arrived));
        if self.partial.len() >= CLIENT_LINE { Err(TooLong) } else { Ok(None) }
    }
}
