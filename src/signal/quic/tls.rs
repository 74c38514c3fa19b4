//! TLS of a connection (RFC 9001): rustls while hands are shaken, and of it no more than the next keys' secrets afterwards.
//!
//! What rustls would keep for the life of a connection is of use only for what a client may say after its handshake, and
//! there is nothing that a client of ours has to say then.

use std::any::Any;
use std::sync::Arc;

use bytes::BytesMut;
use quinn_proto::crypto::rustls::{HandshakeData, NoInitialCipherSuite, QuicServerConfig};
use quinn_proto::crypto::{
    self, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::quic::{KeyChange, Secrets, ServerConnection, Version};

use crate::signal::integer::integer;

/// QUIC version 1, the only one that is spoken.
pub(super) const VERSION: u32 = 1;

/// The server's side of TLS.
pub(super) struct Tls {
    config: Arc<rustls::ServerConfig>,
    /// What does not depend on a connection's state.
    stateless: QuicServerConfig,
}

impl Tls {
    pub(super) fn new(config: rustls::ServerConfig) -> Result<Self, NoInitialCipherSuite> {
        let config = Arc::new(config);
        Ok(Self { stateless: QuicServerConfig::try_from(config.clone())?, config })
    }
}

impl crypto::ServerConfig for Tls {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        let mut keys = self.stateless.initial_keys(version, id)?;
        keys.packet.remote = Box::new(Unpadded(keys.packet.remote));
        Ok(keys)
    }

    fn retry_tag(&self, version: u32, id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.stateless.retry_tag(version, id, packet)
    }

    fn start_session(self: Arc<Self>, _: u32, parameters: &TransportParameters) -> Box<dyn crypto::Session> {
        let mut ours = Vec::new();
        parameters.write(&mut ours);
        let state = match ServerConnection::new(self.config.clone(), Version::V1, ours) {
            Ok(tls) => State::Shaking(Box::new(tls)),
            // A configuration without TLS 1.3: every handshake fails.
            Err(_) => State::Done,
        };
        Box::new(Session { tls: self, state, protocol: None, told: false, next: None })
    }
}

fn failed(code: TransportErrorCode, reason: impl ToString) -> TransportError {
    TransportError { code, frame: None, reason: reason.to_string() }
}

enum State {
    Shaking(Box<ServerConnection>),
    Done,
}

/// TLS of one connection.
struct Session {
    tls: Arc<Tls>,
    state: State,
    protocol: Option<Vec<u8>>,
    /// Whether it was told what was agreed on.
    told: bool,
    next: Option<Secrets>,
}

