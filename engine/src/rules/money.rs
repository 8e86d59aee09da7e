//! Money: what one order costs, and what of it went back.

use crate::rules::cents::Cents;
use crate::rules::units::Units;
use membership::event::Tender;
use membership::posting::Source;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that another system chose, as of a refund or a coupon: 1 to 64 of
/// `A-Z a-z 0-9 . _ : - @ | + = ~ *`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForeignId(Box<str>);

/// A text that is no [`ForeignId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to 64 characters of A-Z a-z 0-9 . _ : - @ | + = ~ *")]
pub struct BadForeignId;

impl ForeignId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ForeignId {
    type Err = BadForeignId;

    fn from_str(text: &str) -> Result<Self, BadForeignId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-@|+=~*".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadForeignId)
        }
    }
}

impl TryFrom<String> for ForeignId {
    type Error = BadForeignId;

    fn try_from(text: String) -> Result<Self, BadForeignId> {
        text.parse()
    }
}

impl From<ForeignId> for String {
    fn from(id: ForeignId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for ForeignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which price of a sale a member pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceKind {
    /// The price of the sale.
    List,
    /// The price of the member's tier.
    Tier,
    /// The price of a member day.
    MemberDay,
}

impl PriceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::List, Self::Tier, Self::MemberDay];

    /// The word for the kind in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Tier => "tier",
            Self::MemberDay => "member_day",
        }
    }
}

/// What an order costs. It is fixed at the click.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Of one unit, as the member pays it.
    pub price: Cents,
    /// Which price that is.
    pub kind: PriceKind,
    /// Points that the order is paid with in part; 0 for none.
    pub points: u64,
    /// The coupon that it uses.
    pub coupon: Option<ForeignId>,
    /// What is to be paid for the whole order.
    pub due: Cents,
}

impl Money {
    /// What the order is paid with beside money.
    #[must_use]
    pub fn tender(&self) -> Tender {
        let coupon = self.coupon.as_ref().map(|id| Source(id.to_string()));
        Tender { points: self.points, coupon }
    }

    /// Whether the order is paid with money alone.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.points == 0 && self.coupon.is_none()
    }

    /// So many units at the price of the sale.
    #[must_use]
    pub fn list(price: Cents, units: Units) -> Self {
        let due = Cents(price.0.saturating_mul(u64::from(units.0)));
        Self { price, kind: PriceKind::List, points: 0, coupon: None, due }
    }
}

/// Money of an order that went back: all of it, or a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The payment provider's own id of this refund.
    pub id: ForeignId,
    /// How much went back.
    pub amount: Cents,
}

/// The most refunds that one order may have.
pub const REFUNDS_MAX: usize = 100;

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_payment_channels_are_taken_and_separators_are_not() {
        for good in ["re_3MtwBwLkdIwHu7ix28a3tqPa", "8815658031721008", "T|2026*1@x-y"] {
            assert_eq!(good.parse::<ForeignId>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a,b", "a/b", "a{b", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ForeignId>(), Err(BadForeignId), "{bad}");
        }
    }
}
