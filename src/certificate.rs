//! The certificate of the QUIC endpoint and of DTLS.
