//! STUN (RFC 8489) as far as ICE connectivity checks need it (RFC 8445 section 7).
//!
//! Refused: anything but the Binding method, messages without the magic cookie (RFC 3489), and
//! MESSAGE-INTEGRITY-SHA256, which ICE does not use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::Malformed;
use super::bytes::{Out, array_at, u8_at, u16_at, u32_at};

const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_a442;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const INTEGRITY_BYTES: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Attribute types (RFC 8489 section 18.3, RFC 8445 section 20.3).
mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802a;
}

/// The key of short-term credentials: an ICE password, hashed into HMAC-SHA1's pads once.
#[derive(Clone)]
pub struct Key(Hmac<Sha1>);

impl Key {
    /// The key of this password (RFC 8489 section 9.1.1).
    pub fn new(password: &[u8]) -> Self {
        // HMAC takes keys of every length; the other arm is never reached and would verify nothing of a peer's.
        Self(Hmac::new_from_slice(password).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    /// The MAC up to the MESSAGE-INTEGRITY attribute at `at`, with the length that the header had when it was
    /// computed: up to the end of that attribute (RFC 8489 section 14.5).
    fn mac(&self, message: &[u8], at: usize) -> Option<Hmac<Sha1>> {
        let length = u16::try_from(at.checked_sub(HEADER)? + 4 + INTEGRITY_BYTES).ok()?;
        let mut mac = self.0.clone();
        mac.update(message.get(..2)?);
        mac.update(&length.to_be_bytes());
        mac.update(message.get(4..at)?);
        Some(mac)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stun::Key(..)")
    }
}

/// Which end of a check the sender believes to be (RFC 8445 section 7.1.2), with its tie breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It nominates.
    Controlling(u64),
    /// It waits for a nomination.
    Controlled(u64),
}

/// A message whose framing, attributes and (if present) FINGERPRINT were checked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    transaction: &'a [u8; 12],
    kind: u16,
    username: Option<&'a [u8]>,
    priority: Option<u32>,
    role: Option<Role>,
    use_candidate: bool,
    mapped: Option<SocketAddr>,
    error_code: Option<u16>,
    integrity_at: Option<usize>,
    fingerprint: bool,
    unknown_required: Option<u16>,
}

