//! The calls of the operator listener.

pub(crate) mod blocked;
pub(crate) mod key;
pub(crate) mod metrics;
pub(crate) mod orders;
pub(crate) mod sales;
mod to_the_end;
pub(crate) mod waitlist;
