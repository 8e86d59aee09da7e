//! Redis as the authority: one function call decides a batch, written to disk before it is answered.
//!
//! The transactions are in `redis/transactions.lua`. This file says what is sent and what the answers
//! mean; `redis/link.rs` gets them there.

mod calls;
mod check;
mod library;
mod link;
mod read;
mod rows;

pub use link::RedisOptions;

use super::{
    Audit, Batch, Changed, Changes, Head, Opened, OutboxEntry, Record, Store, StoreError, Switch,
    Verdict, Waiting,
};
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use futures_util::future::join_all;
use link::Link;
use membership::MemberId;
use parking_lot::Mutex;
use redis::Cmd;
use std::collections::HashMap;

/// Orders a function call. A call that has begun to write cannot be interrupted, so it is short.
const CALL_ORDERS: usize = 128;
/// Calls on their way at once: Redis puts those that it finds together on disk together.
const CALLS_IN_FLIGHT: usize = 4;
/// Rows a read.
const PAGE: usize = 1_000;

/// Sales in Redis, which other processes may share.
#[derive(Debug)]
pub struct RedisStore {
    link: Link,
    seen: Mutex<HashMap<SaleId, Seen>>,
    /// Who opens a sale, until it is known to be open: the same opener may call again.
    openers: Mutex<HashMap<SaleId, String>>,
}

/// How far a sale has come, as Redis has told: less later on is a history that was lost.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Changes of orders.
    seq: u64,
    /// Switches and top-ups.
    turns: u64,
}

impl RedisStore {
    /// Connects, looks at what must be right before anything is sold, and loads the functions.
    /// Gives what should be right and is not, a sentence each.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it.
    pub async fn connect(options: &RedisOptions) -> Result<(Self, Vec<String>), StoreError> {
        let link = Link::new(options)?;
        let warnings = check::settings(&link).await?;
        check::functions(&link).await?;
        Ok((Self { link, seen: Mutex::default(), openers: Mutex::default() }, warnings))
    }

    fn seen(&self, sale: &SaleId) -> Seen {
        self.seen.lock().get(sale).copied().unwrap_or_default()
    }

    fn has_come_to(&self, sale: &SaleId, seq: &str, turns: &str) -> Result<(), StoreError> {
        let (seq, turns) = (rows::word("a count", seq)?, rows::word("a count", turns)?);
        let mut seen = self.seen.lock();
        let seen = seen.entry(sale.clone()).or_default();
        *seen = Seen { seq: seen.seq.max(seq), turns: seen.turns.max(turns) };
        Ok(())
    }

