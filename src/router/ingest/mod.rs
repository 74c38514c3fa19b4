//! From publishers to the logs.

pub(crate) mod arrivals;
pub(crate) mod dependencies;
pub(crate) mod frames;
pub(crate) mod limit;
pub(crate) mod meter;
pub(crate) mod packet;
pub(crate) mod reception;
pub(crate) mod round_trip;
pub(crate) mod shape;
pub(crate) mod streams;
