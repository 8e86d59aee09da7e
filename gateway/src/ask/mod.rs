//! What a request says, and whether it may be asked.

pub(crate) mod limits;
pub(crate) mod request;
pub(crate) mod session;
