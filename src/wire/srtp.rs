//! SRTP and SRTCP (RFC 3711, RFC 7714).

/// Keys of both directions.
#[derive(Debug)]
pub struct Keys;
