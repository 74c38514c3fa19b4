//! How much the way to one viewer carries.
//!
//! An [`Estimator`] judges from transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): the delay
//! (`groups`, `trend`, `aimd`: draft-ietf-rmcat-gcc-02), the losses (`loss`), and what short bursts show
//! (`probe`). [`reported::Reported`] serves peers that do not give it.

mod acknowledged;
mod aimd;
mod estimator;
mod feedback;
mod groups;
mod loss;
mod probe;
pub mod reported;
mod sent;
mod trend;

pub use estimator::Estimator;

use crate::units::Bitrate;

/// No estimate is below this: sound goes on whatever happens.
pub const LEAST: Bitrate = Bitrate::from_kbps(60);
