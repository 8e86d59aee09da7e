//! Archiving: an archived sale keeps its keys in their slot. It is on other lists, and nothing opens it.

use super::keys::{self, SaleKeys};
use super::rows;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Archiving, Opened, StoreError};
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use membership::MemberId;
use redis::Cmd;
use std::path::Path;

/// Sales that are asked for something at once.
const SIDE_BY_SIDE: usize = 64;

/// A part of a sorted set.
fn range(key: &str, from: &str, to: &str, by: &str) -> Cmd {
    let mut range = redis::cmd("ZRANGE");
    range.arg(key).arg(from).arg(to).arg(by);
    range
}

impl RedisStore {
    async fn is_archived(&self, sale: &SaleId) -> Result<bool, StoreError> {
        let is = format!("[{sale}");
        let found: Vec<String> = self.link.ask(&range(keys::ARCHIVED, &is, &is, "BYLEX")).await?;
        Ok(!found.is_empty())
    }

    async fn is_deleted(&self, sale: &SaleId) -> Result<bool, StoreError> {
        let mut deleted = redis::cmd("SISMEMBER");
        self.link.ask(deleted.arg(keys::DELETED).arg(sale.as_str())).await
    }

    /// Puts a sale back on the list of those that are opened, if it is archived.
    pub(super) async fn unarchive(&self, sale: &SaleId) -> Result<(), StoreError> {
        if !self.is_archived(sale).await? {
            return Ok(());
        }
        let rows = self.row(sale).await?.ok_or(StoreError::UnknownSale)?;
        // The book has taken in everything of an archived sale. A crash in between leaves the sale on both
        // lists: then it is opened, and archived once more.
        let mut taken_in = redis::cmd("HSET");
        taken_in.arg(keys::TAKEN_IN).arg(rows.number).arg(rows.counters.seq);
        self.link.ask::<()>(&taken_in).await?;
        self.link.ask::<()>(redis::cmd("SADD").arg(keys::SALES).arg(sale.as_str())).await?;
        self.leave_archive(sale, rows.number).await
    }

    /// Takes a sale off the lists of archived ones; the list of all of them comes last.
    async fn leave_archive(&self, sale: &SaleId, number: u32) -> Result<(), StoreError> {
        let mut forget = redis::cmd("HDEL");
        self.link.ask::<()>(forget.arg(keys::ARCHIVED_NUMBERS).arg(number)).await?;
        for list in [keys::ARCHIVED_OUTBOX, keys::ARCHIVED_CHANGED, keys::ARCHIVED] {
            self.link.ask::<()>(redis::cmd("ZREM").arg(list).arg(sale.as_str())).await?;
        }
        Ok(())
    }

    fn forget_what_was_seen(&self, sale: &SaleId) {
        self.seen.lock().remove(sale);
        self.trimmed_at.lock().remove(sale);
    }
}

#[async_trait]
impl Archiving for RedisStore {
    async fn archive(
        &self,
        sale: &SaleId,
        epoch: u64,
        changed_at: Millis,
    ) -> Result<(), StoreError> {
        self.call(sale, &self.sellers_call("still_sells", sale, epoch)).await?;
        let number = self.row(sale).await?.ok_or(StoreError::UnknownSale)?.number;
        let mut numbered = redis::cmd("HSET");
        numbered.arg(keys::ARCHIVED_NUMBERS).arg(number).arg(sale.as_str());
        self.link.ask::<()>(&numbered).await?;
        // What is on this list is taken off all of them when it is opened.
        let lists = [
            (keys::ARCHIVED, 0),
            (keys::ARCHIVED_CHANGED, changed_at.0),
            (keys::ARCHIVED_OUTBOX, changed_at.0),
        ];
        for (list, score) in lists {
            let mut add = redis::cmd("ZADD");
            self.link.ask::<()>(add.arg(list).arg(score).arg(sale.as_str())).await?;
        }
        crate::fault::crash_point("archiving");
        self.link.ask::<()>(redis::cmd("SREM").arg(keys::SALES).arg(sale.as_str())).await?;
        self.link.ask::<()>(redis::cmd("HDEL").arg(keys::TAKEN_IN).arg(number)).await?;
        self.forget_what_was_seen(sale);
        Ok(())
    }

