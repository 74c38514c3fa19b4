//! Groups, rights, pins and live rooms: one actor owns all of it.

pub mod directory;
pub mod ids;
pub mod negotiate;
pub mod rights;
pub mod rooms;
pub mod store;
