//! Benefits: what a tier entitles a member to, whether they were shown it, and how often they used it.

use super::membership::{Membership, Taking};
use super::parts::Entitlement;
use crate::event::{BenefitStep, Refused};
use crate::posting::{Account, Kind, Source};

/// The benefit that is used by claiming the gift of a birthday.
pub(super) const BIRTHDAY_GIFT: &str = "birthday_gift";

impl Membership {
    /// Grants what the tier brings, and ends what it does not bring any more.
    pub(super) fn grant(&mut self, taking: &mut Taking<'_>) {
        let (tier, plan) = (self.standing.tier, taking.context.plan);
        let entitled = &mut self.entitled;
        entitled.retain(|id, _| plan.benefits.get(id).is_some_and(|from| *from <= tier));
        for (id, _) in plan.benefits.iter().filter(|(_, from)| **from <= tier) {
            if !entitled.contains_key(id) {
                entitled.insert(id.clone(), Entitlement::default());
                taking.outcome.benefits.push((id.clone(), BenefitStep::Granted));
            }
        }
    }

    /// Whether there is a benefit that the member was not shown yet.
    #[must_use]
    pub fn has_unseen_benefits(&self) -> bool {
        self.entitled.values().any(|entitlement| !entitlement.is_seen)
    }

    pub(super) fn see_benefits(&mut self, taking: &mut Taking<'_>) {
        // What was granted since is seen, too: it is on the same page.
        self.grant(taking);
        for (id, entitlement) in &mut self.entitled {
            if !entitlement.is_seen {
                entitlement.is_seen = true;
                taking.outcome.benefits.push((id.clone(), BenefitStep::Seen));
            }
        }
    }

    pub(super) fn use_benefit(
        &mut self,
        id: &Source,
        benefit: &str,
        taking: &mut Taking<'_>,
    ) -> Result<(), Refused> {
        if taking.is_posted(Account::Growth, Kind::Benefit, id) {
            return Ok(());
        }
        if !taking.context.plan.benefits.contains_key(benefit) {
            return Err(Refused::Unknown("benefit"));
        }
        self.grant(taking);
        if !self.note_use(benefit, taking) {
            return Err(Refused::NotEntitled);
        }
        // The line earns nothing; it is there so that the use counts once.
        self.post(Account::Growth, Kind::Benefit, id, 0, None, taking);
        Ok(())
    }

    /// Notes that a benefit was used; false for a member who does not have it.
    pub(super) fn note_use(&mut self, benefit: &str, taking: &mut Taking<'_>) -> bool {
        let Some(entitlement) = self.entitled.get_mut(benefit) else { return false };
        let step = if entitlement.used == 0 { BenefitStep::Used } else { BenefitStep::UsedAgain };
        entitlement.used = entitlement.used.saturating_add(1);
        taking.outcome.benefits.push((benefit.to_owned(), step));
        true
    }
}
