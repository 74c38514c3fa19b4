//! The sans-I/O core of one shard.

pub mod command;
pub mod event;
pub mod id;
