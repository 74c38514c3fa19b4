//! Limits on what one may send and get (platform API section 6).

/// Voices that a viewer may hear at once at the most: each costs an audio slot of its connection.
pub const MAX_VOICES: u8 = 32;
