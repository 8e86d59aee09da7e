//! Dry run: what the last days would have given under another plan.

use super::book::Book;
use super::pages::pages;
use crate::rules::time::Millis;
use crate::store::{Bucket, StoreError};
use futures_util::TryStreamExt;
use membership::PerTier;
use membership::account::Membership;
use membership::event::MemberNumber;
use membership::plan::Plan;
use membership::posting::{Kind, Posting};
use membership::replay::{Compared, Given, compare};
use std::collections::BTreeMap;
use std::time::Duration;

/// Postings that are read at a time.
const POSTINGS: usize = 500;
/// An act may be told of so much later, so a member's lines are that much out of order.
const LATE: Duration = Duration::from_secs(32 * 86_400);

/// What the last days gave, and what they would have given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DryRun {
    /// Since when.
    pub since: Millis,
    /// Members who were enrolled.
    pub members: u64,
    /// By rule: as it was, and as it would have been.
    pub rules: BTreeMap<Kind, (Given, Given)>,
    /// Members by the tier that their growth reaches: as it is, and as it would be.
    pub tiers: PerTier<(u64, u64)>,
}

impl Book {
    /// What the days since an instant would have given under another plan. Budgets are left out. It reads
    /// every account, and every line since then.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn dry_run(&self, plan: &Plan, since: Millis) -> Result<DryRun, StoreError> {
        let _one_at_a_time = self.reading_all()?;
        let mut run = DryRun { since, ..DryRun::default() };
        for bucket in Bucket::all() {
            let mut pages = pages(&*self.store, bucket);
            while let Some(page) = pages.try_next().await? {
                for (index, account) in page {
                    let lines = self.lines_since(bucket.number(index), &account, since).await?;
                    self.add(&mut run, plan, &account, &lines);
                }
            }
        }
        Ok(run)
    }

    fn add(&self, run: &mut DryRun, plan: &Plan, account: &Membership, lines: &[Posting]) {
        let now = self.clock.now();
        let growth = account.growth.balance(now);
        let Compared { rules, growth: more } = compare(lines, plan, plan.tier_of(growth), now);
        run.members += 1;
        run.tiers[self.plans.current().plan.tier_of(growth)].0 += 1;
        run.tiers[plan.tier_of(growth + more)].1 += 1;
        for (kind, (was, would)) in rules {
            let rule = run.rules.entry(kind).or_default();
            rule.0 += was;
            rule.1 += would;
        }
    }

    /// A member's lines since an instant, in their order.
    async fn lines_since(
        &self,
        member: MemberNumber,
        account: &Membership,
        since: Millis,
    ) -> Result<Vec<Posting>, StoreError> {
        let (mut lines, mut before) = (Vec::new(), account.postings + 1);
        loop {
            let page = self.store.postings(member, before, POSTINGS).await?;
            let Some(oldest) = page.last() else { break };
            before = oldest.number;
            let is_over = oldest.at + LATE < since;
            lines.extend(page.into_iter().filter(|line| line.at >= since));
            if is_over {
                break;
            }
        }
        lines.reverse();
        Ok(lines)
    }
}
