//! Queued: what the confirmer is told of an order beside what the board shows of it.

use crate::rules::key::IdempotencyKey;

/// What an order on its way to the store has beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The key under which the click may be repeated.
    pub key: Option<IdempotencyKey>,
    /// It is paid with points or a coupon in part.
    pub is_mixed: bool,
}
