//! One core's thread: datagrams in, router, datagrams out.
