//! Reading a sale whole: to take it up, and to add it up again.

use super::{PAGE, RedisStore, rows};
use crate::store::ledger::{Holder, SaleRow};
use crate::store::memory::Kept;
use crate::store::{Store, StoreError};
use crate::terms::SaleId;
use membership::MemberId;
use std::collections::HashMap;

/// A sale that changes while it is read is read again, this often in all.
const TRIES: usize = 3;

impl RedisStore {
    pub(super) async fn row(&self, sale: &SaleId) -> Result<Option<SaleRow>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let row: HashMap<String, String> = self.link.ask(read.arg(&rows::keys(sale)[0])).await?;
        if row.is_empty() { Ok(None) } else { rows::sale(sale, &row).map(Some) }
    }

    /// Every member's holdings. A member may come twice while others are written.
    pub(super) async fn holders(
        &self,
        sale: &SaleId,
    ) -> Result<Vec<(MemberId, Holder)>, StoreError> {
        let (mut holders, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&rows::keys(sale)[2]).arg(&cursor).arg("COUNT").arg(PAGE);
            let (next, page): (String, Vec<(String, String)>) = self.link.ask(&scan).await?;
            for (member, text) in page {
                let holder = rows::holder(&member, &text)?;
                let member: MemberId = rows::word("a member", &member)?;
                holders.push((member, holder));
            }
            if next == "0" {
                holders.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                holders.dedup_by(|(a, _), (b, _)| a == b);
                return Ok(holders);
            }
            cursor = next;
        }
    }

    async fn snapshot(&self, sale: &SaleId) -> Result<Option<Kept>, StoreError> {
        let Some(mut row) = self.row(sale).await? else { return Ok(None) };
        let orders = self.orders_after(sale, 0, usize::MAX).await?;
        let outbox = self.outbox_after(sale, 0, usize::MAX).await?;
        // Only whole beginnings are deleted: what is missing later on is missing.
        row.trimmed_to = outbox.first().map_or(row.seq, |first| first.seq - 1);
        let mut read = redis::cmd("HGETALL");
        let top_ups: Vec<(String, String)> = self.link.ask(read.arg(&rows::keys(sale)[4])).await?;
        let top_up = |(key, text): (String, String)| rows::top_up(&key, &text).map(|t| (key, t));
        Ok(Some(Kept {
            row: Some(row),
            orders: orders.into_iter().map(|record| (record.number, record)).collect(),
            holders: self.holders(sale).await?.into_iter().collect(),
            outbox: outbox.into_iter().map(|entry| (entry.seq, entry)).collect(),
            top_ups: top_ups.into_iter().map(top_up).collect::<Result<_, _>>()?,
        }))
    }

    /// All rows of a sale at one instant.
    pub(super) async fn snapshot_at_rest(&self, sale: &SaleId) -> Result<Option<Kept>, StoreError> {
        for _ in 0..TRIES {
            let kept = self.snapshot(sale).await?;
            let after = self.row(sale).await?;
            let seq = |row: &SaleRow| (row.seq, row.epoch, row.stock);
            if kept.as_ref().and_then(|kept| kept.row.as_ref()).map(seq) == after.as_ref().map(seq)
            {
                return Ok(kept);
            }
        }
        Err(StoreError::Refused(format!("{sale} changes while it is read; pause it first")))
    }
}
