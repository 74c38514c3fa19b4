//! The native client against the server's own parts, in simulated time.

mod connection;
mod lite;
mod media;
mod negotiation;
mod reference;
