//! The page's port as it is met from outside: its certificate, the proxies before it, signalling by WebSocket, media by TCP.

mod acme;
mod certificate;
#[path = "../common/program.rs"]
mod program;
mod proxies;
mod websocket;
