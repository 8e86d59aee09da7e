//! Holds: points and a coupon that are kept for an order until it is paid or ends.

use super::membership::{Membership, Taking, signed};
use super::parts::{Coupon, CouponState, Hold};
use crate::event::{Refused, Tender};
use crate::lots::{Lot, TooLittle};
use crate::posting::{AMOUNT_MAX, Account, Kind, Source};
use crate::time::Millis;
use std::time::Duration;

/// No order may stay unpaid for longer.
const PAY_WITHIN_MAX: Duration = Duration::from_secs(31 * 86_400);
/// Most holds of one member at a time.
const HOLDS_MAX: usize = 1_000;

impl Membership {
    /// Keeps points and a coupon for an order: both, or nothing.
    pub(super) fn hold(
        &mut self,
        order: &Source,
        with: &Tender,
        until: Millis,
        taking: &mut Taking<'_>,
    ) -> Result<(), Refused> {
        if with.is_nothing() || with.points > AMOUNT_MAX {
            return Err(Refused::BadAmount);
        }
        if taking.context.posted(Account::Held, Kind::GivenBack, order).is_some() {
            return Err(Refused::HoldIsOver);
        }
        let kinds = [Kind::Hold, Kind::Spent];
        if kinds.into_iter().any(|kind| taking.is_posted(Account::Held, kind, order)) {
            return Ok(());
        }
        if self.holds.len() >= HOLDS_MAX {
            return Err(Refused::TooMany(HOLDS_MAX));
        }
        let (points, at) = (with.points, taking.context.at);
        let lots = self.points.debit(points, at);
        let lots = lots.map_err(|TooLittle { has }| Refused::NotEnoughPoints { has })?;
        if let Some(id) = &with.coupon {
            let is_good = |coupon: &&mut Coupon| coupon.id == *id && coupon.is_good(at);
            let coupon = self.coupons.iter_mut().find(is_good).ok_or(Refused::CouponNotValid)?;
            coupon.state = CouponState::Held(order.clone());
        }
        self.holds.push(Hold { order: order.clone(), lots, until });
        if points > 0 {
            self.post(Account::Points, Kind::Hold, order, -signed(points), None, taking);
        }
        // A coupon alone is a line, too: by it the hold is known again.
        self.post(Account::Held, Kind::Hold, order, signed(points), None, taking);
        Ok(())
    }

    /// Keeps what an order is paid with that is confirmed and has no hold: the book was restored to a state of
    /// before it. What is not there any more is taken when the order is paid.
    pub(super) fn hold_again(&mut self, order: &Source, with: &Tender, taking: &mut Taking<'_>) {
        let posted = |kind| taking.context.posted(Account::Held, kind, order).is_some();
        if with.is_nothing() || [Kind::Hold, Kind::Spent, Kind::GivenBack].into_iter().any(posted) {
            return;
        }
        let until = taking.context.at + PAY_WITHIN_MAX;
        // Another order may have the coupon by now; this one keeps its points all the same.
        let without = Tender { coupon: None, ..with.clone() };
        for with in [with, &without] {
            let mut again = self.clone();
            if again.hold(order, with, until, taking).is_ok() {
                *self = again;
                return;
            }
        }
    }

    /// Takes the hold of an order; `None` if nothing is kept for it.
    fn take_hold(&mut self, order: &Source) -> Option<Hold> {
        let at = self.holds.iter().position(|hold| hold.order == *order)?;
        Some(self.holds.remove(at))
    }

    /// Spends what is kept for an order. If it went back because its time was over, it is taken once more,
    /// also if it is not there any more.
    pub(super) fn spend(&mut self, order: &Source, with: &Tender, taking: &mut Taking<'_>) {
        if with.is_nothing() {
            return;
        }
        let kept = self.take_hold(order).map_or(0, |hold| amount(&hold.lots));
        if kept == 0 && with.points > 0 {
            self.points.claw_back(with.points, taking.context.at);
            self.post(Account::Points, Kind::Spent, order, -signed(with.points), None, taking);
        }
        self.post(Account::Held, Kind::Spent, order, -kept, None, taking);
        let is_it = |coupon: &&mut Coupon| {
            Some(&coupon.id) == with.coupon.as_ref()
                && !matches!(coupon.state, CouponState::Used(_))
        };
        if let Some(coupon) = self.coupons.iter_mut().find(is_it) {
            coupon.state = CouponState::Used(order.clone());
        }
    }

    /// Gives back what is kept for an order. What was spent on it comes back as new points. Returns whether
    /// anything came back.
    pub(super) fn give_back(
        &mut self,
        order: &Source,
        with: &Tender,
        taking: &mut Taking<'_>,
    ) -> bool {
        if let Some(hold) = self.take_hold(order) {
            self.return_hold(&hold, taking);
            return true;
        }
        let source = order.returned();
        let posted = |kind, source| taking.context.posted(Account::Held, kind, source).is_some();
        if !posted(Kind::Spent, order) || posted(Kind::GivenBack, &source) {
            return false;
        }
        self.free_coupon(order);
        self.post(Account::Held, Kind::GivenBack, &source, 0, None, taking);
        if with.points > 0 {
            self.credit(Account::Points, Kind::GivenBack, &source, with.points, taking);
        }
        true
    }

    /// Gives back what is kept by a hold.
    pub(super) fn return_hold(&mut self, hold: &Hold, taking: &mut Taking<'_>) {
        let (order, points) = (&hold.order, amount(&hold.lots));
        hold.lots.iter().for_each(|lot| self.points.credit(*lot));
        self.free_coupon(order);
        self.post(Account::Held, Kind::GivenBack, order, -points, None, taking);
        if points > 0 {
            self.post(Account::Points, Kind::GivenBack, order, points, None, taking);
        }
        // What has expired while it was kept does not count any more.
        self.expire(taking);
    }

    fn free_coupon(&mut self, order: &Source) {
        for coupon in &mut self.coupons {
            match &coupon.state {
                CouponState::Held(by) | CouponState::Used(by) if by == order => {
                    coupon.state = CouponState::Free;
                }
                _ => {}
            }
        }
    }

    /// The coupons that can be used at an instant.
    pub fn good_coupons(&self, at: Millis) -> impl Iterator<Item = &Coupon> {
        self.coupons.iter().filter(move |coupon| coupon.is_good(at))
    }
}

fn amount(lots: &[Lot]) -> i64 {
    signed(lots.iter().map(|lot| lot.amount).sum())
}
