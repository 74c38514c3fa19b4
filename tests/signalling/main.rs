//! Signalling as clients meet it: real QUIC and WebTransport clients on loopback against the real endpoint, session
//! code, control plane and store.

mod calls;
mod chat;
mod client;
#[path = "../common/control_plane.rs"]
mod control_plane;
#[path = "../common/door.rs"]
mod door;
mod limits;
mod over_quic;
mod over_webtransport;
mod rights;
mod waves;
