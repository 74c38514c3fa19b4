//! Sockets and drivers: the only room with `unsafe` and system calls.

#![allow(unsafe_code)]
