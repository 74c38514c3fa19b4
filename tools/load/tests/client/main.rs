//! The native client against the server's own parts, in simulated time; scenarios and clients of another make against the server.

mod connection;
mod lite;
mod media;
mod negotiation;
mod participant;
mod reference;
mod relay;
mod rights;
mod scenarios;
mod server;
mod several_groups;
mod soak;
mod whip;
