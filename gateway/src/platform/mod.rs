//! The calls of the platform listener, for the platform's own servers.

pub(crate) mod clicks;
