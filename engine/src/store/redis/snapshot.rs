//! Snapshot: a sale read whole, to take it up and to add it up again.

use super::keys::{self, SaleKeys};
use super::reading::PAGE;
use super::rows;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::store::counters::Holder;
use crate::store::memory::{MemoryRows, SaleRows};
use crate::store::rows::SaleRow;
use crate::store::{Reading, SaleAudit, Selling, StoreError, Waiting, audit};
use membership::MemberId;
use std::collections::HashMap;

/// How often in all a sale is read that changes while it is read.
const TRIES: usize = 3;

impl RedisStore {
    /// The ids of all sales, also of those that were never created.
    pub(super) async fn named(&self) -> Result<Vec<SaleId>, StoreError> {
        let mut read = redis::cmd("SMEMBERS");
        let names: Vec<String> = self.link.ask(read.arg(keys::SALES)).await?;
        let sales = names.iter().map(|name| rows::word(keys::SALES, name));
        let mut sales = sales.collect::<Result<Vec<SaleId>, _>>()?;
        sales.sort();
        Ok(sales)
    }

    /// Adds a sale up; what cannot be read is a difference like any other. Returns `None` if the
    /// sale was never created.
    pub(super) async fn audit_sale(&self, sale: &SaleId) -> Result<Option<SaleAudit>, StoreError> {
        match self.audit_readable(sale).await {
            Err(StoreError::Damaged(why)) => {
                // The functions name the key that is wrong; a plain read does not.
                let named = match self.still_sells(sale, 0).await {
                    Err(StoreError::Damaged(named)) => named,
                    _ => why,
                };
                Ok(Some(SaleAudit::unreadable(sale, named)))
            }
            audited => audited,
        }
    }

    async fn audit_readable(&self, sale: &SaleId) -> Result<Option<SaleAudit>, StoreError> {
        let keys = SaleKeys::of(sale);
        let Some(of_sale) = self.snapshot_at_rest(sale).await? else {
            let mut exist = redis::cmd("EXISTS");
            let SaleKeys { sale: _, orders, holders, outbox, top_ups, waiting } = &keys;
            exist.arg(&[orders, holders, outbox, top_ups, waiting]);
            let left_behind: u64 = self.link.ask(&exist).await?;
            let gone = "the sale is gone, and some of its orders are not".to_owned();
            return Ok((left_behind > 0).then(|| SaleAudit::unreadable(sale, gone)));
        };
        let mut count = redis::cmd("HLEN");
        let (fields, records): (u64, _) =
            (self.link.ask(count.arg(&keys.orders)).await?, of_sale.orders.len() as u64);
        let rows = MemoryRows::of(sale.clone(), of_sale);
        let mut found = audit::audit(&rows)?.sales.pop();
        if let Some(found) = &mut found
            && fields != records
        {
            found
                .complain(format!("{} has {fields} fields, {records} of them orders", keys.orders));
        }
        Ok(found)
    }

    pub(super) async fn row(&self, sale: &SaleId) -> Result<Option<SaleRow>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let row: HashMap<String, String> = self.link.ask(read.arg(SaleKeys::of(sale).sale)).await?;
        if row.is_empty() { Ok(None) } else { rows::sale(sale, &row).map(Some) }
    }

    /// Every member's holdings, each member once. A scan may return a member twice while others are
    /// written.
    pub(super) async fn holders(
        &self,
        sale: &SaleId,
    ) -> Result<Vec<(MemberId, Holder)>, StoreError> {
        let (mut holders, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(SaleKeys::of(sale).holders).arg(&cursor).arg("COUNT").arg(PAGE);
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

    /// The members who wait, in no order.
    pub(super) async fn waiting_rows(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let wishes: Vec<(String, String)> =
            self.link.ask(read.arg(SaleKeys::of(sale).waiting)).await?;
        wishes.iter().map(|(member, wish)| rows::waiting(member, wish)).collect()
    }

    async fn snapshot(&self, sale: &SaleId) -> Result<Option<SaleRows>, StoreError> {
        let Some(mut row) = self.row(sale).await? else { return Ok(None) };
        let orders = self.orders_after(sale, 0, usize::MAX).await?;
        let outbox = self.outbox_after(sale, 0, usize::MAX).await?;
        // Entries are trimmed only from the beginning: an entry that is missing later on is a
        // fault.
        row.trimmed_to = outbox.first().map_or(row.counters.seq, |first| first.seq - 1);
        let mut read = redis::cmd("HGETALL");
        let top_ups: Vec<(String, String)> =
            self.link.ask(read.arg(SaleKeys::of(sale).top_ups)).await?;
        let top_up = |(key, text): (String, String)| rows::top_up(&key, &text).map(|t| (key, t));
        Ok(Some(SaleRows {
            row: Some(row),
            orders: orders.into_iter().map(|record| (record.number, record)).collect(),
            holders: self.holders(sale).await?.into_iter().collect(),
            outbox: outbox.into_iter().map(|entry| (entry.seq, entry)).collect(),
            top_ups: top_ups.into_iter().map(top_up).collect::<Result<_, _>>()?,
            waiting: self
                .waiting_rows(sale)
                .await?
                .into_iter()
                .map(|w| (w.member.clone(), w))
                .collect(),
        }))
    }

    /// All rows of a sale at one instant.
    async fn snapshot_at_rest(&self, sale: &SaleId) -> Result<Option<SaleRows>, StoreError> {
        for _ in 0..TRIES {
            let before = self.snapshot(sale).await?;
            let after = self.row(sale).await?;
            let seq =
                |SaleRow { counters, .. }: &SaleRow| (counters.seq, counters.epoch, counters.stock);
            let row = before.as_ref().and_then(|rows| rows.row.as_ref());
            if row.map(seq) == after.as_ref().map(seq) {
                return Ok(before);
            }
        }
        Err(StoreError::Refused(format!("{sale} changes while it is read; pause it first")))
    }
}