impl crypto::Session for Session {
    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        debug_assert!(side.is_server(), "made by a server's configuration");
        match crypto::ServerConfig::initial_keys(&*self.tls, VERSION, id) {
            Ok(keys) => keys,
            Err(UnsupportedVersion) => unreachable!("version 1 is supported"),
        }
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.told.then(|| -> Box<dyn Any> {
            Box::new(HandshakeData { protocol: self.protocol.clone(), server_name: None })
        })
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn crypto::PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        match &self.state {
            State::Shaking(tls) => tls.is_handshaking(),
            State::Done => false,
        }
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let State::Shaking(tls) = &mut self.state else {
            // TLS updates no keys here (RFC 9001 section 6), and a client has nothing else to say.
            let unexpected = rustls::AlertDescription::UnexpectedMessage;
            return Err(failed(TransportErrorCode::crypto(unexpected.into()), "the handshake is over"));
        };
        if let Err(error) = tls.read_hs(bytes) {
            let alert = tls.alert().map(|alert| TransportErrorCode::crypto(alert.into()));
            return Err(failed(alert.unwrap_or(TransportErrorCode::PROTOCOL_VIOLATION), error));
        }
        if self.told || tls.alpn_protocol().is_none() && tls.is_handshaking() {
            return Ok(false);
        }
        self.protocol = tls.alpn_protocol().map(<[u8]>::to_vec);
        self.told = true;
        Ok(true)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let State::Shaking(tls) = &self.state else { return Ok(None) };
        let Some(mut theirs) = tls.quic_transport_parameters() else { return Ok(None) };
        Ok(Some(TransportParameters::read(Side::Server, &mut theirs)?))
    }

    fn write_handshake(&mut self, bytes: &mut Vec<u8>) -> Option<Keys> {
        let State::Shaking(tls) = &mut self.state else { return None };
        let before = bytes.len();
        let keys = match tls.write_hs(bytes) {
            Some(KeyChange::Handshake { keys }) => keys,
            Some(KeyChange::OneRtt { keys, next }) => {
                self.next = Some(next);
                keys
            }
            None => {
                if bytes.len() == before && !tls.is_handshaking() {
                    self.state = State::Done;
                }
                return None;
            }
        };
        Some(Keys {
            header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
            packet: KeyPair {
                local: Box::new(keys.local.packet),
                remote: Box::new(Unpadded(Box::new(keys.remote.packet))),
            },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn crypto::PacketKey>>> {
        let keys = self.next.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(keys.local), remote: Box::new(Unpadded(Box::new(keys.remote))) })
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        // Servers get none.
        false
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

/// A key whose packets come without the padding at their end (RFC 9000 section 19.1). Padding means nothing, but is made of
/// frames of one byte, each of which would be looked at by itself: first packets and probes of a path's size are of little
/// else.
struct Unpadded(Box<dyn crypto::PacketKey>);

impl crypto::PacketKey for Unpadded {
    fn encrypt(&self, packet: u64, bytes: &mut [u8], header_len: usize) {
        self.0.encrypt(packet, bytes, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.0.decrypt(packet, header, payload)?;
        payload.truncate(without_padding(payload));
        Ok(())
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.0.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.0.integrity_limit()
    }
}

/// How long a payload is without the padding at its end, of which one byte is left. Only what can be told for sure: where
/// zeros may belong to a frame, nothing is taken off.
fn without_padding(payload: &[u8]) -> usize {
    const PING: u8 = 0x01;
    const ACK: u8 = 0x02;
    const CRYPTO: u8 = 0x06;
    const IMMEDIATE_ACK: u8 = 0x1f;
    // The last frame but padding ends here, and what follows begins with a frame.
    let mut end = 0;
    while let Some(kind) = payload.get(end) {
        let frame = payload.get(end + 1..).unwrap_or_default();
        let len = match *kind {
            0 => {
                let Some(more) = frame.iter().position(|byte| *byte != 0) else { return end + 1 };
                Some(more)
            }
            PING | IMMEDIATE_ACK => Some(0),
            // Largest, delay, further ranges, first range; a gap and a length for each further range.
            ACK => integers(frame, 3).and_then(|(at, ranges)| {
                let ranges = usize::try_from(ranges).ok()?.checked_mul(2)?.checked_add(1)?;
                Some(at + integers(frame.get(at..)?, ranges)?.0)
            }),
            CRYPTO => integers(frame, 2).and_then(|(at, len)| at.checked_add(usize::try_from(len).ok()?)),
            _ => None,
        };
        let Some(len) = len else { break };
        end += 1 + len;
    }
    payload.len()
}

/// Where so many integers end, and the last of them.
fn integers(bytes: &[u8], count: usize) -> Option<(usize, u64)> {
    let (mut at, mut last) = (0, 0);
    for _ in 0..count {
        let (value, len) = integer(bytes.get(at..)?)?;
        (at, last) = (at + len, value);
    }
    Some((at, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_at_the_end_is_taken_off_behind_frames_whose_end_is_known() {
        let ping = [&[1][..], &[0; 1100]].concat();
        assert_eq!(without_padding(&ping), 2);
        let crypto = [&[0, 0, 6, 0, 3, 9, 0, 0][..], &[0; 900]].concat();
        assert_eq!(without_padding(&crypto), 9, "zeros of a frame are its own");
        let ack = [&[2, 0x40, 7, 0, 1, 3, 2, 0, 0x1f][..], &[0; 50]].concat();
        assert_eq!(without_padding(&ack), 10);
    }

    #[test]
    fn what_may_belong_to_a_frame_stays() {
        let stream = [&[1, 8, 4][..], &[0; 100]].concat();
        assert_eq!(without_padding(&stream), stream.len());
        for whole in [&[][..], &[1], &[0, 1], &[6, 0, 9, 0, 0], &[2, 1, 0, 0xff, 0], &[6, 0, 0xff, 0, 0, 0]] {
            assert_eq!(without_padding(whole), whole.len(), "{whole:?}");
        }
        let many = [2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(without_padding(&many), many.len());
    }
}