impl<'a> Message<'a> {
    /// Checks `bytes`, which must be exactly one message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::checked(bytes).ok_or(Malformed)
    }

    fn checked(bytes: &'a [u8]) -> Option<Self> {
        let kind = u16_at(bytes, 0)?;
        let length = usize::from(u16_at(bytes, 2)?);
        if kind & 0xc000 != 0
            || u32_at(bytes, 4)? != COOKIE
            || length & 3 != 0
            || bytes.len() != HEADER + length
        {
            return None;
        }
        let mut message = Self {
            bytes,
            transaction: bytes.get(8..)?.first_chunk()?,
            kind,
            username: None,
            priority: None,
            role: None,
            use_candidate: false,
            mapped: None,
            error_code: None,
            integrity_at: None,
            fingerprint: false,
            unknown_required: None,
        };
        let mut at = HEADER;
        while at < bytes.len() {
            // Nothing may follow FINGERPRINT (RFC 8489 section 14.7).
            if message.fingerprint {
                return None;
            }
            let length = usize::from(u16_at(bytes, at + 2)?);
            let value = bytes.get(at + 4..at + 4 + length)?;
            message.attribute(u16_at(bytes, at)?, value, at)?;
            at += 4 + length.next_multiple_of(4);
        }
        // The padding of the last attribute belongs to the message.
        (at == bytes.len()).then_some(message)
    }

    /// Takes in one attribute; of several of one type only the first counts (RFC 8489 section 14).
    fn attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Option<()> {
        // What follows MESSAGE-INTEGRITY is not covered by it and is ignored, but for FINGERPRINT (section 14.5).
        if self.integrity_at.is_some() && kind != attribute::FINGERPRINT {
            return Some(());
        }
        match kind {
            attribute::USERNAME => _ = self.username.get_or_insert(value),
            attribute::PRIORITY => _ = self.priority.get_or_insert(exact(value).map(u32::from_be_bytes)?),
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLING => {
                let tie_breaker = exact(value).map(u64::from_be_bytes)?;
                self.role.get_or_insert(Role::Controlling(tie_breaker));
            }
            attribute::ICE_CONTROLLED => {
                let tie_breaker = exact(value).map(u64::from_be_bytes)?;
                self.role.get_or_insert(Role::Controlled(tie_breaker));
            }
            attribute::XOR_MAPPED_ADDRESS => {
                let mapped = read_mapped(value, self.transaction)?;
                self.mapped.get_or_insert(mapped);
            }
            attribute::ERROR_CODE => {
                let code = read_error_code(value)?;
                self.error_code.get_or_insert(code);
            }
            attribute::MESSAGE_INTEGRITY => {
                exact::<INTEGRITY_BYTES>(value)?;
                self.integrity_at = Some(at);
            }
            attribute::FINGERPRINT => {
                let expected = crc32(self.bytes.get(..at)?) ^ FINGERPRINT_XOR;
                if exact(value).map(u32::from_be_bytes)? != expected {
                    return None;
                }
                self.fingerprint = true;
            }
            // Types below 0x8000 must be understood (RFC 8489 section 14).
            0..0x8000 => _ = self.unknown_required.get_or_insert(kind),
            _ => {}
        }
        Some(())
    }

    /// Whether this is a Binding request, as every connectivity check is.
    pub const fn is_binding_request(&self) -> bool {
        self.kind == BINDING_REQUEST
    }

    /// Whether this is a Binding success response.
    pub const fn is_binding_success(&self) -> bool {
        self.kind == BINDING_SUCCESS
    }

    /// Whether this is a Binding error response.
    pub const fn is_binding_error(&self) -> bool {
        self.kind == BINDING_ERROR
    }

    /// The transaction id.
    pub const fn transaction_id(&self) -> &'a [u8; 12] {
        self.transaction
    }

    /// The username: in a check, the receiver's ufrag, a colon, the sender's ufrag (RFC 8445 section 7.2.2).
    pub const fn username(&self) -> Option<&'a [u8]> {
        self.username
    }

    /// The username's part before the colon: the ufrag of who receives this request.
    pub fn local_ufrag(&self) -> Option<&'a [u8]> {
        self.split_username().map(|(local, _)| local)
    }

    /// The username's part after the colon: the ufrag of who sent this request.
    pub fn remote_ufrag(&self) -> Option<&'a [u8]> {
        self.split_username().map(|(_, remote)| remote)
    }

    fn split_username(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|b| *b == b':')?;
        Some((username.get(..colon)?, username.get(colon + 1..)?))
    }

    /// Whether the sender nominates this pair.
    pub const fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    /// The priority of the candidate that the sender would learn from this check.
    pub const fn priority(&self) -> Option<u32> {
        self.priority
    }

    /// The role that the sender claims.
    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// The tie breaker of a sender that believes to be controlling.
    pub const fn controlling(&self) -> Option<u64> {
        match self.role {
            Some(Role::Controlling(tie_breaker)) => Some(tie_breaker),
            _ => None,
        }
    }

    /// XOR-MAPPED-ADDRESS: how the responder saw us.
    pub const fn mapped_address(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// The code of an error response, 300 to 699.
    pub const fn error_code(&self) -> Option<u16> {
        self.error_code
    }

    /// Whether there is a MESSAGE-INTEGRITY to verify.
    pub const fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether there was a FINGERPRINT; it was right then.
    pub const fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// The first attribute that must be understood and is not: such a request earns error 420
    /// (RFC 8489 section 6.3.1).
    pub const fn unknown_required(&self) -> Option<u16> {
        self.unknown_required
    }

    /// Whether MESSAGE-INTEGRITY is there and right under `key`; compared in constant time.
    pub fn verify(&self, key: &Key) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let Some(tag) = array_at::<INTEGRITY_BYTES>(self.bytes, at + 4) else { return false };
        key.mac(self.bytes, at).is_some_and(|mac| mac.verify_slice(&tag).is_ok())
    }
}

/// The value of an attribute that has one length only.
fn exact<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

