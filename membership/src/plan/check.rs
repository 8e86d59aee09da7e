//! Check: what is wrong with a plan, by field.

use super::{CouponKind, Plan, RewardKind};
use crate::tier::Tier;
use std::fmt;

/// A field of a plan that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where it stands, as `tiers.silver.growth`.
    pub field: String,
    /// What it must be.
    pub reason: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// The most that a plan may give or ask for at once.
const MOST: u64 = 1_000_000_000;
/// Words of a plan: ids of coupons, rewards and benefits.
const WORD_MAX: usize = 40;
const LIST_MAX: usize = 1_000;

struct Faults(Vec<Wrong>);

impl Faults {
    fn unless(&mut self, is_well: bool, field: impl fmt::Display, reason: &str) {
        if !is_well {
            self.0.push(Wrong { field: field.to_string(), reason: reason.to_owned() });
        }
    }

    fn words<'a>(&mut self, list: &str, words: impl Iterator<Item = &'a String>) {
        let mut count = 0;
        for word in words {
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            let is_word = (1..=WORD_MAX).contains(&word.len()) && word.bytes().all(allowed);
            self.unless(is_word, format!("{list}.{word}"), "a name is 1 to 40 of a-z 0-9 - _");
            count += 1;
        }
        self.unless(count <= LIST_MAX, list, "at most 1,000");
    }
}

impl Plan {
    /// What cannot be as it is; nothing for a good plan.
    #[must_use]
    pub fn check(&self) -> Vec<Wrong> {
        let mut faults = Faults(Vec::new());
        self.check_tiers(&mut faults);
        self.check_earning(&mut faults);
        self.check_coupons(&mut faults);
        self.check_rewards(&mut faults);
        faults.words("benefits", self.benefits.keys());
        faults.0
    }

    fn check_tiers(&self, faults: &mut Faults) {
        let thresholds = self.thresholds();
        faults.unless(
            thresholds[Tier::Regular] == 0,
            "tiers.regular.growth",
            "0: every member is regular",
        );
        for (lower, tier) in Tier::ALL.into_iter().zip(&Tier::ALL[1..]) {
            let rises = thresholds[*tier] > thresholds[lower];
            let reason = format!("over that of {lower}: thresholds must rise");
            faults.unless(rises, format!("tiers.{tier}.growth"), &reason);
            let falls = self.tier(*tier).discount < self.tier(lower).discount;
            let reason =
                format!("at least that of {lower}: each tier has the lower ones' benefits");
            faults.unless(!falls, format!("tiers.{tier}.discount"), &reason);
        }
        for tier in Tier::ALL {
            let plan = self.tier(tier);
            faults.unless(
                plan.discount < 100,
                format!("tiers.{tier}.discount"),
                "0 to 99 per cent",
            );
            let is_named = !plan.name.is_empty()
                && plan.name.values().all(|name| (1..=100).contains(&name.chars().count()));
            faults.unless(
                is_named,
                format!("tiers.{tier}.name"),
                "1 to 100 characters in each language",
            );
        }
    }

