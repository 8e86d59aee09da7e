//! Plan: what members earn, what it is worth and what it buys. A platform writes it as a file or sends
//! it; each version has a number, which postings name.

mod check;

pub use check::Wrong;

use crate::posting::Kind;
use crate::tier::{PerTier, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A membership plan. One that was read is checked by [`Plan::check`] before it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What reaches a tier, and what it brings.
    pub tiers: Tiers,
    /// The currency.
    pub money: MoneyPlan,
    /// Growth for an act.
    pub growth: GrowthPlan,
    /// Points for an act, and what they are worth.
    pub points: PointsPlan,
    /// What counts in a day.
    pub acts: ActsPlan,
    /// What referrals earn.
    pub referral: ReferralPlan,
    /// The gift of a birthday.
    pub birthday: BirthdayPlan,
    /// Coupons, by kind.
    #[serde(default)]
    pub coupons: BTreeMap<String, CouponKind>,
    /// What points buy, by id.
    #[serde(default)]
    pub rewards: BTreeMap<String, Reward>,
    /// From which tier on members have a benefit.
    #[serde(default)]
    pub benefits: BTreeMap<String, Tier>,
    /// The most points that a rule gives in a day.
    #[serde(default)]
    pub budgets: BTreeMap<Kind, u64>,
}

/// A value for each tier, by its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are the tiers' words")]
pub struct Tiers {
    pub regular: TierPlan,
    pub silver: TierPlan,
    pub gold: TierPlan,
    pub platinum: TierPlan,
    pub diamond: TierPlan,
}

/// What reaches a tier, and what it brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierPlan {
    /// Growth of the last months from which on a member has the tier.
    pub growth: u64,
    /// What is taken off a list price, in per cent.
    pub discount: u8,
    /// What viewers read, by language.
    pub name: BTreeMap<String, String>,
}

/// The plan's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyPlan {
    /// ISO 4217.
    pub currency: String,
    /// Minor units in one unit: 100 for CNY, 1 for JPY.
    pub minor: u32,
    /// The order by which acts are compared, in units.
    pub reference_order: u32,
    /// Units of other currencies: how many thousandths of one of this currency's each is.
    #[serde(default)]
    pub rates: BTreeMap<String, Rate>,
}

/// What another currency is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Minor units in one unit.
    pub minor: u32,
    /// One unit, in thousandths of the plan's currency.
    pub thousandths: u32,
}

/// Growth for an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowthPlan {
    /// For each unit of the currency paid.
    pub order: u32,
    /// For a referee who has shown to be a member.
    pub invite: u32,
    /// For a share.
    pub share: u32,
    /// For each [`ActsPlan::watch_s`] watched.
    pub watch: u32,
    /// For so many months growth counts, and so long a tier is kept.
    #[serde(default = "a_year")]
    pub months: u16,
}

/// Points for an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsPlan {
    /// For each unit of the currency paid.
    pub order: u32,
    /// For a share.
    pub share: u32,
    /// For each [`ActsPlan::watch_s`] watched.
    pub watch: u32,
    /// Points that are worth one unit of the currency.
    pub per_unit: u32,
    /// They expire at the end of the month so many months later.
    pub months: u16,
}

/// What counts in a day in Shanghai.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActsPlan {
    /// Shares.
    pub shares_a_day: u8,
    /// Times [`ActsPlan::watch_s`].
    pub watches_a_day: u8,
    /// How long a show is watched for one credit, in seconds.
    pub watch_s: u32,
}

/// What referrals earn, in points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferralPlan {
    /// For both, once the referee has shown to be a member.
    pub registration: u32,
    /// For the referrer, at the referee's first order.
    pub first_order: u32,
    /// For the referrer, when the referee reaches silver.
    pub silver: u32,
    /// So many referees of one referrer count in a month.
    pub referees_a_month: u16,
    /// Watching on so many days shows a referee to be a member.
    pub watch_days: u8,
}

/// The gift of a birthday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BirthdayPlan {
    /// The lowest tier that gets it.
    pub from: Tier,
    /// Points.
    pub points: u32,
    /// A coupon, by kind.
    #[serde(default)]
    pub coupon: Option<String>,
}

/// A kind of coupon: an amount or a part of the price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouponKind {
    /// What members read.
    pub title: String,
    /// What it takes off, in the currency's minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_cents: Option<u64>,
    /// What it takes off, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The smallest order that it is good for.
    #[serde(default)]
    pub least_order_cents: u64,
    /// For so many days after it was issued it is good.
    pub days: u16,
    /// Sales that it is good for, by id; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sales: Vec<String>,
}

