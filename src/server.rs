//! Wiring: starts the planes and stops them.
