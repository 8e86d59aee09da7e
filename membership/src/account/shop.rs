//! Shop: what points buy, coupons, and the gift of a birthday.

use super::benefits::BIRTHDAY_GIFT;
use super::membership::{Membership, Taking};
use super::parts::{Coupon, CouponState, Redemption};
use crate::event::Refused;
use crate::lots::{Lot, TooLittle};
use crate::plan::RewardKind;
use crate::posting::{Account, Kind, Source};
use std::time::Duration;

/// Most coupons of one member at a time.
const COUPONS_MAX: usize = 1_000;
/// Most redemptions that an account shows.
const REDEMPTIONS_MAX: usize = 100;
/// A coupon is shown so long after it has expired.
pub(super) const COUPON_KEPT: Duration = Duration::from_secs(90 * 86_400);

impl Membership {
    fn debit(&mut self, points: u64, taking: &Taking<'_>) -> Result<Vec<Lot>, Refused> {
        let taken = self.points.debit(points, taking.context.at);
        taken.map_err(|TooLittle { has }| Refused::NotEnoughPoints { has })
    }

    pub(super) fn redeem(
        &mut self,
        id: &Source,
        reward: &str,
        taken: u64,
        taking: &mut Taking<'_>,
    ) -> Result<(), Refused> {
        if taking.is_posted(Account::Points, Kind::Redemption, id) {
            let other = |taken: &Redemption| taken.id == *id && taken.reward != reward;
            return match self.redemptions.iter().any(other) {
                true => Err(Refused::OtherReward),
                false => Ok(()),
            };
        }
        let found = taking.context.plan.rewards.get(reward);
        let plan = found.ok_or(Refused::Unknown("reward"))?;
        if self.standing.tier < plan.from {
            return Err(Refused::TierNotAdmitted(plan.from));
        }
        let had = self.rewards.get(reward).copied().unwrap_or(0);
        if let Some(limit) = plan.limit.filter(|limit| had >= *limit) {
            return Err(Refused::LimitReached(limit));
        }
        if plan.stock.is_some_and(|stock| taken >= stock) {
            return Err(Refused::RewardGone);
        }
        if plan.kind == RewardKind::Coupon {
            // The call's own id may be no name that an order could give.
            let coupon = Source(format!("r{}", self.postings + 1));
            self.add_coupon(&coupon, plan.coupon.as_deref().unwrap_or_default(), taking)?;
        }
        self.debit(plan.points.into(), taking)?;
        self.rewards.insert(reward.to_owned(), had + 1);
        if self.redemptions.len() == REDEMPTIONS_MAX {
            self.redemptions.remove(0);
        }
        let (id_of, at) = (id.clone(), taking.context.at);
        self.redemptions.push(Redemption { id: id_of, reward: reward.to_owned(), at });
        let points = -i64::from(plan.points);
        self.post(Account::Points, Kind::Redemption, id, points, None, taking);
        Ok(())
    }

    pub(super) fn issue(
        &mut self,
        id: &Source,
        kind: &str,
        taking: &mut Taking<'_>,
    ) -> Result<(), Refused> {
        if self.coupons.iter().any(|coupon| coupon.id == *id) {
            taking.outcome.is_known = true;
            return Ok(());
        }
        self.add_coupon(id, kind, taking)
    }

    fn add_coupon(&mut self, id: &Source, kind: &str, taking: &Taking<'_>) -> Result<(), Refused> {
        let plan = taking.context.plan.coupons.get(kind).ok_or(Refused::Unknown("coupon"))?;
        if self.coupons.len() >= COUPONS_MAX {
            return Err(Refused::TooMany(COUPONS_MAX));
        }
        let until = taking.context.at + Duration::from_secs(86_400 * u64::from(plan.days));
        let (id, kind) = (id.clone(), kind.to_owned());
        self.coupons.push(Coupon { id, kind, until, state: CouponState::Free });
        Ok(())
    }

    pub(super) fn claim_gift(&mut self, taking: &mut Taking<'_>) -> Result<(), Refused> {
        let (at, plan) = (taking.context.at, &taking.context.plan.birthday);
        if self.standing.tier < plan.from {
            return Err(Refused::TierNotAdmitted(plan.from));
        }
        let birthday = self.birthday.ok_or(Refused::NoBirthday)?;
        let gift = birthday.claim(self.gift, at)?;
        let source = Source(format!("birthday:{}", at.day()));
        if let Some(coupon) = &plan.coupon {
            self.add_coupon(&source, coupon, taking)?;
        }
        self.gift = Some(gift);
        let points = plan.points.into();
        self.credit(Account::Points, Kind::Birthday, &source, points, taking);
        self.grant(taking);
        self.note_use(BIRTHDAY_GIFT, taking);
        Ok(())
    }
}
