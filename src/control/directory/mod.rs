//! Users, tokens, groups, members, pins and guests.
