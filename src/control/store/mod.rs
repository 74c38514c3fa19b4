//! The embedded store behind a small trait.