/// What points buy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reward {
    /// What members read.
    pub title: String,
    /// What it is.
    pub kind: RewardKind,
    /// The coupon that it is, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// Its price.
    pub points: u32,
    /// The lowest tier that may have it.
    #[serde(default = "lowest")]
    pub from: Tier,
    /// How many there are; none for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// How many one member may have; none for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What a reward is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// A coupon of the plan.
    Coupon,
    /// Something that is sent.
    Goods,
    /// Something to give in a show.
    Gift,
    /// A chance to interact with the host.
    Interaction,
}

fn a_year() -> u16 {
    12
}

fn lowest() -> Tier {
    Tier::Regular
}

/// Money that a member paid, in a currency's minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid<'a> {
    /// So much of it.
    pub minor: u64,
    /// ISO 4217.
    pub currency: &'a str,
}

impl Default for Plan {
    /// The plan of a platform that names none.
    fn default() -> Self {
        toml::from_str(include_str!("default.toml")).expect("the plan inside is one")
    }
}

impl Plan {
    /// What reaches each tier.
    #[must_use]
    pub fn thresholds(&self) -> PerTier<u64> {
        let Tiers { regular, silver, gold, platinum, diamond } = &self.tiers;
        PerTier([regular, silver, gold, platinum, diamond].map(|tier| tier.growth))
    }

    /// What a tier brings.
    #[must_use]
    pub const fn tier(&self, tier: Tier) -> &TierPlan {
        match tier {
            Tier::Regular => &self.tiers.regular,
            Tier::Silver => &self.tiers.silver,
            Tier::Gold => &self.tiers.gold,
            Tier::Platinum => &self.tiers.platinum,
            Tier::Diamond => &self.tiers.diamond,
        }
    }

    /// The tier that so much growth reaches.
    #[must_use]
    pub fn tier_of(&self, growth: i64) -> Tier {
        let growth = u64::try_from(growth).unwrap_or(0);
        let thresholds = self.thresholds();
        let reached = thresholds.iter().rev().find(|(_, threshold)| growth >= **threshold);
        reached.map_or(Tier::Regular, |(tier, _)| tier)
    }

    /// Whole units of the plan's currency, rounded down; 0 for a currency that has no rate.
    #[must_use]
    pub fn units(&self, paid: Paid<'_>) -> u64 {
        let MoneyPlan { currency, minor, rates, .. } = &self.money;
        if paid.currency == currency {
            return paid.minor / u64::from(*minor);
        }
        let Some(rate) = rates.get(paid.currency) else { return 0 };
        let thousandths = u128::from(paid.minor) * u128::from(rate.thousandths);
        u64::try_from(thousandths / (1_000 * u128::from(rate.minor))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_inside_is_good_and_is_what_was_agreed() {
        let plan = Plan::default();
        assert_eq!(plan.check(), []);
        assert_eq!(plan.thresholds().0, [0, 1_000, 5_000, 20_000, 60_000]);
        assert_eq!(Tier::ALL.map(|tier| plan.tier(tier).discount), [0, 2, 4, 6, 8]);
        let GrowthPlan { order, invite, share, watch, months } = plan.growth;
        assert_eq!((order, invite, share, watch, months), (1, 100, 5, 1, 12));
        let ReferralPlan { registration, first_order, silver, .. } = plan.referral;
        assert_eq!((registration, first_order, silver), (50, 100, 200));
    }

    #[test]
    fn growth_reaches_the_highest_tier_whose_threshold_it_has() {
        let plan = Plan::default();
        let of = |growth| plan.tier_of(growth);
        assert_eq!([of(-5), of(0), of(999)], [Tier::Regular; 3]);
        assert_eq!([of(1_000), of(4_999), of(5_000)], [Tier::Silver, Tier::Silver, Tier::Gold]);
        assert_eq!([of(60_000), of(i64::MAX)], [Tier::Diamond; 2]);
    }

    #[test]
    fn money_counts_in_whole_units_of_the_plans_currency() {
        let mut plan = Plan::default();
        let rate = Rate { minor: 100, thousandths: 7_150 };
        plan.money.rates.insert("USD".into(), rate);
        plan.money.rates.insert("JPY".into(), Rate { minor: 1, thousandths: 46 });
        let units = |minor, currency| plan.units(Paid { minor, currency });
        assert_eq!([units(19_999, "CNY"), units(99, "CNY")], [199, 0]);
        assert_eq!([units(1_000, "USD"), units(1_000, "JPY"), units(1_000, "EUR")], [71, 46, 0]);
        assert_eq!(units(u64::MAX, "USD"), 1_318_942_201_270_232_940);
    }
}
