//! Why: for what reason an accepted click's order was released.

use serde::{Deserialize, Serialize};

/// Why an order was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The member had fewer points by then.
    NotEnoughPoints,
    /// The member did not have the coupon any more.
    CouponNotValid,
    /// The member would have held more than the tier's limit.
    LimitReached,
    /// Fewer units were left.
    SoldOut,
    /// Another process sold the sale by then. Such an order is not stored.
    Fenced,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::NotEnoughPoints,
        Self::CouponNotValid,
        Self::LimitReached,
        Self::SoldOut,
        Self::Fenced,
    ];

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEnoughPoints => "not_enough_points",
            Self::CouponNotValid => "coupon_not_valid",
            Self::LimitReached => "limit_reached",
            Self::SoldOut => "sold_out",
            Self::Fenced => "fenced",
        }
    }
}
