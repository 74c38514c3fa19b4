//! DTLS handshakes, on worker threads.
