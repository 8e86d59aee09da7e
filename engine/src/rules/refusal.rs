//! Why a click was not accepted. The order of the variants is the order of the checks.

use crate::rules::time::Millis;
use crate::rules::units::Units;

/// Exactly one reason, the first in the order of checks. A refusal consumed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The click asks for no unit, or for more units than the tier's limit.
    #[error("units must be from 1 to {}", limit.0)]
    BadUnits {
        /// Most units that a click of this tier may ask for.
        limit: Units,
    },
    /// The idempotency key stands for a click with another body.
    #[error("this idempotency key was used for a click with another body")]
    IdempotencyConflict,
    /// A click with the same key is being judged at this moment.
    #[error("a click with this idempotency key is being judged; ask again")]
    IdempotencyInFlight,
    /// The sale is over.
    #[error("the sale is closed")]
    Closed,
    /// The tier has no window in this sale.
    #[error("this tier may not buy in this sale")]
    TierNotAdmitted,
    /// The member is a minor, and the sale is for adults.
    #[error("this sale is not for minors")]
    NotForMinors,
    /// The tier's window has not opened.
    #[error("the sale is not open for this tier yet")]
    NotOpen {
        /// When it opens for this tier.
        opens_at: Millis,
    },
    /// The operator has paused the sale.
    #[error("the sale is paused")]
    Paused,
    /// Fewer units than asked for are free.
    #[error("not enough units are left")]
    SoldOut {
        /// Units that nobody holds; more than 0 when some remain, but fewer than asked for.
        left: Units,
    },
    /// A member asked to wait although the sale has units.
    #[error("the sale has units; buy them instead of waiting")]
    NotSoldOut {
        /// Units that nobody holds.
        left: Units,
    },
    /// The member would hold more than the tier's limit.
    #[error("the limit of this tier is reached")]
    LimitReached {
        /// Most units that a member of this tier may hold in this sale.
        limit: Units,
        /// Units the member holds.
        held: Units,
    },
    /// The member has made as many orders in this sale as a member may, whatever became of them.
    #[error("this member has made as many orders in this sale as a member may")]
    TooManyOrders {
        /// The most orders of one member in one sale.
        most: u16,
    },
    /// The member has fewer points than the click would pay with.
    #[error("the member has {points} points that can be spent now")]
    NotEnoughPoints {
        /// What there is.
        points: u64,
    },
    /// The member does not have this coupon, or it is not good for this order.
    #[error("this coupon is not valid for this order")]
    CouponNotValid,
    /// The waitlist has no room for another member.
    #[error("the waitlist is full")]
    WaitlistFull,
    /// The sale cannot take orders at this moment: it was halted, or no seat is free.
    #[error("the sale cannot take orders at this moment")]
    Busy,
}

impl Refusal {
    /// How many kinds of refusal there are.
    pub const KINDS: usize = 16;

    /// The stable words that clients switch on, in the order of checks.
    pub const CODES: [&'static str; Self::KINDS] = [
        "bad_units",
        "idempotency_conflict",
        "idempotency_in_flight",
        "closed",
        "tier_not_admitted",
        "not_for_minors",
        "not_open",
        "paused",
        "sold_out",
        "not_sold_out",
        "limit_reached",
        "too_many_orders",
        "not_enough_points",
        "coupon_not_valid",
        "waitlist_full",
        "busy",
    ];

    /// Place in [`Refusal::CODES`].
    #[must_use]
    pub const fn kind(&self) -> usize {
        match self {
            Self::BadUnits { .. } => 0,
            Self::IdempotencyConflict => 1,
            Self::IdempotencyInFlight => 2,
            Self::Closed => 3,
            Self::TierNotAdmitted => 4,
            Self::NotForMinors => 5,
            Self::NotOpen { .. } => 6,
            Self::Paused => 7,
            Self::SoldOut { .. } => 8,
            Self::NotSoldOut { .. } => 9,
            Self::LimitReached { .. } => 10,
            Self::TooManyOrders { .. } => 11,
            Self::NotEnoughPoints { .. } => 12,
            Self::CouponNotValid => 13,
            Self::WaitlistFull => 14,
            Self::Busy => 15,
        }
    }

    /// The stable word that clients switch on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        Self::CODES[self.kind()]
    }
}