    fn check_earning(&self, faults: &mut Faults) {
        let is_currency =
            |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_uppercase());
        let is_minor = |minor| [1, 10, 100, 1_000].contains(&minor);
        let money = &self.money;
        faults.unless(is_currency(&money.currency), "money.currency", "three capital letters");
        faults.unless(is_minor(money.minor), "money.minor", "1, 10, 100 or 1000");
        faults.unless(money.reference_order > 0, "money.reference_order", "from 1");
        for (currency, rate) in &money.rates {
            let field = format!("money.rates.{currency}");
            let is_rate = is_currency(currency) && is_minor(rate.minor) && rate.thousandths > 0;
            faults.unless(
                is_rate,
                field,
                "three capital letters, minor 1 to 1000, thousandths from 1",
            );
        }
        let growth = &self.growth;
        let reference = u64::from(growth.order) * u64::from(money.reference_order);
        let weights = [reference, growth.invite.into(), growth.share.into(), growth.watch.into()];
        let names = ["an order of the reference", "an invite", "a share", "watching"];
        let fields = ["growth.order", "growth.invite", "growth.share", "growth.watch"];
        for heavier in 0..3 {
            let reason = format!("{} counts more than {}", names[heavier], names[heavier + 1]);
            faults.unless(weights[heavier] > weights[heavier + 1], fields[heavier + 1], &reason);
        }
        faults.unless((1..=120).contains(&growth.months), "growth.months", "1 to 120 months");
        faults.unless((1..=120).contains(&self.points.months), "points.months", "1 to 120 months");
        faults.unless(self.points.per_unit > 0, "points.per_unit", "from 1");
        faults.unless((1..=86_400).contains(&self.acts.watch_s), "acts.watch_s", "1 to 86,400 s");
        let amounts = [
            ("growth.order", growth.order),
            ("growth.invite", growth.invite),
            ("points.order", self.points.order),
            ("points.share", self.points.share),
            ("points.watch", self.points.watch),
            ("referral.registration", self.referral.registration),
            ("referral.first_order", self.referral.first_order),
            ("referral.silver", self.referral.silver),
            ("birthday.points", self.birthday.points),
        ];
        for (field, amount) in amounts {
            faults.unless(u64::from(amount) <= MOST / 1_000, field, "at most 1,000,000");
        }
        faults.unless(self.referral.watch_days > 0, "referral.watch_days", "from 1");
        for (rule, budget) in &self.budgets {
            let most = u64::MAX >> 2;
            faults.unless(*budget <= most, format!("budgets.{}", rule.as_str()), "below 2^62");
        }
    }

    fn check_coupons(&self, faults: &mut Faults) {
        faults.words("coupons", self.coupons.keys());
        for (id, coupon) in &self.coupons {
            let CouponKind { title, amount_cents, percent, days, sales, .. } = coupon;
            let takes = match (amount_cents, percent) {
                (Some(amount), None) => (1..=MOST).contains(amount),
                (None, Some(percent)) => (1..=100).contains(percent),
                _ => false,
            };
            let field = |name: &str| format!("coupons.{id}.{name}");
            faults.unless(
                takes,
                field("amount_cents"),
                "amount_cents from 1 or percent 1 to 100, one of them",
            );
            faults.unless(is_title(title), field("title"), "1 to 200 characters");
            faults.unless((1..=3_650).contains(days), field("days"), "1 to 3,650");
            faults.unless(sales.len() <= LIST_MAX, field("sales"), "at most 1,000");
        }
        let is_known = |kind: &Option<String>| {
            kind.as_ref().is_none_or(|kind| self.coupons.contains_key(kind))
        };
        faults.unless(is_known(&self.birthday.coupon), "birthday.coupon", "one of [coupons]");
    }

    fn check_rewards(&self, faults: &mut Faults) {
        faults.words("rewards", self.rewards.keys());
        for (id, reward) in &self.rewards {
            let field = |name: &str| format!("rewards.{id}.{name}");
            faults.unless(is_title(&reward.title), field("title"), "1 to 200 characters");
            let is_price = (1..=MOST).contains(&u64::from(reward.points));
            faults.unless(is_price, field("points"), "1 to 1,000,000,000");
            let is_coupon = reward.kind == RewardKind::Coupon;
            let names = reward.coupon.as_ref().is_some_and(|kind| self.coupons.contains_key(kind));
            let fits = if is_coupon { names } else { reward.coupon.is_none() };
            faults.unless(
                fits,
                field("coupon"),
                "one of [coupons] for a coupon, none for all else",
            );
            faults.unless(reward.limit != Some(0), field("limit"), "from 1");
        }
    }
}

fn is_title(text: &str) -> bool {
    (1..=200).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Plan)) -> Vec<String> {
        let mut plan = Plan::default();
        change(&mut plan);
        plan.check().into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn thresholds_must_rise_and_begin_at_0() {
        assert_eq!(wrong(|plan| plan.tiers.regular.growth = 1), ["tiers.regular.growth"]);
        assert_eq!(wrong(|plan| plan.tiers.gold.growth = 1_000), ["tiers.gold.growth"]);
        assert_eq!(wrong(|plan| plan.tiers.gold.discount = 1), ["tiers.gold.discount"]);
    }

    #[test]
    fn weights_fall_from_buying_to_watching() {
        assert_eq!(wrong(|plan| plan.growth.invite = 200), ["growth.invite"]);
        assert_eq!(wrong(|plan| plan.growth.share = 100), ["growth.share"]);
        assert_eq!(wrong(|plan| plan.growth.watch = 5), ["growth.watch"]);
        assert_eq!(wrong(|plan| plan.growth.order = 0), ["growth.invite"]);
    }

    #[test]
    fn rewards_and_coupons_name_what_there_is() {
        assert_eq!(wrong(|plan| plan.birthday.coupon = Some("none".into())), ["birthday.coupon"]);
        let reward = |plan: &mut Plan| plan.rewards.remove("coupon-10").unwrap();
        let other = |plan: &mut Plan| {
            let reward = reward(plan);
            plan.rewards.insert("Bad Name".into(), reward);
        };
        assert_eq!(wrong(other), ["rewards.Bad Name"]);
        let free = |plan: &mut Plan| plan.rewards.get_mut("coupon-10").unwrap().points = 0;
        assert_eq!(wrong(free), ["rewards.coupon-10.points"]);
        let both = |plan: &mut Plan| plan.coupons.get_mut("welcome").unwrap().percent = Some(5);
        assert_eq!(wrong(both), ["coupons.welcome.amount_cents"]);
    }
}
