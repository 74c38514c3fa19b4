//! The UDP socket of quinn, which is the shards' own.
