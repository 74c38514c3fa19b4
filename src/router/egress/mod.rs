//! From the logs to the viewers: one [`slot::Slot`] per m-line, one [`outlet::Outlet`] per session.

pub(crate) mod numbers;
pub(crate) mod outlet;
pub(crate) mod pacer;
pub(crate) mod repair;
pub(crate) mod select;
pub(crate) mod sieve;
pub(crate) mod slot;
