//! Every setting, its default and its check, in one place.
