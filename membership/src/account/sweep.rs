//! Sweep: what time does to an account: lots that expire, holds that outlive their time, and what the
//! member should hear of before it happens.

use super::membership::{Membership, Taking, signed};
use super::shop::COUPON_KEPT;
use crate::event::Notice;
use crate::lots::Lot;
use crate::posting::{Account, Kind, Source};
use crate::time::Millis;
use std::time::Duration;

/// Points that expire are told of so long before.
const TOLD_BEFORE: [Duration; 2] =
    [Duration::from_secs(30 * 86_400), Duration::from_secs(7 * 86_400)];
/// A tier at risk is told of so long before.
const RISK_TOLD_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// Acts may be told of so much later: [`crate::event::Event::Act`].
const ACTS_KEPT: Duration = Duration::from_secs(32 * 86_400);

impl Membership {
    /// Posts what has expired.
    pub(super) fn expire(&mut self, taking: &mut Taking<'_>) {
        let at = taking.context.at;
        let (growth, points) = (self.growth.expire(at), self.points.expire(at));
        for (account, lots) in [(Account::Growth, growth), (Account::Points, points)] {
            for Lot { expires_at, amount } in lots {
                // A lot may come back with points that were kept; then it expires a second time.
                let source = Source(format!("{}:{}", expires_at.0, self.postings));
                self.post(account, Kind::Expiry, &source, -signed(amount), None, taking);
            }
        }
    }

    pub(super) fn sweep(&mut self, taking: &mut Taking<'_>) {
        let at = taking.context.at;
        let (over, held) =
            std::mem::take(&mut self.holds).into_iter().partition(|hold| hold.until <= at);
        self.holds = held;
        let over: Vec<_> = over;
        over.iter().for_each(|hold| self.return_hold(hold, taking));
        self.coupons.retain(|coupon| coupon.until + COUPON_KEPT > at);
        self.acts.retain(|act| Millis::start_of(act.day) + ACTS_KEPT > at);
        self.warn_of_tier(taking);
        self.warn_of_points(taking);
        self.tell_of_gift(taking);
    }

    fn warn_of_tier(&mut self, taking: &mut Taking<'_>) {
        let (at, plan) = (taking.context.at, taking.context.plan);
        let Some(end) = self.standing.kept_until else { return };
        let is_near = at + RISK_TOLD_BEFORE >= end;
        let falls = plan.tier_of(self.growth.balance(end)) < self.standing.tier;
        if is_near && falls && self.noticed.at_risk != end {
            self.noticed.at_risk = end;
            taking.outcome.notices.push(Notice::TierAtRisk(end));
        }
    }

    fn warn_of_points(&mut self, taking: &mut Taking<'_>) {
        let at = taking.context.at;
        let Some(Lot { expires_at, amount }) = self.points.iter().next() else { return };
        for (told, before) in self.noticed.expiring.iter_mut().zip(TOLD_BEFORE) {
            if at + before >= expires_at && *told != expires_at {
                *told = expires_at;
                let notice = Notice::PointsExpiring { points: amount, at: expires_at };
                // A member who hears of it for the first time when 7 days are left hears of it once.
                if !taking.outcome.notices.contains(&notice) {
                    taking.outcome.notices.push(notice);
                }
            }
        }
    }

    fn tell_of_gift(&mut self, taking: &mut Taking<'_>) {
        let (at, plan) = (taking.context.at, taking.context.plan);
        let Some(birthday) = self.birthday else { return };
        let waits =
            self.standing.tier >= plan.birthday.from && birthday.claim(self.gift, at).is_ok();
        // A lunar month lies in two solar ones, and is told of once.
        let is_told = self.noticed.gift + Duration::from_secs(45 * 86_400) > at;
        if waits && !is_told {
            self.noticed.gift = at;
            taking.outcome.notices.push(Notice::GiftWaiting);
        }
    }
}
