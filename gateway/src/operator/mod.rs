//! The calls of the operator listener.

pub(crate) mod audit;
pub(crate) mod audited;
pub(crate) mod backup;
pub(crate) mod blocked;
pub(crate) mod book;
pub(crate) mod check_in;
pub(crate) mod key;
pub(crate) mod members;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod orders;
pub(crate) mod plan;
pub(crate) mod rehearse;
pub(crate) mod reports;
pub(crate) mod sales;
pub(crate) mod waitlist;
pub(crate) mod why;
