//! Standing: a member's tier. Growth raises it at once; it is kept for a year and then computed anew.

use super::membership::{Membership, Taking};
use super::parts::Standing;
use crate::event::{Event, Notice, Stage};
use crate::plan::Plan;
use crate::tier::Tier;
use crate::time::Millis;

impl Membership {
    /// The standing at an instant, when nothing is posted until then.
    #[must_use]
    pub fn standing_at(&self, plan: &Plan, at: Millis) -> Standing {
        let mut standing = self.standing;
        // A year at a time; each is at most one step down.
        while let Some(end) = standing.kept_until.filter(|end| *end <= at) {
            let earned = plan.tier_of(self.growth.balance(end));
            let below = Tier::ALL[(standing.tier as usize).saturating_sub(1)];
            let tier = earned.max(below);
            let kept_until = (tier > Tier::Regular).then(|| end.months_later(plan.growth.months));
            standing = Standing { tier, since: end, kept_until };
        }
        standing
    }

    /// Computes the tier anew if its year is over.
    pub(super) fn roll(&mut self, taking: &mut Taking<'_>) {
        self.standing = self.standing_at(taking.context.plan, taking.context.at);
    }

    /// Raises the tier to what growth has reached.
    pub(super) fn rise(&mut self, taking: &mut Taking<'_>) {
        let (plan, at) = (taking.context.plan, taking.context.at);
        let earned = plan.tier_of(self.growth.balance(at));
        if earned <= self.standing.tier {
            return;
        }
        // Growth counts to the end of its day, and so the tier that it reached does.
        let kept_until = Some(at.end_of_day_later(plan.growth.months));
        self.standing = Standing { tier: earned, since: at, kept_until };
        taking.outcome.notices.push(Notice::TierReached(earned));
        if let Some(referral) = self.referral.as_mut().filter(|referral| !referral.has_told_silver)
        {
            referral.has_told_silver = true;
            let event = Event::Referral { referee: referral.own, stage: Stage::Silver };
            taking.outcome.others.push((referral.referrer, event));
        }
    }
}

impl Membership {
    /// How much growth is missing to the next tier at an instant; `None` for a member of the highest.
    #[must_use]
    pub fn growth_to_next(&self, plan: &Plan, at: Millis) -> Option<u64> {
        let tier = self.standing_at(plan, at).tier;
        let next = *Tier::ALL.get(tier as usize + 1)?;
        let has = u64::try_from(self.growth.balance(at)).unwrap_or(0);
        Some(plan.thresholds()[next].saturating_sub(has))
    }
}
