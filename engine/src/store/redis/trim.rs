//! Trim: outbox entries are deleted from the front once they are old enough.

use super::keys::{self, SaleKeys};
use super::reading::PAGE;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Reading, StoreError};
use std::time::Duration;

/// How often a sale's outbox is looked at.
const EVERY: Duration = Duration::from_secs(3_600);

impl RedisStore {
    /// Deletes the outbox entries of a sale that are older than is to be kept, if it is time to look.
    pub(super) async fn trim_if_due(&self, sale: &SaleId, now: Millis) -> Result<(), StoreError> {
        let trimmed_at = self.trimmed_at.lock().get(sale).copied();
        if trimmed_at.is_some_and(|at| now.since(at) < EVERY.min(self.outbox_keep)) {
            return Ok(());
        }
        self.trimmed_at.lock().insert(sale.clone(), now);
        let is_old = |at: Millis| now.since(at) >= self.outbox_keep;
        let mut last_old = 0;
        loop {
            let page = self.outbox_after(sale, last_old, PAGE).await?;
            let old = page.iter().take_while(|entry| is_old(entry.at)).count();
            last_old = page[..old].last().map_or(last_old, |entry| entry.seq);
            if old < PAGE {
                break;
            }
        }
        if last_old == 0 {
            return Ok(());
        }
        // What the book has not taken in is kept, however old.
        let mut number = redis::cmd("HGET");
        let number: u32 = self.link.ask(number.arg(SaleKeys::of(sale).sale).arg("number")).await?;
        let mut taken_in = redis::cmd("HGET");
        let taken_in: Option<u64> = self.link.ask(taken_in.arg(keys::TAKEN_IN).arg(number)).await?;
        last_old = last_old.min(taken_in.unwrap_or(0));
        if last_old > 0 {
            let mut trim = redis::cmd("XTRIM");
            trim.arg(SaleKeys::of(sale).outbox).arg("MINID").arg(format!("{}-0", last_old + 1));
            self.link.ask::<u64>(&trim).await?;
        }
        Ok(())
    }
}
