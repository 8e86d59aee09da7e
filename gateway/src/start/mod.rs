//! Starting and ending: options, keys, listeners.

pub(crate) mod accept;
pub(crate) mod options;
pub(crate) mod secrets;
pub(crate) mod serve;
