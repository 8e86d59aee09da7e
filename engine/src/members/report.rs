//! Report: what all members together have.

use super::book::Book;
use super::pages::pages;
use crate::rules::time::Millis;
use crate::store::{BenefitCount, Bucket, StoreError};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;

/// Points that members could still spend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Liability {
    /// Members who were enrolled.
    pub members: u64,
    /// By the instant at which they expire.
    pub points: BTreeMap<Millis, u64>,
    /// Of orders that are not paid yet.
    pub pending: u64,
    /// What was taken back and was not there any more.
    pub deficit: u64,
}

impl Book {
    /// What became of each benefit, by its id in the plan.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn benefits(&self) -> Result<BTreeMap<String, BenefitCount>, StoreError> {
        let mut benefits: BTreeMap<String, BenefitCount> = BTreeMap::new();
        for bucket in Bucket::all() {
            for (id, count) in self.store.read_members(bucket, &[]).await?.head.benefits {
                let sum = benefits.entry(id).or_default();
                sum.granted += count.granted;
                sum.seen += count.seen;
                sum.used += count.used;
                sum.uses += count.uses;
            }
        }
        Ok(benefits)
    }

    /// Points that members could still spend, by their expiry. It reads every account.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn liability(&self) -> Result<Liability, StoreError> {
        let _one_at_a_time = self.reading_all()?;
        let (mut liability, now) = (Liability::default(), self.clock.now());
        for bucket in Bucket::all() {
            let mut pages = pages(&*self.store, bucket);
            while let Some(page) = pages.try_next().await? {
                for (_, account) in page {
                    liability.members += 1;
                    liability.pending += account.pending;
                    let balance = account.points.balance(now);
                    liability.deficit += balance.min(0).unsigned_abs();
                    for lot in account.expiring(now) {
                        *liability.points.entry(lot.expires_at).or_default() += lot.amount;
                    }
                }
            }
        }
        Ok(liability)
    }
}