/// RFC 8489 section 14.2.
fn read_mapped(value: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let port = u16_at(value, 2)? ^ (COOKIE >> 16) as u16;
    let ip = match (u8_at(value, 1)?, value.len()) {
        (1, 8) => IpAddr::V4(Ipv4Addr::from_bits(u32_at(value, 4)? ^ COOKIE)),
        (2, 20) => {
            let xored = u128::from_be_bytes(array_at(value, 4)?);
            IpAddr::V6(Ipv6Addr::from_bits(xored ^ address_mask(transaction)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn address_mask(transaction: &[u8; 12]) -> u128 {
    let low = transaction.iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
    u128::from(COOKIE) << 96 | low
}

/// RFC 8489 section 14.8.
fn read_error_code(value: &[u8]) -> Option<u16> {
    let (class, number) = (u16::from(u8_at(value, 2)? & 7), u16::from(u8_at(value, 3)?));
    ((3..=6).contains(&class) && number < 100).then_some(class * 100 + number)
}

/// A Binding success response to `transaction`, with integrity and fingerprint: its length in `buf`.
pub fn write_success(buf: &mut [u8], transaction: &[u8; 12], mapped: SocketAddr, key: &Key) -> Option<usize> {
    let mut out = begin(buf, BINDING_SUCCESS, transaction)?;
    put_mapped(&mut out, mapped, transaction)?;
    finish(out, Some(key))
}

/// A Binding error response with this code (300 to 699) and reason: its length in `buf`.
pub fn write_error(
    buf: &mut [u8],
    transaction: &[u8; 12],
    code: u16,
    reason: &str,
    key: Option<&Key>,
) -> Option<usize> {
    let mut out = begin(buf, BINDING_ERROR, transaction)?;
    let code = [(code / 100) as u8 & 7, (code % 100) as u8];
    let len = u16::try_from(4 + reason.len()).ok()?;
    put_header(&mut out, attribute::ERROR_CODE, len)?;
    out.u16(0)?;
    out.put(&code)?;
    out.put(reason.as_bytes())?;
    out.align(HEADER)?;
    finish(out, key)
}

/// A connectivity check of the controlling side (RFC 8445 section 7.1), with integrity and fingerprint:
/// its length in `buf`. `username` is the receiver's ufrag, a colon and our own; `key` is the receiver's.
pub fn write_request(
    buf: &mut [u8],
    transaction: &[u8; 12],
    username: &str,
    priority: u32,
    use_candidate: bool,
    tie_breaker: u64,
    key: &Key,
) -> Option<usize> {
    let mut out = begin(buf, BINDING_REQUEST, transaction)?;
    put(&mut out, attribute::USERNAME, username.as_bytes())?;
    put(&mut out, attribute::PRIORITY, &priority.to_be_bytes())?;
    put(&mut out, attribute::ICE_CONTROLLING, &tie_breaker.to_be_bytes())?;
    if use_candidate {
        put(&mut out, attribute::USE_CANDIDATE, &[])?;
    }
    finish(out, Some(key))
}

fn begin<'a>(buf: &'a mut [u8], kind: u16, transaction: &[u8; 12]) -> Option<Out<'a>> {
    let mut out = Out::new(buf, 0);
    out.u16(kind)?;
    out.u16(0)?;
    out.u32(COOKIE)?;
    out.put(transaction)?;
    Some(out)
}

fn put_header(out: &mut Out<'_>, kind: u16, len: u16) -> Option<()> {
    out.u16(kind)?;
    out.u16(len)
}

fn put(out: &mut Out<'_>, kind: u16, value: &[u8]) -> Option<()> {
    put_header(out, kind, u16::try_from(value.len()).ok()?)?;
    out.put(value)?;
    out.align(HEADER)
}

fn put_mapped(out: &mut Out<'_>, mapped: SocketAddr, transaction: &[u8; 12]) -> Option<()> {
    let port = mapped.port() ^ (COOKIE >> 16) as u16;
    // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; they know themselves as a.b.c.d.
    match mapped.ip().to_canonical() {
        IpAddr::V4(ip) => {
            put_header(out, attribute::XOR_MAPPED_ADDRESS, 8)?;
            out.put(&[0, 1])?;
            out.u16(port)?;
            out.u32(ip.to_bits() ^ COOKIE)
        }
        IpAddr::V6(ip) => {
            put_header(out, attribute::XOR_MAPPED_ADDRESS, 20)?;
            out.put(&[0, 2])?;
            out.u16(port)?;
            out.put(&(ip.to_bits() ^ address_mask(transaction)).to_be_bytes())
        }
    }
}

/// Closes the message: MESSAGE-INTEGRITY if there is a key, FINGERPRINT always, the header's length.
fn finish(mut out: Out<'_>, key: Option<&Key>) -> Option<usize> {
    if let Some(key) = key {
        let mac = key.mac(out.written(), out.len())?.finalize().into_bytes();
        put(&mut out, attribute::MESSAGE_INTEGRITY, &mac)?;
    }
    // The fingerprint covers a header that counts it in (RFC 8489 section 14.7).
    let length = u16::try_from(out.len() + 8 - HEADER).ok()?;
    out.set_u16(2, length)?;
    let crc = crc32(out.written()) ^ FINGERPRINT_XOR;
    put(&mut out, attribute::FINGERPRINT, &crc.to_be_bytes())?;
    Some(out.len())
}

/// CRC-32 of ITU-T V.42, as FINGERPRINT uses it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    // Indexing by a byte cannot leave a table of 256.
    !bytes.iter().fold(u32::MAX, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests;
