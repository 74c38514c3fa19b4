//! A whole call: whatever people and their networks do, in any order. See `millrace_sim::operations`.

/// Plays it.
pub fn run(data: &[u8]) {
    millrace_sim::operations::play(data);
}
