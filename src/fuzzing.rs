//! Parsers of bytes from strangers that nobody outside this crate calls: each takes an input and drops what it reads.
//! For the fuzz targets (`fuzz/`), which have no other way to them.

use bytes::BytesMut;

use crate::certificate::der;
use crate::control::store::crc32;
use crate::handshake::hello::Gathering;
use crate::http::operations::{Parameters, boundary};
use crate::signal::webtransport::frames::{self, Capsules};
use crate::signal::webtransport::qpack;
use crate::{base64, config};

/// The datagrams of one ClientHello. Whether it was whole.
pub fn hello<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut gathering = Gathering::default();
    datagrams.into_iter().any(|datagram| gathering.add(datagram).is_some())
}

/// What a form of `application/x-www-form-urlencoded` holds.
pub fn form(bytes: &[u8]) {
    Parameters::default().add(bytes);
}

/// What a form of `multipart/form-data` holds under a `Content-Type`.
pub fn multipart(content_type: &str, bytes: &[u8]) {
    if let Some(boundary) = boundary(content_type) {
        Parameters::default().add_parts(bytes, boundary);
    }
}

/// Fields of an HTTP/3 request. How many, if it can be read.
pub fn fields(section: &[u8]) -> Option<usize> {
    let mut fields = 0;
    qpack::read(section, |_, _| fields += 1)?;
    Some(fields)
}

/// Frames of HTTP/3 as they come. How many are whole and at most `most` long.
pub fn frames(bytes: &[u8], most: usize) -> usize {
    let (mut buffer, mut frames) = (BytesMut::from(bytes), 0);
    while let Ok(Some(_)) = frames::take(&mut buffer, most) {
        frames += 1;
    }
    frames
}

/// The code with which a WebTransport session was closed, if it was, its stream cut into pieces of this length.
pub fn capsules(bytes: &[u8], piece: usize) -> Option<u32> {
    let mut capsules = Capsules::default();
    bytes.chunks(piece.max(1)).find_map(|bytes| capsules.take(bytes))
}

/// The names in a file of settings.
pub fn settings(text: &str) -> Option<usize> {
    config::toml::parse(text).ok().map(|settings| settings.len())
}

/// When a certificate is valid.
pub fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    der::validity(certificate)
}

/// Base64 and back: of both alphabets.
pub fn base64(text: &str) -> [Option<String>; 2] {
    let url = base64::decode_url(text).map(|bytes| base64::encode_url(&bytes));
    [base64::decode(text).map(|bytes| base64::encode(&bytes)), url]
}

/// What stands before a line of the journal.
pub fn checksum(line: &[u8]) -> u32 {
    crc32(line)
}
