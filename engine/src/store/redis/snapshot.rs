//! Snapshot: a sale read whole, to take it up and to add it up again.

use super::keys::{self, SaleKeys};
use super::reading::PAGE;
use super::store::RedisStore;
use super::{format, rows};
use crate::rules::terms::SaleId;
use crate::store::counters::Holder;
use crate::store::rows::{NewOrder, SaleRows};
use crate::store::{OutboxEntry, Reading, Record, SaleAudit, Selling, StoreError, Waiting, audit};
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
        let Some((of_sale, outbox)) = self.snapshot_at_rest(sale).await? else {
            let mut exist = redis::cmd("EXISTS");
            let SaleKeys { sale: _, orders, holders, members, outbox, top_ups, waiting } = &keys;
            exist.arg(&[orders, holders, members, outbox, top_ups, waiting]);
            let left_behind: u64 = self.link.ask(&exist).await?;
            let gone = "the sale is gone, and some of its orders are not".to_owned();
            return Ok((left_behind > 0).then(|| SaleAudit::unreadable(sale, gone)));
        };
        let mut count = redis::cmd("HLEN");
        let (fields, records): (u64, _) =
            (self.link.ask(count.arg(&keys.orders)).await?, of_sale.orders.len());
        let mut found = audit::audit(&of_sale, outbox.into_iter().map(Ok));
        if fields != records {
            found
                .complain(format!("{} has {fields} fields, {records} of them orders", keys.orders));
        }
        Ok(Some(found))
    }

    /// A sale's own row, without its orders and holders.
    pub(super) async fn row(&self, sale: &SaleId) -> Result<Option<SaleRows>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let row: HashMap<String, String> = self.link.ask(read.arg(SaleKeys::of(sale).sale)).await?;
        if row.is_empty() {
            return Ok(None);
        }
        format::check(sale, row.get("format").map_or("1", String::as_str))?;
        rows::sale(sale, &row).map(Some)
    }

    /// The rows of the holders with these numbers.
    pub(super) async fn holders_numbered(
        &self,
        sale: &SaleId,
        numbers: &[u32],
    ) -> Result<HashMap<u32, (MemberId, Holder)>, StoreError> {
        let mut holders = HashMap::new();
        for page in numbers.chunks(PAGE) {
            let mut read = redis::cmd("HMGET");
            read.arg(SaleKeys::of(sale).holders).arg(page);
            let texts: Vec<Option<String>> = self.link.ask(&read).await?;
            for (number, text) in page.iter().zip(texts) {
                let gone = || StoreError::Damaged(format!("holder {number} of {sale} is gone"));
                holders.insert(*number, rows::holder(*number, &text.ok_or_else(gone)?)?);
            }
        }
        Ok(holders)
    }

    /// Those of these orders that are stored, without their holders' names.
    async fn nameless(
        &self,
        sale: &SaleId,
        numbers: &[u64],
    ) -> Result<Vec<rows::StoredOrder>, StoreError> {
        let mut read = redis::cmd("HMGET");
        read.arg(SaleKeys::of(sale).orders).arg(numbers);
        let texts: Vec<Option<String>> = self.link.ask(&read).await?;
        let nobody: MemberId = "-".parse().expect("a member id");
        let stored = numbers.iter().zip(texts).filter_map(|(number, text)| Some((number, text?)));
        stored.map(|(number, text)| rows::order(*number, &text, &nobody)).collect()
    }

    /// Those of these orders that are stored.
    pub(super) async fn records(
        &self,
        sale: &SaleId,
        numbers: &[u64],
    ) -> Result<Vec<Record>, StoreError> {
        let stored = self.nameless(sale, numbers).await?;
        let mut of: Vec<u32> = stored.iter().map(|order| order.holder).collect();
        of.sort_unstable();
        of.dedup();
        let holders = self.holders_numbered(sale, &of).await?;
        let named = |order: rows::StoredOrder| {
            let (member, _) = &holders[&order.holder];
            Record { member: member.clone(), ..order.record }
        };
        Ok(stored.into_iter().map(named).collect())
    }

    /// Everything that is stored of a sale but its outbox.
    pub(super) async fn rows(&self, sale: &SaleId) -> Result<Option<SaleRows>, StoreError> {
        let Some(mut of_sale) = self.row(sale).await? else { return Ok(None) };
        let mut count = redis::cmd("HLEN");
        let holders: u32 = self.link.ask(count.arg(SaleKeys::of(sale).holders)).await?;
        let numbers: Vec<u32> = (0..holders).collect();
        for page in numbers.chunks(PAGE) {
            let mut page_of = self.holders_numbered(sale, page).await?;
            for number in page {
                let (member, holder) = page_of.remove(number).expect("each number was read");
                if of_sale.holders.find(member.as_str()).is_some() {
                    let twice = format!("{member} has two rows in {sale}");
                    return Err(StoreError::Damaged(twice));
                }
                of_sale.holders.add(member, holder);
            }
        }
        let numbers: Vec<u64> = (1..of_sale.counters.next_number).collect();
        for page in numbers.chunks(PAGE) {
            for order in self.nameless(sale, page).await? {
                let record = &order.record;
                of_sale.keep(order.holder, record.before, &NewOrder::from(record))?;
            }
        }
        let mut read = redis::cmd("HGETALL");
        let top_ups: Vec<(String, String)> =
            self.link.ask(read.arg(SaleKeys::of(sale).top_ups)).await?;
        for (key, text) in top_ups {
            let top_up = rows::top_up(&key, &text)?;
            of_sale.top_ups.insert(key, top_up);
        }
        for waiting in self.waiting_rows(sale).await? {
            of_sale.waiting.insert(waiting.member.clone(), waiting);
        }
        Ok(Some(of_sale))
    }

    /// The members who wait, in no order.
    pub(super) async fn waiting_rows(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let wishes: Vec<(String, String)> =
            self.link.ask(read.arg(SaleKeys::of(sale).waiting)).await?;
        wishes.iter().map(|(member, wish)| rows::waiting(member, wish)).collect()
    }

    /// Everything that is stored of a sale at one instant.
    async fn snapshot_at_rest(
        &self,
        sale: &SaleId,
    ) -> Result<Option<(SaleRows, Vec<OutboxEntry>)>, StoreError> {
        let seq = |rows: &SaleRows| (rows.counters.seq, rows.counters.epoch, rows.counters.stock);
        for _ in 0..TRIES {
            let Some(mut before) = self.rows(sale).await? else { return Ok(None) };
            let outbox = self.outbox_after(sale, 0, usize::MAX).await?;
            // Entries are trimmed only from the beginning: an entry that is missing later on is a
            // fault.
            before.trimmed_to = outbox.first().map_or(before.counters.seq, |first| first.seq - 1);
            let after = self.row(sale).await?;
            if after.as_ref().map(seq) == Some(seq(&before)) {
                return Ok(Some((before, outbox)));
            }
        }
        Err(StoreError::Refused(format!("{sale} changes while it is read; pause it first")))
    }
}
