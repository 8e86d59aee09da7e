//! What a sale gives its members: prices, what points and coupons pay of them, and for whom it is there. What
//! the membership plan says of it is written down when the sale is made, so that no later plan changes it.

use crate::rules::cents::Cents;
use membership::plan::{CouponKind, Plan};
use membership::{PerTier, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a sale gives its members. As it is by default, a sale has one price, takes money alone, and is there
/// for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberTerms {
    /// The version of the plan that these are of; 0 for none.
    pub plan: u32,
    /// What is taken off the price of the sale, in per cent: 0 to 99.
    pub discounts: PerTier<u8>,
    /// The price on a member day.
    pub member_day_price: Option<Cents>,
    /// How much points may pay of what is left after a coupon, in per cent: 0 to 100.
    pub points_share_max: u8,
    /// What points are worth.
    pub worth: Worth,
    /// The coupons that the sale takes, by kind.
    pub coupons: BTreeMap<String, CouponTerms>,
    /// For whom the sale is there.
    pub audience: Audience,
    /// The sale is on no list.
    pub is_unlisted: bool,
}

/// So many points are worth so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// Points, from 1.
    pub points: u32,
    /// In the currency's minor unit, from 1.
    pub cents: u32,
}

impl Default for Worth {
    fn default() -> Self {
        Self { points: 1, cents: 1 }
    }
}

/// What a kind of coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponTerms {
    /// How much.
    pub off: Off,
    /// The smallest order that it is good for, before it is taken off.
    pub least_order: Cents,
}

/// How much a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// An amount, or the whole price of a cheaper order.
    Amount(Cents),
    /// So many per cent, 1 to 100.
    Percent(u8),
}

/// For whom a sale is there. To everyone else it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audience {
    /// The tiers that it is there for.
    pub tiers: PerTier<bool>,
    /// Only for members who are enrolled in the book.
    pub is_enrolled: bool,
}

impl Default for Audience {
    fn default() -> Self {
        Self { tiers: PerTier([true; 5]), is_enrolled: false }
    }
}

impl Audience {
    /// Whether the sale is there for everyone.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the sale is there for a member of this tier, who is enrolled or not.
    #[must_use]
    pub fn has(&self, tier: Tier, is_enrolled: bool) -> bool {
        self.tiers[tier] && (is_enrolled || !self.is_enrolled)
    }
}

impl MemberTerms {
    /// Takes over what a version of the plan says: discounts, and what points and these kinds of coupons are
    /// worth. A kind that the plan does not have, or that is for other sales, is left out.
    #[must_use]
    pub fn under(self, plan: &Plan, version: u32, sale: &str) -> Self {
        let terms = |kind: &CouponKind| {
            let off = match (kind.amount_cents, kind.percent) {
                (Some(amount), _) => Off::Amount(Cents(amount)),
                (None, percent) => Off::Percent(percent.unwrap_or(0)),
            };
            CouponTerms { off, least_order: Cents(kind.least_order_cents) }
        };
        let coupons = self.coupons.into_keys().filter_map(|name| {
            let kind = plan.coupons.get(&name)?;
            let is_for_it = kind.sales.is_empty() || kind.sales.iter().any(|id| id == sale);
            is_for_it.then(|| (name, terms(kind)))
        });
        Self {
            plan: version,
            discounts: PerTier(Tier::ALL.map(|tier| plan.tier(tier).discount)),
            worth: Worth { points: plan.points.per_unit, cents: plan.money.minor },
            coupons: coupons.collect(),
            ..self
        }
    }

    /// As these, but for what the plan says of them.
    pub(super) fn of_the_sale(&self) -> Self {
        let coupons = self.coupons.keys().map(|kind| {
            (kind.clone(), CouponTerms { off: Off::Percent(0), least_order: Cents(0) })
        });
        Self {
            plan: 0,
            discounts: PerTier::default(),
            worth: Worth::default(),
            coupons: coupons.collect(),
            ..self.clone()
        }
    }
}
