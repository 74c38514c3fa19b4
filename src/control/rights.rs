//! The five rights and how they are decided.
