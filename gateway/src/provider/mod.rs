//! The calls of the payment provider.

pub(crate) mod payments;
