//! What the payment provider tells.

pub(crate) mod payments;
