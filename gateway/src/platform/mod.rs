//! The calls of the platform listener, for the platform's own servers.

pub(crate) mod acts;
pub(crate) mod clicks;
pub(crate) mod members;
pub(crate) mod outbox;
