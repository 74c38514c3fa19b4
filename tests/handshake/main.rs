//! DTLS handshakes as the server does them, against clients of two implementations.

mod bounds;
mod pair;
mod peers;
mod reference;
