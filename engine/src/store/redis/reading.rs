//! Reading: plain commands, page by page.

use super::keys::{self, SaleKeys};
use super::rows;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::store::{Audit, Members, OutboxEntry, Reading, Record, StoreError, Waiting};
use async_trait::async_trait;
use membership::MemberId;
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
        let mut entries = Vec::new();
        while entries.len() < most {
            let mut read = redis::cmd("XRANGE");
            read.arg(&key).arg(format!("({last}-0")).arg("+");
            read.arg("COUNT").arg(PAGE.min(most - entries.len()));
            let page: Vec<(String, HashMap<String, String>)> = self.link.ask(&read).await?;
            if page.is_empty() {
                break;
            }
            for (id, fields) in page {
                let entry = rows::entry(&id, &fields)?;
                last = entry.seq;
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        let mut found = Audit::default();
        for sale in self.named().await? {
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
}
