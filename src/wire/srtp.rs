//! SRTP and SRTCP (RFC 3711, RFC 7714), sealed and opened in place.
//!
//! Refused: unencrypted SRTCP (E bit clear), MKIs, key derivation rates other than 0; DTLS-SRTP negotiates none of them.

mod cipher;
mod keys;
mod replay;

use cipher::Cipher;
pub use keys::{Direction, Keys, Material, Profile};
pub use replay::Windows;

use super::bytes::{u16_at, u32_at};
use super::id::{Seq, Seq16, Ssrc};
use super::rtp;

/// The most bytes that sealing adds to a packet of either kind: tag and SRTCP index.
pub const MAX_OVERHEAD: usize = 20;

/// Bytes of an RTCP header that stay readable: the first word and the sender's SSRC (RFC 3711 section 3.4).
const RTCP_CLEAR: usize = 8;
/// Bytes of the E bit with the SRTCP index.
const RTCP_TRAILER: usize = 4;
/// The E bit: this packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// SRTP indices are of 48 bits: when they are used up, so is the key (RFC 3711 section 9.2).
const MAX_INDEX: u64 = (1 << 48) - 1;

/// Why a packet from the network is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// Not a packet at all.
    Malformed,
    /// Seen before, or too old to tell.
    Replay,
    /// Not sealed by the peer, or changed on its way.
    Auth,
    /// The peer used up its number of sources.
    TooManySsrcs,
}

/// The sending side of one peer.
#[derive(Debug)]
pub struct Sealer {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    next_rtcp: u32,
}

impl Sealer {
    /// Seals with the outbound keys.
    pub fn new(keys: &Keys) -> Self {
        let Direction { rtp, rtcp } = keys.outbound.clone();
        Self { profile: keys.profile, rtp, rtcp, next_rtcp: 1 }
    }

    /// Goes on where another sealer of these keys ended: with the SRTCP index that it would have used next, or one after it.
    pub fn resume(keys: &Keys, next_rtcp: u32) -> Self {
        Self { next_rtcp, ..Self::new(keys) }
    }

    /// The SRTCP index of the next packet.
    pub const fn next_rtcp(&self) -> u32 {
        self.next_rtcp
    }

    /// The profile.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes that sealing adds to an RTP packet.
    pub const fn tag_len(&self) -> usize {
        self.profile.tag_len()
    }

    /// Seals the RTP packet in `buf[..len]`, whose header takes `header_len` bytes, and returns its new length.
    /// `None` if `buf` has no room for the tag or the 48-bit index is used up.
    ///
    /// The caller owns the indices: **two packets of one SSRC must never be sealed under the same `seq`**, unless
    /// they are the same bytes. `seq` and `ssrc` must be those in the header.
    pub fn seal_rtp(
        &self,
        buf: &mut [u8],
        len: usize,
        header_len: usize,
        seq: Seq,
        ssrc: Ssrc,
    ) -> Option<usize> {
        if seq.0 > MAX_INDEX {
            return None;
        }
        let sealed = len.checked_add(self.profile.tag_len())?;
        let (packet, tag) = buf.get_mut(..sealed)?.split_at_mut_checked(len)?;
        let (header, payload) = packet.split_at_mut_checked(header_len)?;
        match &self.rtp {
            Cipher::Gcm(gcm) => tag.copy_from_slice(gcm.seal(ssrc, seq.0, header, payload)?.as_ref()),
            Cipher::Cm(cm) => {
                cm.crypt(ssrc, seq.0, payload);
                cm.tag(packet, &seq.rollover().to_be_bytes(), tag);
            }
        }
        Some(sealed)
    }

    /// Seals the compound RTCP packet in `buf[..len]` under the next SRTCP index, and returns its new length.
    /// `None` if `buf` has no room, `len` is under 8 or the 31-bit index is used up.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        let index = self.next_rtcp;
        if index & ENCRYPTED != 0 {
            return None;
        }
        let tag_len = self.profile.tag_len();
        let sealed = len.checked_add(tag_len + RTCP_TRAILER)?;
        let (packet, trailer_and_tag) = buf.get_mut(..sealed)?.split_at_mut_checked(len)?;
        let (clear, body) = packet.split_at_mut_checked(RTCP_CLEAR)?;
        let ssrc = Ssrc(u32_at(clear, 4)?);
        let trailer = (ENCRYPTED | index).to_be_bytes();
        self.next_rtcp += 1;
        match &self.rtcp {
            // RFC 7714 section 9: the tag comes before the index.
            Cipher::Gcm(gcm) => {
                let (tag, end) = trailer_and_tag.split_at_mut_checked(tag_len)?;
                let aad = associated_rtcp(clear, trailer)?;
                tag.copy_from_slice(gcm.seal(ssrc, index.into(), &aad, body)?.as_ref());
                end.copy_from_slice(&trailer);
            }
            // RFC 3711 section 3.4: the tag covers the index and comes last.
            Cipher::Cm(cm) => {
                let (end, tag) = trailer_and_tag.split_at_mut_checked(RTCP_TRAILER)?;
                cm.crypt(ssrc, index.into(), body);
                cm.tag(packet, &trailer, tag);
                end.copy_from_slice(&trailer);
            }
        }
        Some(sealed)
    }
}

/// The receiving side of one peer: rollovers and replay windows per source, made only for packets that are authentic.
#[derive(Debug)]
pub struct Opener {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    windows: Windows,
}

