//! Selling: each call is one function call of the library, or a few.

use super::calls::{CALL_ORDERS, CALLS_IN_FLIGHT};
use super::keys::{self, SaleKeys};
use super::store::RedisStore;
use super::{library, rows};
use crate::clock::Clock;
use crate::fault::crash_point;
use crate::rules::node::NodeId;
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use crate::store::{
    Archiving, Batch, BrokenOff, Changed, Changes, Head, Leasing, Opened, Opening, Operating,
    Record, Seen, Selling, StoreError, Switch, Verdict,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::time::Duration;

/// A call costs Redis as much as some dozens of orders, and its write to disk on top.
const GATHER: Duration = Duration::from_millis(2);

#[async_trait]
impl Selling for RedisStore {
    fn batch_orders_max(&self) -> usize {
        CALL_ORDERS * CALLS_IN_FLIGHT
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        if batch.orders.is_empty() {
            return Ok(self.commit_part(batch, &[]).await?);
        }
        let parts = batch.orders.chunks(CALL_ORDERS);
        let calls = parts.clone().map(|part| self.commit_part(batch, part));
        let mut answered = Vec::with_capacity(batch.orders.len());
        let mut failure = None;
        for (part, answer) in parts.zip(join_all(calls).await) {
            match answer {
                Ok(verdicts) => answered.extend(verdicts.into_iter().map(Some)),
                Err(error) => {
                    answered.extend(part.iter().map(|_| None));
                    // An error that stops the sale matters more than one after which the call is
                    // tried again.
                    if failure.as_ref().is_none_or(StoreError::is_transient) {
                        failure = Some(error);
                    }
                }
            }
        }
        match failure {
            Some(error) => Err(BrokenOff { error, answered }),
            None => Ok(answered.into_iter().flatten().collect()),
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        let mut made = Vec::with_capacity(changes.changes.len());
        // The parts are sent one after the other: a later part may concern the same order.
        for part in changes.changes.chunks(CALL_ORDERS) {
            match self.change_part(changes, part).await {
                Ok(answers) => made.extend(answers),
                // Some of the changes are made, so it is not true any more that nothing has changed.
                Err(error) if !made.is_empty() => {
                    return Err(StoreError::Unknown(format!("only in part: {error}")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        self.call(sale, &self.sellers_call("still_sells", sale, epoch)).await?;
        self.trim_if_due(sale, Clock::Wall.now()).await
    }
}

impl RedisStore {
    /// Opens a sale: whatever it is in, or for a node that has seen it in an epoch.
    pub(super) async fn open_by(
        &self,
        sale: &SaleId,
        by: Option<(&NodeId, Seen)>,
    ) -> Result<Opened, StoreError> {
        let opener = || format!("{:032x}", fastrand::u128(..));
        let opener = match by {
            None => self.openers.lock().entry(sale.clone()).or_insert_with(opener).clone(),
            // A node that asks again asks for another epoch: it may do so in another term (nodes/own_lease.rs).
            Some(_) => opener(),
        };
        if let Some((_, seen)) = by
            && self.owner(sale).await?.is_some_and(|of| of.seen != seen)
        {
            return Err(StoreError::OtherOwner);
        }
        self.unarchive(sale).await?;
        let mut open = library::call("open", &SaleKeys::of(sale));
        open.arg(opener);
        match by {
            None => open.arg("").arg("-").arg("-"),
            Some((node, seen)) => open.arg(node.as_str()).arg(seen.epoch).arg(seen.kept),
        };
        // The state that this process takes up now may be older than what it saw before.
        self.seen.lock().remove(sale);
        let mut answer = self.call(sale, &open).await;
        if let Err(StoreError::Unknown(_)) = answer {
            // The call is repeated with the same opener, so that an opening that was done is not
            // done twice.
            answer = self.call(sale, &open).await;
        }
        let answer = answer?;
        if by.is_none() {
            self.openers.lock().remove(sale);
        }
        let epoch = answer.first().map(|epoch| rows::word("the epoch", epoch));
        let epoch = epoch.unwrap_or_else(|| Err(rows::unreadable("the epoch", "")))?;
        crash_point("opened");
        // No other process changes the sale from here on, but one that takes it over in its turn: this one is fenced then.
        let rows = self.rows(sale).await?.ok_or(StoreError::UnknownSale)?;
        Ok(Opened { epoch, ..rows.opened()? })
    }
}

#[async_trait]
impl Opening for RedisStore {
    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        if self.is_taken(&terms.id).await? {
            return Err(StoreError::SaleExists);
        }
        let mut index = redis::cmd("SADD");
        self.link.ask::<()>(index.arg(keys::SALES).arg(terms.id.as_str())).await?;
        crash_point("indexed");
        let mut create = library::call("create", &SaleKeys::of(&terms.id));
        let text = serde_json::to_string(terms).expect("terms are plain data");
        // A call that finds the sale made leaves a number out, which is then nobody's.
        let number: u32 = self.link.ask(redis::cmd("INCR").arg(keys::SALE_NUMBER)).await?;
        create.arg(text).arg(terms.stock.0).arg(limits(terms)).arg(number);
        self.call(&terms.id, &create).await.map(drop)
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        self.open_by(sale, None).await
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        let mut head = None;
        // A last call without orders returns the sale's counters, also when there is no order to
        // put back.
        for part in orders.chunks(CALL_ORDERS).chain([&[][..]]) {
            let call = self.restore_call(sale, epoch, part);
            let answer = self.call(sale, &call).await;
            if answer == Err(StoreError::Fenced) {
                // Another process sells the sale now, whatever state of it that process has found.
                self.seen.lock().remove(sale);
            }
            head = Some(answer?);
        }
        let words = head.unwrap_or_default();
        let [stock, left, sums @ ..] = &words[..] else {
            return Err(rows::unreadable("the sale", &words.join(" ")));
        };
        let of = |status: &str| {
            let index = Status::STORED.iter().position(|stored| stored.as_str() == status);
            index.and_then(|index| sums.get(index)).map_or("", String::as_str)
        };
        Ok(Head {
            stock: Units(rows::word("the stock", stock)?),
            left: Units(rows::word("units left", left)?),
            tallies: rows::by_state(sale, of)?,
        })
    }
}

/// The limits of the tiers, as the functions read them.
fn limits(terms: &Terms) -> String {
    let limits: Vec<String> = terms.limits.iter().map(|(_, limit)| limit.to_string()).collect();
    limits.join(" ")
}

#[async_trait]
impl Operating for RedisStore {
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        let (field, value) = match switch {
            Switch::Pause => ("paused", 1),
            Switch::Resume => ("paused", 0),
            Switch::Close => ("closed", 1),
        };
        let turn = || self.sellers_call("switch", sale, epoch).arg(field).arg(value).clone();
        self.turn(sale, turn).await.map(drop)
    }

    async fn change_terms(&self, epoch: u64, terms: &Terms) -> Result<(), StoreError> {
        let id = &terms.id;
        let key = SaleKeys::of(id).sale;
        let before: String = self.link.ask(redis::cmd("HGET").arg(key).arg("terms")).await?;
        let before = rows::terms(id, &before)?;
        let text = serde_json::to_string(terms).expect("terms are plain data");
        let more = i64::from(terms.stock.0) - i64::from(before.stock.0);
        let turn = || {
            let mut call = self.sellers_call("change_terms", id, epoch);
            call.arg(&text).arg(limits(terms)).arg(more).arg(Terms::STOCK_MAX.0);
            call
        };
        self.turn(id, turn).await.map(drop)
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        let mut call = self.sellers_call("top_up", sale, epoch);
        call.arg(key).arg(add.0).arg(Terms::STOCK_MAX.0);
        let total = self.call(sale, &call).await?;
        rows::word("the stock", total.first().map_or("", String::as_str)).map(Units)
    }
}
