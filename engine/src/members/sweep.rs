//! Sweep: posts what time has ended, bucket by bucket, whether or not a member comes.

use super::ask::Ask;
use super::book::Book;
use super::decide::Deciding;
use super::pages::pages;
use crate::rules::time::Millis;
use crate::store::{Bucket, Found, StoreError, Wanted, Who};
use futures_util::TryStreamExt;
use membership::account::Membership;
use membership::event::Event;
use std::collections::HashMap;
use std::time::Duration;

/// Old postings of a member that are folded at a time.
const FOLDED_MAX: u64 = 500;
/// Notices that are trimmed at a time.
const TRIMMED_MAX: usize = 1_000;

impl Book {
    /// Posts what is over in one bucket. Returns how many lines it posted.
    ///
    /// # Errors
    /// [`StoreError`]; sweep it again.
    pub async fn sweep(&self, bucket: Bucket) -> Result<usize, StoreError> {
        let (at, mut posted) = (self.clock.now(), 0);
        let mut pages = pages(&*self.store, bucket);
        while let Some(page) = pages.try_next().await? {
            let ask = |(index, _): &(u32, _)| Ask {
                who: Who::Numbered(bucket.number(*index)),
                event: Event::Sweep,
                at,
            };
            let taken = self.take_all(page.iter().map(ask).collect()).await?;
            posted += taken.iter().flatten().map(|outcome| outcome.postings.len()).sum::<usize>();
            let plan = &self.plans.current().plan;
            let due = page.iter().filter(|(_, account)| account.folds_before(plan, at).is_some());
            self.fold(bucket, due.map(|(index, _)| *index).collect(), at).await?;
        }
        Ok(posted)
    }

    /// Adds old postings of these members to their opening balances, all in one change at a time.
    async fn fold(&self, bucket: Bucket, indexes: Vec<u32>, at: Millis) -> Result<(), StoreError> {
        let current = self.plans.current();
        let due = |account: &Membership| account.folds_before(&current.plan, at);
        let mut wanted: Vec<Wanted> = indexes
            .into_iter()
            .map(|index| Wanted { who: Who::Numbered(bucket.number(index)), keys: Vec::new() })
            .collect();
        while !wanted.is_empty() {
            let found = self.store.read_members(bucket, &wanted).await?.members;
            let (mut oldest, mut still) = (HashMap::new(), Vec::new());
            for (member, wanted) in found.into_iter().zip(wanted) {
                let Some(member) = member.filter(|member| due(&member.account).is_some()) else {
                    continue;
                };
                let end = member.account.opening.number + FOLDED_MAX + 1;
                let most = usize::try_from(FOLDED_MAX).unwrap_or(usize::MAX);
                let number = bucket.number(member.index);
                let mut lines = self.store.postings(number, end, most).await?;
                lines.reverse();
                oldest.insert(member.index, lines);
                still.push(wanted);
            }
            if still.is_empty() {
                return Ok(());
            }
            let fold = |deciding: &mut Deciding<'_>, found: Found| {
                for member in found.members.into_iter().flatten() {
                    // An event that came meanwhile may ask for what was to go.
                    if let (Some(before), Some(lines)) =
                        (due(&member.account), oldest.get(&member.index))
                    {
                        deciding.fold(member, lines, before);
                    }
                }
            };
            self.decide_in(bucket, &still, fold).await?;
            wanted = still;
        }
        Ok(())
    }

    /// Lets the notices of a bucket go that are older than `keep`.
    ///
    /// # Errors
    /// [`StoreError`]; call it again.
    pub async fn trim(&self, bucket: Bucket, keep: Duration) -> Result<(), StoreError> {
        loop {
            let trimmed = self.store.read_members(bucket, &[]).await?.head.trimmed;
            let oldest = self.store.notices(bucket, trimmed, TRIMMED_MAX).await?;
            let now = self.clock.now();
            let old = oldest.iter().take_while(|entry| now.since(entry.at) > keep);
            let Some(last) = old.last().map(|entry| entry.seq) else { return Ok(()) };
            let trim = |deciding: &mut Deciding<'_>, _: Found| deciding.trim(last);
            self.decide_in(bucket, &[], trim).await?;
        }
    }
}
