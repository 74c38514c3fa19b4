//! Signalling: one message set over WebTransport and raw QUIC.

mod integer;
pub mod message;
pub mod quic;
pub mod quic_socket;
pub mod session;
pub mod webtransport;
