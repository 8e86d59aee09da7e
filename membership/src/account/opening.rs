//! Opening: what a member's oldest postings came to, once they are too old for anything to ask for them.

use super::membership::Membership;
use crate::plan::Plan;
use crate::posting::Posting;
use crate::time::Millis;

/// An account is looked at for old postings so seldom, in months.
const EVERY_MONTHS: u16 = 1;
/// Postings are kept at least so long, and one month more.
const KEPT_MONTHS: u16 = 12;

impl Membership {
    /// Postings from before this instant are too old to be kept; `None` if the account need not be looked
    /// at now.
    #[must_use]
    pub fn folds_before(&self, plan: &Plan, at: Millis) -> Option<Millis> {
        let kept = plan.growth.months.max(plan.points.months).max(KEPT_MONTHS) + 1;
        let before = at.months_earlier(kept);
        let is_due = self.opening.until.months_later(EVERY_MONTHS) <= before;
        // What is pending or kept for an order is asked for when that ends.
        let is_asked_for = self.pending > 0 || !self.holds.is_empty();
        (is_due && !is_asked_for).then_some(before)
    }

    /// Adds the oldest postings to the opening balance: those that follow on it, in their order, as far as
    /// they are from before an instant and nothing of them counts any more. Returns those that go.
    pub fn fold<'a>(&mut self, oldest: &'a [Posting], before: Millis, at: Millis) -> &'a [Posting] {
        let next = self.opening.number + 1;
        // What a posting earned has expired, so nothing can take it back any more.
        let is_over = |posting: &Posting| posting.expires_at.is_none_or(|expires| expires <= at);
        let goes = |(nth, posting): &(usize, &Posting)| {
            posting.number == next + *nth as u64 && posting.at < before && is_over(posting)
        };
        let gone = oldest.iter().enumerate().take_while(goes).count();
        for posting in &oldest[..gone] {
            self.opening.sums[posting.account as usize] += posting.amount;
            self.opening.number = posting.number;
        }
        if gone < oldest.len() || oldest.is_empty() || self.opening.number == self.postings {
            self.opening.until = before;
        }
        &oldest[..gone]
    }
}