impl Opener {
    /// Opens with the inbound keys.
    pub fn new(keys: &Keys) -> Self {
        let Direction { rtp, rtcp } = keys.inbound.clone();
        Self { profile: keys.profile, rtp, rtcp, windows: Windows::default() }
    }

    /// Goes on where another opener of these keys ended: what that one took this one does not take.
    pub fn resume(keys: &Keys, windows: Windows) -> Self {
        Self { windows, ..Self::new(keys) }
    }

    /// What was received.
    pub const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The profile.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Opens the SRTP packet and returns the length of the RTP packet at its front.
    /// A dropped packet's payload is left in an unspecified state.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Drop> {
        let header_len = rtp::header_len(packet).map_err(|_| Drop::Malformed)?;
        let (ssrc, wire) = rtp_source(packet).ok_or(Drop::Malformed)?;
        let len = packet.len().checked_sub(self.profile.tag_len()).ok_or(Drop::Malformed)?;
        if len < header_len {
            return Err(Drop::Malformed);
        }

        let stream = self.windows.rtp.find(ssrc)?;
        let index = match self.windows.rtp.highest(stream) {
            Some(highest) => Seq(highest).nearest(wire).0,
            None => u64::from(wire.0),
        };
        if index > MAX_INDEX || !self.windows.rtp.is_new(stream, index) {
            return Err(Drop::Replay);
        }

        let authentic = match &self.rtp {
            Cipher::Gcm(gcm) => {
                let (header, body) = packet.split_at_mut_checked(header_len).ok_or(Drop::Malformed)?;
                gcm.open(ssrc, index, header, body)
            }
            Cipher::Cm(cm) => {
                let (covered, tag) = packet.split_at_mut_checked(len).ok_or(Drop::Malformed)?;
                let authentic = cm.verify(covered, &Seq(index).rollover().to_be_bytes(), tag);
                if authentic {
                    cm.crypt(ssrc, index, covered.get_mut(header_len..).unwrap_or_default());
                }
                authentic
            }
        };
        if !authentic {
            return Err(Drop::Auth);
        }
        self.windows.rtp.accept(stream, ssrc, index);
        Ok(len)
    }

    /// Opens the SRTCP packet and returns the length of the compound RTCP packet at its front.
    /// A dropped packet's body is left in an unspecified state.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Drop> {
        let tag_len = self.profile.tag_len();
        let len = packet.len().checked_sub(tag_len + RTCP_TRAILER).ok_or(Drop::Malformed)?;
        if len < RTCP_CLEAR || packet.first().is_none_or(|first| first >> 6 != 2) {
            return Err(Drop::Malformed);
        }
        let trailer_at = match self.rtcp {
            Cipher::Gcm(_) => len + tag_len,
            Cipher::Cm(_) => len,
        };
        let trailer = u32_at(packet, trailer_at).ok_or(Drop::Malformed)?;
        let ssrc = Ssrc(u32_at(packet, 4).ok_or(Drop::Malformed)?);
        if trailer & ENCRYPTED == 0 {
            return Err(Drop::Malformed);
        }

        let index = u64::from(trailer & !ENCRYPTED);
        let stream = self.windows.rtcp.find(ssrc)?;
        if !self.windows.rtcp.is_new(stream, index) {
            return Err(Drop::Replay);
        }

        if !self.authenticate_rtcp(packet, len, ssrc, trailer).ok_or(Drop::Malformed)? {
            return Err(Drop::Auth);
        }
        self.windows.rtcp.accept(stream, ssrc, index);
        Ok(len)
    }

    fn authenticate_rtcp(&self, packet: &mut [u8], len: usize, ssrc: Ssrc, trailer: u32) -> Option<bool> {
        let index = u64::from(trailer & !ENCRYPTED);
        let trailer = trailer.to_be_bytes();
        match &self.rtcp {
            Cipher::Gcm(gcm) => {
                let (clear, rest) = packet.split_at_mut_checked(RTCP_CLEAR)?;
                let body_and_tag = rest.get_mut(..rest.len().checked_sub(RTCP_TRAILER)?)?;
                Some(gcm.open(ssrc, index, &associated_rtcp(clear, trailer)?, body_and_tag))
            }
            Cipher::Cm(cm) => {
                let (covered, rest) = packet.split_at_mut_checked(len)?;
                let authentic = cm.verify(covered, &trailer, rest.get(RTCP_TRAILER..)?);
                if authentic {
                    cm.crypt(ssrc, index, covered.get_mut(RTCP_CLEAR..)?);
                }
                Some(authentic)
            }
        }
    }
}

fn rtp_source(packet: &[u8]) -> Option<(Ssrc, Seq16)> {
    Some((rtp::peek_ssrc(packet)?, Seq16(u16_at(packet, 2)?)))
}

/// What an AEAD authenticates of an SRTCP packet besides the body: the clear header and the trailer
/// (RFC 7714 section 9.2).
fn associated_rtcp(clear: &[u8], trailer: [u8; 4]) -> Option<[u8; 12]> {
    let mut aad = [0; RTCP_CLEAR + RTCP_TRAILER];
    let (front, back) = aad.split_at_mut_checked(RTCP_CLEAR)?;
    front.copy_from_slice(clear.get(..RTCP_CLEAR)?);
    back.copy_from_slice(&trailer);
    Some(aad)
}

#[cfg(test)]
mod tests;
