//! Mixed price: what a click pays that is paid with points or a coupon in part. What it takes of the member's
//! purse is taken and given back like the limit.

use super::Sale;
use super::click::{Accepted, Click, MixedPrice};
use super::keys::Body;
use super::purse::Purses;
use crate::rules::money::{ForeignId, Money};
use crate::rules::order::Order;
use crate::rules::price::BadPoints;
use crate::rules::refusal::Refusal;
use crate::rules::time::Millis;
use membership::event::Tender;
use membership::posting::Source;

impl Sale {
    /// As [`Sale::buy`], of a click that pays with points, or with a coupon of the member's, in part.
    ///
    /// # Errors
    /// [`BadPoints`] if the order cannot be paid with so many points; inside, as [`Sale::buy`].
    pub fn buy_with(
        &self,
        now: Millis,
        click: Click,
        purses: &Purses,
        points: u64,
        coupon: Option<ForeignId>,
    ) -> Result<Result<Accepted, Refusal>, BadPoints> {
        let terms = &self.terms;
        let usual = terms.money(click.tier, click.units, now);
        let usable = coupon.as_ref().and_then(|id| purses.usable(click.seat, id, now));
        let kind = usable.and_then(|usable| terms.members.coupons.get(&usable.kind)).copied();
        let is_good = kind.is_some_and(|kind| kind.left_of(usual.due).is_some());
        let coupon_refused = match coupon {
            None => None,
            Some(_) if is_good => None,
            // Whether a member has a coupon whom the book was not asked about is not known.
            Some(_) if purses.free(click.seat).is_none() => Some(Refusal::Busy),
            Some(_) => Some(Refusal::CouponNotValid),
        };
        let money = match terms.money_with(usual, points, kind) {
            Ok(money) => Money { coupon, ..money },
            // Perhaps it is a click that was accepted when the price was another one.
            Err(bad) => {
                let coupon = coupon.map(|id| Source(id.to_string()));
                let body = Body { units: click.units, tender: Tender { points, coupon } };
                let known =
                    click.key.and_then(|key| self.keys.look(click.seat, key, &body).ok().flatten());
                return known.map(|number| Ok(Accepted { number, is_new: false })).ok_or(bad);
            }
        };
        Ok(self.judge(now, click, Some(&MixedPrice { money, coupon_refused, purses })))
    }

    /// What an order of this process costs.
    #[must_use]
    pub fn money(&self, order: &Order) -> Money {
        let mixed = self.mixed.pin().get(&order.number).cloned();
        mixed.unwrap_or_else(|| self.terms.money(order.tier, order.units, order.reserved_at))
    }
}
