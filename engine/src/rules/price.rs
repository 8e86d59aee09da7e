//! Price: what an order costs, by the tier and the instant of its click. It is computed from the terms, so a
//! click that pays with money alone carries no price with it.

use crate::rules::cents::Cents;
use crate::rules::member_terms::{CouponTerms, Off, Worth};
use crate::rules::money::{Money, PriceKind};
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::Tier;

/// What a part in per cent comes to, rounded down; the part is at most 100.
fn percent(of: Cents, percent: u8) -> Cents {
    let part = u128::from(of.0) * u128::from(percent) / 100;
    Cents(u64::try_from(part).unwrap_or(of.0))
}

impl Worth {
    /// What so many points are worth, rounded down.
    #[must_use]
    pub fn of(self, points: u64) -> Cents {
        let worth = u128::from(points) * u128::from(self.cents) / u128::from(self.points.max(1));
        Cents(u64::try_from(worth).unwrap_or(u64::MAX))
    }

    /// The most points that are worth a whole number of the minor unit, and no more than so much.
    #[must_use]
    pub fn most(self, worth: Cents) -> u64 {
        let (points, cents) = (u128::from(self.points.max(1)), u128::from(self.cents.max(1)));
        // Points come in steps that are worth a whole number.
        let divisor = divisor(points, cents);
        let (step, step_worth) = (points / divisor, cents / divisor);
        u64::try_from(u128::from(worth.0) / step_worth * step).unwrap_or(u64::MAX)
    }
}

fn divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl CouponTerms {
    /// What is left to pay of an order with this coupon, rounded down; `None` if the order is too small for it.
    #[must_use]
    pub fn left_of(&self, price: Cents) -> Option<Cents> {
        (price >= self.least_order).then(|| match self.off {
            Off::Amount(Cents(amount)) => Cents(price.0.saturating_sub(amount)),
            Off::Percent(off) => percent(price, 100 - off.min(100)),
        })
    }
}

/// A click that would pay with more points than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPoints {
    /// The sale takes fewer points for such an order.
    #[error("points: 0 to {0} for this order")]
    TooMany(u64),
    /// They are worth a part of the minor unit.
    #[error("points: in steps that are worth a whole number of the currency's minor unit; {0} are")]
    NotWhole(u64),
}

impl Terms {
    /// What one unit costs a member of this tier at an instant: the lowest price that applies, rounded down.
    #[must_use]
    pub fn price_of(&self, tier: Tier, at: Millis) -> (Cents, PriceKind) {
        // What costs something costs something for everyone.
        let least = Cents(1).min(self.price);
        let tiers = percent(self.price, 100 - self.members.discounts[tier].min(99)).max(least);
        let lowest = match tiers < self.price {
            true => (tiers, PriceKind::Tier),
            false => (self.price, PriceKind::List),
        };
        match self.members.member_day_price {
            Some(price) if price < lowest.0 && at.is_member_day() => (price, PriceKind::MemberDay),
            _ => lowest,
        }
    }

    /// What an order costs that is paid with money alone.
    #[must_use]
    pub fn money(&self, tier: Tier, units: Units, at: Millis) -> Money {
        let (price, kind) = self.price_of(tier, at);
        Money { kind, ..Money::list(price, units) }
    }

    /// What an order costs that is paid with points and a coupon in part. A coupon that the order is too
    /// small for takes nothing off.
    ///
    /// # Errors
    /// [`BadPoints`]
    pub fn money_with(
        &self,
        money: Money,
        points: u64,
        coupon: Option<CouponTerms>,
    ) -> Result<Money, BadPoints> {
        let left = coupon.and_then(|terms| terms.left_of(money.due));
        let left = left.unwrap_or(money.due);
        let (worth, most) = (self.members.worth, self.points_most(left));
        if points > most {
            return Err(BadPoints::TooMany(most));
        }
        let paid = worth.of(points);
        let whole = worth.most(paid);
        if whole < points {
            return Err(BadPoints::NotWhole(whole));
        }
        Ok(Money { points, due: Cents(left.0 - paid.0), ..money })
    }

