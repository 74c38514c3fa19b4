//! SDP offers and answers.
