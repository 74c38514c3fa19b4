//! How much the way to one viewer carries.
//!
//! [`reported::Reported`] serves peers without transport-wide feedback: what they ask for by REMB, and what they say they
//! lose.

pub mod reported;

use crate::units::Bitrate;

/// No estimate is below this: sound goes on whatever happens.
pub const LEAST: Bitrate = Bitrate::from_kbps(60);
