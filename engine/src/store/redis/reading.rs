//! Reading: plain commands, page by page.

use super::calls::CALL_ORDERS;
use super::entries::{self, StreamEntry};
use super::keys::{self, SaleKeys};
use super::rows;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{
    Archiving, Audit, Members, OutboxEnd, OutboxEntry, Reading, Record, StoreError, Waiting,
};
use async_trait::async_trait;
use membership::MemberId;
use redis::Value;
use std::collections::HashMap;

/// Rows per read.
pub(super) const PAGE: usize = 1_000;

#[async_trait]
impl Reading for RedisStore {
    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        let mut sales = Vec::new();
        for sale in self.named().await? {
            let mut exists = redis::cmd("EXISTS");
            if self.link.ask(exists.arg(SaleKeys::of(&sale).sale)).await? {
                sales.push(sale);
            }
        }
        Ok(sales)
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        Ok(self.records(sale, &[number]).await?.pop())
    }

    async fn orders_of(
        &self,
        sale: &SaleId,
        member: &MemberId,
        after: Option<u64>,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let mut number = match after {
            None => {
                let mut read = redis::cmd("HGET");
                read.arg(SaleKeys::of(sale).members).arg(rows::digest(sale, member));
                let holder: Option<u32> = self.link.ask(&read).await?;
                match holder {
                    None => 0,
                    Some(number) => {
                        let holders = self.holders_numbered(sale, &[number]).await?;
                        holders.get(&number).map_or(0, |(_, holder)| holder.newest)
                    }
                }
            }
            Some(after) => {
                let last = self.order(sale, after).await?;
                last.filter(|record| record.member == *member).map_or(0, |record| record.before)
            }
        };
        let mut orders = Vec::new();
        while number > 0 && orders.len() < most {
            let lost = || StoreError::Damaged(format!("order {number} of {member} has no record"));
            let record = self.order(sale, number).await?.ok_or_else(lost)?;
            number = record.before;
            orders.push(record);
        }
        Ok(orders)
    }

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        self.waiting_rows(sale).await
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let next = self.row(sale).await?.map_or(0, |rows| rows.counters.next_number);
        let mut from = after.saturating_add(1);
        let mut orders = Vec::new();
        while orders.len() < most && from < next {
            let page = from..next.min(from + PAGE as u64);
            from = page.end;
            orders.extend(self.records(sale, &page.collect::<Vec<_>>()).await?);
        }
        orders.truncate(most);
        Ok(orders)
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let (key, mut last) = (SaleKeys::of(sale).outbox, after);
        let mut found: Vec<OutboxEntry> = Vec::new();
        let mut count = most.div_ceil(CALL_ORDERS).min(PAGE);
        while found.len() < most {
            let mut read = redis::cmd("XRANGE");
            read.arg(&key).arg(format!("({last}-0")).arg("+");
            read.arg("COUNT").arg(count);
            let page: Vec<StreamEntry> = self.link.ask(&read).await?;
            if page.is_empty() {
                break;
            }
            // An entry may have as many changes as a call, or one.
            count = (2 * count).min(PAGE);
            for entry in page {
                let changes = entries::changes(&entry)?;
                let (id, begins) = (&entry.0, changes.first().map_or(0, |change| change.seq));
                // Only the first entry may begin before what is asked for.
                if begins <= last && !found.is_empty() {
                    let twice = format!("entry {id} of {key} begins at {begins}, after {last}");
                    return Err(StoreError::Damaged(twice));
                }
                found.extend(changes.into_iter().filter(|change| change.seq > last));
                last = found.last().map_or(last, |change| change.seq);
            }
        }
        found.truncate(most);
        Ok(found)
    }

    async fn outbox_end(&self, sale: &SaleId) -> Result<OutboxEnd, StoreError> {
        let SaleKeys { sale, outbox, .. } = SaleKeys::of(sale);
        let mut head = redis::cmd("HMGET");
        head.arg(&sale).arg("seq").arg("gaps");
        let (seq, gaps) = self.link.ask::<(Option<u64>, Option<String>)>(&head).await?;
        let has_gaps = gaps.is_some_and(|gaps| !gaps.is_empty());
        let end = OutboxEnd { seq: seq.unwrap_or(0), newest_at: None, has_gaps };
        if !self.link.ask::<bool>(redis::cmd("EXISTS").arg(&outbox)).await? {
            return Ok(end);
        }
        let mut facts = redis::cmd("XINFO");
        let facts: HashMap<String, Value> = self.link.ask(facts.arg("STREAM").arg(&outbox)).await?;
        let newest = facts.get("last-entry").filter(|entry| **entry != Value::Nil).cloned();
        let newest = newest.map(redis::from_redis_value::<StreamEntry>);
        let odd = |error: redis::ParsingError| {
            StoreError::Damaged(format!("{outbox} has no entry at its end: {error}"))
        };
        let newest = newest.transpose().map_err(odd)?;
        let newest = newest.map(|entry| entries::changes(&entry)).transpose()?;
        let newest_at = newest.and_then(|changes| changes.last().map(|change| change.at));
        Ok(OutboxEnd { newest_at, ..end })
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        let mut found = Audit::default();
        let archived = self.archived_since(Millis(0)).await?.into_iter().map(|(_, sale)| sale);
        for sale in self.named().await?.into_iter().chain(archived) {
            found.sales.extend(self.audit_sale(&sale).await?);
        }
        Ok(found)
    }
}

#[async_trait]
impl Members for RedisStore {
    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        let mut read = redis::cmd("SMEMBERS");
        let names: Vec<String> = self.link.ask(read.arg(keys::BLOCKED)).await?;
        names.iter().map(|name| rows::word(keys::BLOCKED, name)).collect()
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        let mut write = redis::cmd(if is_blocked { "SADD" } else { "SREM" });
        self.link.ask::<()>(write.arg(keys::BLOCKED).arg(member.as_str())).await
    }

    async fn erasing(&self) -> Result<Vec<(MemberId, MemberId)>, StoreError> {
        let mut read = redis::cmd("HGETALL");
        let names: Vec<(String, String)> = self.link.ask(read.arg(keys::ERASING)).await?;
        let word = |name: &String| rows::word(keys::ERASING, name);
        names.iter().map(|(member, pseudonym)| Ok((word(member)?, word(pseudonym)?))).collect()
    }

    async fn set_erasing(
        &self,
        member: &MemberId,
        pseudonym: Option<&MemberId>,
    ) -> Result<(), StoreError> {
        let mut write = redis::cmd(if pseudonym.is_some() { "HSET" } else { "HDEL" });
        write.arg(keys::ERASING).arg(member.as_str()).arg(pseudonym.map(MemberId::as_str));
        self.link.ask::<()>(&write).await
    }

    async fn rename(
        &self,
        sale: &SaleId,
        epoch: u64,
        member: &MemberId,
        to: &MemberId,
    ) -> Result<(), StoreError> {
        let turn = || {
            let mut call = self.sellers_call("rename", sale, epoch);
            for name in [member, to] {
                call.arg(rows::digest(sale, name)).arg(name.as_str());
            }
            call
        };
        self.turn(sale, turn).await.map(drop)
    }

    async fn forget(&self) -> Result<(), StoreError> {
        // Entries go when they are too old; the next look at each sale looks for them.
        self.trimmed_at.lock().clear();
        std::future::ready(Ok(())).await
    }
}
