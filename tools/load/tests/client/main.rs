//! The native client against the server's own parts, in simulated time, and clients of another make against the server.

mod connection;
mod lite;
mod media;
mod negotiation;
mod reference;
mod relay;