    /// The most points that may pay of so much, which is what is left after a coupon.
    #[must_use]
    pub fn points_most(&self, left: Cents) -> u64 {
        self.members.worth.most(percent(left, self.members.points_share_max.min(100)))
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::member_terms::MemberTerms;
    use crate::rules::window::Windows;
    use membership::PerTier;

    /// Wednesday, 2026-07-01, 00:00 in Shanghai.
    const WEDNESDAY: Millis = Millis(1_782_835_200_000);

    fn terms(price: u64, members: MemberTerms) -> Terms {
        Terms {
            id: "drop".parse().expect("a sale id"),
            title: "A lamp".into(),
            price: Cents(price),
            currency: "CNY".into(),
            stock: Units(10),
            windows: Windows::new(PerTier([Some(Millis(0)); 5]), Millis::MAX).expect("windows"),
            limits: PerTier([Units(5); 5]),
            pay_within_s: 1,
            adults_only: false,
            image_url: None,
            members,
        }
    }

    fn members() -> MemberTerms {
        MemberTerms { discounts: PerTier([0, 2, 4, 6, 8]), ..MemberTerms::default() }
    }

    #[test]
    fn each_tier_has_its_price_rounded_down_for_the_member() {
        let smallest = terms(1, members()).price_of(Tier::Diamond, Millis(0));
        let terms = terms(9_999, members());
        let of = |tier| terms.price_of(tier, Millis(0));
        assert_eq!(of(Tier::Regular), (Cents(9_999), PriceKind::List));
        assert_eq!(of(Tier::Silver), (Cents(9_799), PriceKind::Tier));
        assert_eq!(of(Tier::Diamond), (Cents(9_199), PriceKind::Tier));
        assert_eq!(smallest, (Cents(1), PriceKind::List), "only a free sale costs nothing");
    }

    #[test]
    fn a_member_day_is_a_wednesday_in_shanghai_to_the_millisecond() {
        let members = MemberTerms { member_day_price: Some(Cents(9_500)), ..members() };
        let terms = terms(10_000, members);
        let of = |tier, at| terms.price_of(tier, Millis(at));
        let (begins, ends) = (WEDNESDAY.0, WEDNESDAY.0 + 86_400_000);
        assert_eq!(of(Tier::Regular, begins - 1), (Cents(10_000), PriceKind::List));
        assert_eq!(of(Tier::Regular, begins), (Cents(9_500), PriceKind::MemberDay));
        assert_eq!(of(Tier::Silver, ends - 1), (Cents(9_500), PriceKind::MemberDay));
        assert_eq!(of(Tier::Silver, ends), (Cents(9_800), PriceKind::Tier));
        // Prices do not add up: the lowest one counts.
        assert_eq!(of(Tier::Diamond, begins), (Cents(9_200), PriceKind::Tier));
    }

    #[test]
    fn a_coupon_comes_off_first_and_points_pay_a_share_of_what_is_left() {
        let members = MemberTerms {
            points_share_max: 50,
            worth: Worth { points: 100, cents: 100 },
            ..members()
        };
        let terms = terms(10_000, members);
        let coupon = |off, least| Some(CouponTerms { off, least_order: Cents(least) });
        let money = |points, coupon| {
            let money = terms.money(Tier::Silver, Units(2), Millis(0));
            terms.money_with(money, points, coupon).map(|money| money.due.0)
        };
        assert_eq!(money(0, None), Ok(19_600));
        assert_eq!(money(9_800, None), Ok(9_800));
        assert_eq!(money(9_801, None), Err(BadPoints::TooMany(9_800)));
        assert_eq!(money(9_000, coupon(Off::Amount(Cents(1_600)), 19_600)), Ok(9_000));
        assert_eq!(
            money(9_001, coupon(Off::Amount(Cents(1_600)), 0)),
            Err(BadPoints::TooMany(9_000))
        );
        assert_eq!(money(0, coupon(Off::Amount(Cents(1_600)), 19_601)), Ok(19_600));
        assert_eq!(money(0, coupon(Off::Percent(33), 0)), Ok(13_132));
        assert_eq!(money(0, coupon(Off::Amount(Cents(99_999)), 0)), Ok(0));
    }

    #[test]
    fn points_come_in_steps_that_are_worth_a_whole_number() {
        // A hundred points are one yen.
        let worth = Worth { points: 100, cents: 1 };
        assert_eq!((worth.of(199), worth.most(Cents(3))), (Cents(1), 300));
        let members = MemberTerms { points_share_max: 100, worth, ..MemberTerms::default() };
        let terms = terms(1_000, members);
        let money = |points| {
            let money = terms.money(Tier::Regular, Units(1), Millis(0));
            terms.money_with(money, points, None).map(|money| money.due.0)
        };
        assert_eq!((money(199), money(200)), (Err(BadPoints::NotWhole(100)), Ok(998)));
        let odd = Worth { points: 30, cents: 100 };
        assert_eq!((odd.most(Cents(9)), odd.most(Cents(19)), odd.of(6)), (0, 3, Cents(20)));
    }
}
