//! Live rooms: who is present, what is published, who watches what.
