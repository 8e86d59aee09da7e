//! The calls of the operator listener.

pub(crate) mod blocked;
pub(crate) mod metrics;
pub(crate) mod sales;
