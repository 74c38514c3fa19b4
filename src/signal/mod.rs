//! Signalling: one message set over WebTransport, raw QUIC and WebSocket.

mod integer;
pub mod lines;
pub mod message;
pub mod quic;
pub mod quic_socket;
pub mod session;
pub mod websocket;
pub mod webtransport;
