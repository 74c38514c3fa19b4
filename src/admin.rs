//! The admin socket: how `millrace token` talks to a server that runs.
