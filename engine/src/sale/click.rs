//! Click: what a sale judges, and what an accepted click became.

use crate::rules::key::IdempotencyKey;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
use membership::Tier;

/// A member's wish to buy; seat and tier are vouched for by the member's session.
#[derive(Debug, Clone, Copy)]
pub struct Click {
    /// The member's seat.
    pub seat: Seat,
    /// The member's tier at this instant.
    pub tier: Tier,
    /// Units asked for.
    pub units: Units,
    /// Makes a repetition of this click safe.
    pub key: Option<IdempotencyKey>,
}

/// The answer to an accepted click: this order is the member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The order's number.
    pub number: u64,
    /// False when the click repeats one that was accepted before.
    pub is_new: bool,
}