    /// One function call; gives what follows OK and how far the sale has come.
    async fn call(&self, sale: &SaleId, call: &Cmd) -> Result<Vec<String>, StoreError> {
        let answer: Vec<String> = self.link.ask(call).await?;
        crate::fault::crash_point("answered");
        let mut words = answer.into_iter();
        let (kind, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match kind.as_str() {
            "OK" => {
                self.has_come_to(sale, &next, &words.next().unwrap_or_default())?;
                Ok(words.collect())
            }
            "STALE" => {
                self.has_come_to(sale, &next, &words.next().unwrap_or_default())?;
                Err(StoreError::Refused("another switch was turned in between".into()))
            }
            "DENIED" => Err(StoreError::Refused(format!("NOPERM: {next} was withdrawn"))),
            "EXISTS" => Err(StoreError::SaleExists),
            "UNKNOWN_SALE" => Err(StoreError::UnknownSale),
            "FENCED" => Err(StoreError::Fenced),
            "LOST" => Err(StoreError::HistoryLost(format!(
                "its outbox ends at {next} and had been told to end at {}, or a switch or a top-up is \
                 gone; resume the sale to put back what this process knows",
                self.seen(sale).seq
            ))),
            "SHORT" => Err(StoreError::TooLittleStock(Units(rows::word("units left", &next)?))),
            "CONFLICT" => Err(StoreError::TopUpConflict(Units(rows::word("a top-up", &next)?))),
            "TOO_MUCH" => Err(StoreError::TooMuchStock(Units(rows::word("the stock", &next)?))),
            _ => Err(StoreError::Damaged(next)),
        }
    }

    /// A call of this sale's holder: its epoch and what it has seen come first.
    fn held(&self, function: &str, sale: &SaleId, epoch: u64) -> Cmd {
        let mut call = library::call(function, &rows::keys(sale));
        let seen = self.seen(sale);
        call.arg(epoch).arg(seen.seq).arg(seen.turns);
        call
    }

    /// The bytes of the calls that commit this batch, to measure what is left of Redis's speed.
    #[must_use]
    pub fn commit_bytes(&self, batch: &Batch) -> Vec<u8> {
        let calls = batch.orders.chunks(CALL_ORDERS);
        calls.flat_map(|orders| self.commit_call(batch, orders).get_packed_command()).collect()
    }
}

#[async_trait]
impl Store for RedisStore {
    fn batch_orders_max(&self) -> usize {
        CALL_ORDERS * CALLS_IN_FLIGHT
    }

    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        let mut index = redis::cmd("SADD");
        self.link.ask::<()>(index.arg(rows::SALES).arg(terms.id.as_str())).await?;
        crate::fault::crash_point("indexed");
        let limits: Vec<String> = terms.limits.iter().map(|(_, limit)| limit.to_string()).collect();
        let mut create = library::call("create", &rows::keys(&terms.id));
        let text = serde_json::to_string(terms).expect("terms are plain data");
        create.arg(text).arg(terms.stock.0).arg(limits.join(" "));
        self.call(&terms.id, &create).await.map(drop)
    }

    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        let mut sales = Vec::new();
        for sale in self.named().await? {
            let mut exists = redis::cmd("EXISTS");
            if self.link.ask(exists.arg(&rows::keys(&sale)[0])).await? {
                sales.push(sale);
            }
        }
        Ok(sales)
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        let opener = || format!("{:032x}", fastrand::u128(..));
        let opener = self.openers.lock().entry(sale.clone()).or_insert_with(opener).clone();
        let mut open = library::call("open", &rows::keys(sale));
        open.arg(opener);
        // What this process saw before is no measure for the state that it takes up now.
        self.seen.lock().remove(sale);
        let mut answer = self.call(sale, &open).await;
        if let Err(StoreError::Unknown(_)) = answer {
            // The same opener again, so that a call that was done is not done twice.
            answer = self.call(sale, &open).await;
        }
        let answer = answer?;
        self.openers.lock().remove(sale);
        let epoch = answer.first().map(|epoch| rows::word("the epoch", epoch));
        let epoch = epoch.unwrap_or_else(|| Err(rows::unreadable("the epoch", "")))?;
        crate::fault::crash_point("opened");
        // Nobody else changes the sale from here on.
        let row = self.row(sale).await?.ok_or(StoreError::UnknownSale)?;
        let orders = self.orders_after(sale, 0, usize::MAX).await?;
        let held = self.holders(sale).await?.into_iter();
        Ok(Opened {
            terms: row.terms,
            epoch,
            stock: row.stock,
            left: row.left,
            is_paused: row.is_paused,
            is_closed: row.is_closed,
            next_number: row.next_number,
            tallies: row.tallies,
            held: held.map(|(member, holder)| (member, holder.units)).collect(),
            unpaid: orders.iter().filter(|r| r.status == Status::Confirmed).cloned().collect(),
            keyed: orders.into_iter().filter(|record| record.key.is_some()).collect(),
            waiting: self.waiting_rows(sale).await?,
        })
    }

    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        self.call(sale, &self.held("hold", sale, epoch)).await.map(drop)
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        let calls = batch.orders.chunks(CALL_ORDERS).map(|part| self.commit_part(batch, part));
        let mut verdicts = Vec::with_capacity(batch.orders.len());
        let mut failure = None;
        for answer in join_all(calls).await {
            match answer {
                Ok(part) => verdicts.extend(part),
                // What stops the sale weighs more than what is tried again.
                Err(error) if failure.as_ref().is_none_or(StoreError::is_transient) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        match failure {
            Some(error) => Err(error),
            None if batch.orders.is_empty() => self.commit_part(batch, &[]).await,
            None => Ok(verdicts),
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        let mut made = Vec::with_capacity(changes.changes.len());
        // One after the other: a later one may concern the same order.
        for part in changes.changes.chunks(CALL_ORDERS) {
            made.extend(self.change_part(changes, part).await?);
        }
        Ok(made)
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        let mut head = None;
        // In the end once without orders: for a sale of which nothing was lost, and to read it.
        for part in orders.chunks(CALL_ORDERS).chain([&[][..]]) {
            let call = self.restore_call(sale, epoch, part);
            let answer = self.call(sale, &call).await;
            if answer == Err(StoreError::Fenced) {
                // It is another process's now, with whatever it has.
                self.seen.lock().remove(sale);
            }
            head = Some(answer?);
        }
        let words = head.unwrap_or_default();
        let [stock, left, sums @ ..] = &words[..] else {
            return Err(rows::unreadable("the sale", &words.join(" ")));
        };
        let of = |status: &str| {
            let place = Status::STORED.iter().position(|stored| stored.as_str() == status);
            place.and_then(|place| sums.get(place)).map_or("", String::as_str)
        };
        Ok(Head {
            stock: Units(rows::word("the stock", stock)?),
            left: Units(rows::word("units left", left)?),
            tallies: rows::by_state(sale, of)?,
        })
    }

    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        let (field, value) = match switch {
            Switch::Pause => ("paused", 1),
            Switch::Resume => ("paused", 0),
            Switch::Close => ("closed", 1),
        };
        let turn = || self.held("switch", sale, epoch).arg(field).arg(value).clone();
        match self.call(sale, &turn()).await {
            // Perhaps by this very call, whose answer was lost before.
            Err(StoreError::Refused(_)) => self.call(sale, &turn()).await.map(drop),
            turned => turned.map(drop),
        }
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        let mut call = self.held("top_up", sale, epoch);
        call.arg(key).arg(add.0).arg(Terms::STOCK_MAX.0);
        let total = self.call(sale, &call).await?;
        rows::word("the stock", total.first().map_or("", String::as_str)).map(Units)
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        let mut read = redis::cmd("HGET");
        read.arg(&rows::keys(sale)[1]).arg(number);
        let text: Option<String> = self.link.ask(&read).await?;
        text.map(|text| rows::record(number, &text)).transpose()
    }

    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError> {
        let mut read = redis::cmd("HGET");
        read.arg(&rows::keys(sale)[2]).arg(member.as_str());
        let text: Option<String> = self.link.ask(&read).await?;
        let holder = text.map(|text| rows::holder(member.as_str(), &text)).transpose()?;
        let mut number = holder.unwrap_or_default().newest;
        let mut orders = Vec::new();
        while number > 0 {
            let lost = || StoreError::Damaged(format!("order {number} of {member} has no record"));
            let record = self.order(sale, number).await?.ok_or_else(lost)?;
            number = record.before;
            orders.push(record);
        }
        orders.sort_unstable_by_key(|record| record.number);
        Ok(orders)
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let key = &rows::keys(sale)[1];
        let next = self.row(sale).await?.map_or(0, |row| row.next_number);
        let mut from = after.saturating_add(1);
        let mut orders = Vec::new();
        while orders.len() < most && from < next {
            let page = from..next.min(from + PAGE as u64);
            from = page.end;
            let mut read = redis::cmd("HMGET");
            read.arg(key).arg(page.clone().collect::<Vec<_>>());
            let texts: Vec<Option<String>> = self.link.ask(&read).await?;
            for (number, text) in page.zip(texts) {
                orders.extend(text.map(|text| rows::record(number, &text)).transpose()?);
            }
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
        let (key, mut last) = (&rows::keys(sale)[3], after);
        let mut entries = Vec::new();
        while entries.len() < most {
            let mut read = redis::cmd("XRANGE");
            read.arg(key).arg(format!("({last}-0")).arg("+");
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

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        self.waiting_rows(sale).await
    }

    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        let mut read = redis::cmd("SMEMBERS");
        let names: Vec<String> = self.link.ask(read.arg(rows::BLOCKED)).await?;
        names.iter().map(|name| rows::word(rows::BLOCKED, name)).collect()
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        let mut write = redis::cmd(if is_blocked { "SADD" } else { "SREM" });
        self.link.ask::<()>(write.arg(rows::BLOCKED).arg(member.as_str())).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        let mut found = Audit::default();
        for sale in self.named().await? {
            found.sales.extend(self.audit_sale(&sale).await?);
        }
        Ok(found)
    }
}