    async fn look(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError> {
        if !self.is_archived(sale).await? {
            return Ok(None);
        }
        self.row(sale).await?.map(|rows| rows.opened()).transpose()
    }

    async fn is_taken(&self, sale: &SaleId) -> Result<bool, StoreError> {
        Ok(self.is_deleted(sale).await? || self.is_archived(sale).await?)
    }

    async fn archived_after(&self, after: &str, most: usize) -> Result<Vec<Opened>, StoreError> {
        let from = if after.is_empty() { "-".to_owned() } else { format!("({after}") };
        let mut page = range(keys::ARCHIVED, &from, "+", "BYLEX");
        let ids: Vec<String> = self.link.ask(page.arg("LIMIT").arg(0).arg(most)).await?;
        let rows = stream::iter(ids).map(async |id| self.row(&rows::word("a sale", &id)?).await);
        let rows: Vec<_> = rows.buffered(SIDE_BY_SIDE).try_collect().await?;
        rows.iter().flatten().map(|rows| rows.opened()).collect()
    }

    async fn archived_since(&self, since: Millis) -> Result<Vec<(u32, SaleId)>, StoreError> {
        let since = since.0.to_string();
        let changed = range(keys::ARCHIVED_CHANGED, &since, "+inf", "BYSCORE");
        let ids: Vec<String> = self.link.ask(&changed).await?;
        let numbered = stream::iter(ids).map(async |id| {
            let sale: SaleId = rows::word("a sale", &id)?;
            let mut read = redis::cmd("HGET");
            let number: Option<u32> =
                self.link.ask(read.arg(SaleKeys::of(&sale).sale).arg("number")).await?;
            Ok(number.map(|number| (number, sale)))
        });
        let numbered: Vec<_> = numbered.buffered(SIDE_BY_SIDE).try_collect().await?;
        let mut found: Vec<_> = numbered.into_iter().flatten().collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn archived_numbered(&self, number: u32) -> Result<Option<SaleId>, StoreError> {
        let mut read = redis::cmd("HGET");
        let id: Option<String> =
            self.link.ask(read.arg(keys::ARCHIVED_NUMBERS).arg(number)).await?;
        id.map(|id| rows::word("a sale", &id)).transpose()
    }

    async fn archived_of(&self, member: &MemberId) -> Result<Vec<SaleId>, StoreError> {
        let ids: Vec<String> = self.link.ask(&range(keys::ARCHIVED, "-", "+", "BYLEX")).await?;
        let has = stream::iter(ids).map(async |id| {
            let sale: SaleId = rows::word("a sale", &id)?;
            let mut read = redis::cmd("HGET");
            read.arg(SaleKeys::of(&sale).members).arg(rows::digest(&sale, member));
            let holder: Option<u32> = self.link.ask(&read).await?;
            Ok(holder.map(|_| sale))
        });
        let has: Vec<_> = has.buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(has.into_iter().flatten().collect())
    }

    async fn delete(&self, sale: &SaleId) -> Result<(), StoreError> {
        let (is_archived, is_deleted) =
            (self.is_archived(sale).await?, self.is_deleted(sale).await?);
        if !is_archived && !is_deleted {
            return Err(StoreError::Refused("this sale is not archived".into()));
        }
        let mut taken = redis::cmd("SADD");
        self.link.ask::<()>(taken.arg(keys::DELETED).arg(sale.as_str())).await?;
        if let Some(rows) = self.row(sale).await? {
            self.leave_archive(sale, rows.number).await?;
        }
        self.link.ask::<()>(redis::cmd("UNLINK").arg(&SaleKeys::of(sale).all())).await?;
        // It may have been counted up by the call before.
        let written = keys::written(sale.as_str().as_bytes());
        self.link.ask::<()>(redis::cmd("UNLINK").arg(written)).await
    }

    async fn back_up(&self, _: &Path) -> Result<(), StoreError> {
        std::future::ready(Err(StoreError::NotEmbedded)).await
    }

    async fn trim(&self, now: Millis) -> Result<(), StoreError> {
        let keep = u64::try_from(self.outbox_keep.as_millis()).unwrap_or(u64::MAX);
        let due = now.0.saturating_sub(keep).to_string();
        let mut due = range(keys::ARCHIVED_OUTBOX, "-inf", &due, "BYSCORE");
        let ids: Vec<String> = self.link.ask(due.arg("LIMIT").arg(0).arg(SIDE_BY_SIDE)).await?;
        for id in ids {
            let sale: SaleId = rows::word("a sale", &id)?;
            if self.is_archived(&sale).await? {
                let outbox = SaleKeys::of(&sale).outbox;
                self.link.ask::<()>(redis::cmd("UNLINK").arg(outbox)).await?;
            }
            let mut done = redis::cmd("ZREM");
            self.link.ask::<()>(done.arg(keys::ARCHIVED_OUTBOX).arg(id)).await?;
        }
        Ok(())
    }
}
