//! Orders: their points are pending from their confirmation on, and count with their growth once they
//! are paid. What goes back takes its part back.

use super::membership::{Membership, Taking, signed};
use crate::event::{Event, Order, Refund, Stage, Tender};
use crate::plan::Paid;
use crate::posting::{AMOUNT_MAX, Account, Basis, Kind, Source};

impl Membership {
    pub(super) fn confirmed(&mut self, order: &Order, taking: &mut Taking<'_>) {
        let is_over = taking.context.posted(Account::Growth, Kind::Order, &order.id).is_some();
        if is_over || taking.is_posted(Account::Pending, Kind::Order, &order.id) {
            taking.outcome.is_known = true;
            return;
        }
        self.hold_again(&order.id, &order.with, taking);
        let points = points_of(order, taking);
        self.pending += points;
        self.post(Account::Pending, Kind::Order, &order.id, signed(points), None, taking);
    }

    pub(super) fn ended(&mut self, order: &Source, with: &Tender, taking: &mut Taking<'_>) {
        let has_ended = self.end_pending(order, taking).is_some();
        let came_back = self.give_back(order, with, taking);
        taking.outcome.is_known = !has_ended && !came_back;
    }

    /// Nothing of the order is pending any more. Returns the points that were.
    fn end_pending(&mut self, order: &Source, taking: &mut Taking<'_>) -> Option<u64> {
        let pending = taking.context.posted(Account::Pending, Kind::Order, order)?;
        if taking.context.posted(Account::Pending, Kind::OrderEnded, order).is_some() {
            return None;
        }
        let points = u64::try_from(pending.amount).unwrap_or(0);
        self.pending = self.pending.saturating_sub(points);
        self.post(Account::Pending, Kind::OrderEnded, order, -pending.amount, None, taking);
        Some(points)
    }

    pub(super) fn paid(&mut self, order: &Order, taking: &mut Taking<'_>) {
        if taking.is_posted(Account::Growth, Kind::Order, &order.id) {
            return;
        }
        // The points that the member was shown count, whatever plan holds by now.
        let shown = self.end_pending(&order.id, taking);
        let points = shown.unwrap_or_else(|| points_of(order, taking));
        let plan = taking.context.plan;
        let growth = plan.units(paid(order)).saturating_mul(plan.growth.order.into());
        self.credit(Account::Growth, Kind::Order, &order.id, growth, taking);
        taking.base(Basis::Paid { minor: order.due, currency: order.currency.clone() });
        let points = if taking.stops(Kind::Order) { 0 } else { points };
        self.credit(Account::Points, Kind::Order, &order.id, points, taking);
        self.spend(&order.id, &order.with, taking);
        if order.currency == plan.money.currency {
            self.saved_cents = self.saved_cents.saturating_add(order.saved);
        }
        if order.due > 0 {
            self.first_order(&order.id, taking);
        }
    }

    fn first_order(&mut self, order: &Source, taking: &mut Taking<'_>) {
        self.qualify(taking);
        let Some(referral) = &mut self.referral else { return };
        if referral.first_order.is_none() {
            referral.first_order = Some(order.clone());
            let event = Event::Referral { referee: referral.own, stage: Stage::FirstOrder };
            taking.outcome.others.push((referral.referrer, event));
        }
    }

    pub(super) fn refunded(&mut self, refund: &Refund, taking: &mut Taking<'_>) {
        let source = refund.source();
        let earned = |account| taking.context.posted(account, Kind::Order, &refund.order);
        let (growth, points) = (earned(Account::Growth), earned(Account::Points));
        // An order that was never paid here has earned nothing that could be taken back.
        let Some((growth, points)) = growth.zip(points) else { return };
        if taking.is_posted(Account::Growth, Kind::Refund, &source) {
            return;
        }
        if refund.is_all() {
            self.give_back(&refund.order, &refund.with, taking);
            if refund.currency == taking.context.plan.money.currency {
                self.saved_cents = self.saved_cents.saturating_sub(refund.saved);
            }
        }
        let share = |amount: i64| refund.share_of(u64::try_from(amount).unwrap_or(0));
        let at = taking.context.at;
        // Growth is never spent, so what was earned is in its own lot, or has expired.
        let expiry = growth.expires_at.unwrap_or_default();
        let taken = self.growth.claw_back_from(expiry, share(growth.amount));
        self.post(Account::Growth, Kind::Refund, &source, -signed(taken), None, taking);
        let Refund { due, before, amount, .. } = *refund;
        taking.base(Basis::Refunded { due, before, amount });
        // Points that have expired by now went back already.
        if points.expires_at.is_some_and(|expires_at| expires_at > at) {
            let taken = share(points.amount);
            self.points.claw_back(taken, at);
            self.post(Account::Points, Kind::Refund, &source, -signed(taken), None, taking);
        }
        if let Some(referral) = &self.referral
            && referral.first_order.as_ref() == Some(&refund.order)
            && refund.is_all()
        {
            let stage = Stage::FirstOrderTakenBack;
            let event = Event::Referral { referee: referral.own, stage };
            taking.outcome.others.push((referral.referrer, event));
        }
    }
}

fn paid(order: &Order) -> Paid<'_> {
    Paid { minor: order.due, currency: &order.currency }
}

fn points_of(order: &Order, taking: &Taking<'_>) -> u64 {
    let plan = taking.context.plan;
    plan.units(paid(order)).saturating_mul(plan.points.order.into()).min(AMOUNT_MAX)
}
