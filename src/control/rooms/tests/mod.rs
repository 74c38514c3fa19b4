//! Rooms by behaviour, in simulated time.
