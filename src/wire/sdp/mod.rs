//! Session descriptions (RFC 8866) as browsers write them (RFC 8829), with the attributes that an offer or answer of
//! ours needs. The parsed [`Session`] borrows from the text; what it does not know it keeps as it is.

mod attribute;
mod parse;
mod write;

pub use attribute::{
    Candidate, Direction, Extmap, Feedback, Fmtp, Rid, RidDirection, RtpMap, Setup, Simulcast,
    SimulcastStream, SsrcGroup,
};
pub use parse::{Attribute, Media, Origin, Session};
pub use write::Writer;

use std::fmt;

/// Longest text that is read: a viewer's answer with a hundred slots stays far below.
pub const MAX_LEN: usize = 512 * 1024;
/// Most m-lines that are read.
pub const MAX_MEDIA: usize = 256;
/// Most formats of one m-line: there are only 128 payload types.
pub const MAX_FORMATS: usize = 128;

/// Why a text is no session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// More m-lines than [`MAX_MEDIA`].
    TooManyMedia,
    /// This line, counted from 1, is not what it should be.
    Line(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {} KiB", MAX_LEN / 1024),
            Self::TooManyMedia => write!(f, "it has more than {MAX_MEDIA} m-lines"),
            Self::Line(line) => write!(f, "line {line} is malformed"),
        }
    }
}

impl std::error::Error for Error {}
