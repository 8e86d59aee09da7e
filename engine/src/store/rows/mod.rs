//! Rows: everything that is stored of one sale, in memory, and how an order is read from it.
//!
//! The stores in memory and in the journal decide by these rows; a sale in Redis is read into them to
//! take it up and to add it up again.

mod changing;
mod holders;
mod orders;
mod replay;
mod transactions;

pub(super) use holders::{HolderNumber, HolderRow, Holders};
pub(super) use orders::{OrderRow, Orders};

use super::counters::{Counters, Holder};
use super::{Holding, Keyed, Opened, Record, StoreError, Waiting};
use crate::rules::key::IdempotencyKey;
use crate::rules::money::{Money, Refund};
use crate::rules::order::Status;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::why::Why;
use membership::{MemberId, Tier};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub(super) type Stored<T> = Result<T, StoreError>;

/// The entries over `after`, up to and with `to`, are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    pub(super) after: u64,
    pub(super) to: u64,
}

/// Units added under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopUp {
    pub(super) add: Units,
    pub(super) total: Units,
}

/// What only few orders have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extra {
    /// `None` for what the terms say of such a click.
    pub(super) money: Option<Money>,
    pub(super) refunds: Vec<Refund>,
}

/// Everything that is stored of one sale.
#[derive(Debug)]
pub(super) struct SaleRows {
    /// The sale's number, counted up over all sales.
    pub(super) number: u32,
    pub(super) terms: Terms,
    pub(super) counters: Counters,
    /// Outbox entries that are missing because a history was lost and the sale went on after it.
    pub(super) gaps: Vec<Gap>,
    /// Outbox entries up to and with this one were deleted.
    pub(super) trimmed_to: u64,
    /// The epochs that orders were taken in, each once.
    pub(super) epochs: Vec<u64>,
    pub(super) holders: Holders,
    pub(super) orders: Orders,
    pub(super) extras: HashMap<u64, Extra>,
    /// Why orders were released, by number.
    pub(super) whys: HashMap<u64, Why>,
    pub(super) top_ups: BTreeMap<String, TopUp>,
    pub(super) waiting: BTreeMap<MemberId, Waiting>,
    /// Orders of the newest batch.
    newest_batch: usize,
    /// A transaction found damage when it had changed some of these rows: they must not be used.
    pub(super) is_half_changed: bool,
}

/// An order to be written down; what the rows find out themselves is not in it.
pub(super) struct NewOrder<'a> {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) tier: Tier,
    pub(super) units: Units,
    pub(super) status: Status,
    pub(super) reserved_at: Millis,
    pub(super) settled_at: Millis,
    pub(super) changed_at: Millis,
    pub(super) pay_by: Millis,
    pub(super) key: Option<IdempotencyKey>,
    /// `None` for what the terms say of such a click.
    pub(super) money: Option<&'a Money>,
    pub(super) refunds: &'a [Refund],
    pub(super) why: Option<Why>,
}

pub(super) fn damaged(why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(why.to_string())
}

impl SaleRows {
    /// The longest that a row can say an order may stay unpaid; terms allow 30 days.
    pub(super) const PAY_WITHIN_MAX: Duration = Duration::from_millis(u32::MAX as u64);

    /// A sale that no process has opened yet.
    pub(super) fn new(number: u32, terms: Terms) -> Self {
        let counters = Counters::new(terms.stock);
        Self {
            number,
            terms,
            counters,
            gaps: Vec::new(),
            trimmed_to: 0,
            epochs: Vec::new(),
            holders: Holders::default(),
            orders: Orders::default(),
            extras: HashMap::new(),
            whys: HashMap::new(),
            top_ups: BTreeMap::new(),
            waiting: BTreeMap::new(),
            newest_batch: 0,
            is_half_changed: false,
        }
    }

    /// Whether a repeated call to make the sale with these terms has nothing to do: it was made with
    /// them, and no process has opened it since.
    pub(super) fn is_made_by(&self, terms: &Terms) -> bool {
        self.counters.epoch == 0 && self.terms == *terms
    }

    /// Keeps an order's row without counting it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for an order that no sale can have.
    pub(super) fn keep(
        &mut self,
        holder: HolderNumber,
        before: u64,
        order: &NewOrder<'_>,
    ) -> Stored<()> {
        let number = order.number;
        let usual = self.terms.money(order.tier, order.units, order.reserved_at);
        let odd = |_| damaged(format!("order {number} has a number that no order has"));
        if number == 0 || number > Orders::NUMBER_MAX {
            return Err(damaged(format!("order {number} has no number that an order may have")));
        }
        let row = OrderRow {
            status: order.status,
            tier: order.tier,
            units: u16::try_from(order.units.0).map_err(odd)?,
            holder,
            epoch: self.epoch_index(order.epoch),
            before: u32::try_from(before).map_err(odd)?,
            pay_within_ms: u32::try_from(order.pay_by.0.saturating_sub(order.settled_at.0))
                .map_err(odd)?,
            reserved_at: order.reserved_at,
            settled_at: order.settled_at,
            changed_at: order.changed_at,
            key: order.key,
        };
        let money = order.money.filter(|money| **money != usual).cloned();
        if money.is_some() || !order.refunds.is_empty() {
            self.extras.insert(number, Extra { money, refunds: order.refunds.to_vec() });
        }
        if let Some(why) = order.why {
            self.whys.insert(number, why);
        }
        self.orders.put(number, row);
        Ok(())
    }

    fn epoch_index(&mut self, epoch: u64) -> u32 {
        // Orders of the newest epochs come most often.
        let known = self.epochs.iter().rposition(|known| *known == epoch);
        let index = known.unwrap_or_else(|| {
            self.epochs.push(epoch);
            self.epochs.len() - 1
        });
        u32::try_from(index).expect("a sale is opened fewer than 2^32 times")
    }

    /// A stored order.
    pub(super) fn record(&self, number: u64) -> Stored<Option<Record>> {
        self.orders.get(number).map(|row| self.read(number, row)).transpose()
    }

    /// What a row says, in full.
    pub(super) fn read(&self, number: u64, row: &OrderRow) -> Stored<Record> {
        let holder = self.holders.get(row.holder);
        let holder = holder.ok_or_else(|| damaged(format!("order {number} has no holder")))?;
        let epoch = self.epochs.get(row.epoch as usize).copied();
        let extra = self.extras.get(&number);
        let money = extra.and_then(|extra| extra.money.clone());
        Ok(Record {
            number,
            epoch: epoch.ok_or_else(|| damaged(format!("order {number} has no epoch")))?,
            member: holder.member.clone(),
            tier: row.tier,
            units: row.units(),
            status: row.status,
            reserved_at: row.reserved_at,
            settled_at: row.settled_at,
            changed_at: row.changed_at,
            pay_by: Millis(row.settled_at.0 + u64::from(row.pay_within_ms)),
            money: money
                .unwrap_or_else(|| self.terms.money(row.tier, row.units(), row.reserved_at)),
            refunds: extra.map(|extra| extra.refunds.clone()).unwrap_or_default(),
            key: row.key,
            before: row.before.into(),
            why: self.whys.get(&number).copied(),
        })
    }

    /// At most `most` orders with numbers over `after`, by number.
    pub(super) fn orders_after(&self, after: u64, most: usize) -> Stored<Vec<Record>> {
        self.orders.after(after).take(most).map(|(number, row)| self.read(number, row)).collect()
    }

    /// At most `most` of a member's orders, those stored last first, behind `after` on this list.
    pub(super) fn orders_of(
        &self,
        member: &MemberId,
        after: Option<u64>,
        most: usize,
    ) -> Stored<Vec<Record>> {
        let Some(holder) = self.holders.find(member.as_str()) else { return Ok(Vec::new()) };
        let lost = |number| damaged(format!("order {number} of {member} has no record"));
        // Each order names the one that was stored before it.
        let mut number = match after {
            None => self.holders.get(holder).map_or(0, |row| row.holder.newest),
            Some(after) => {
                let last = self.orders.get(after).filter(|row| row.holder == holder);
                last.map_or(0, |row| row.before.into())
            }
        };
        let mut records = Vec::new();
        while number > 0 && records.len() < most {
            let record = self.record(number)?.ok_or_else(|| lost(number))?;
            number = record.before;
            records.push(record);
        }
        Ok(records)
    }

    /// The state to go on from, for the process that sells the sale from now on.
    pub(super) fn opened(&self) -> Stored<Opened> {
        let holding = |row: &HolderRow| {
            let Holder { units, orders, .. } = row.holder;
            Holding { member: row.member.clone(), units, orders }
        };
        let (mut keyed, mut unpaid) = (Vec::new(), Vec::new());
        for (number, row) in self.orders.after(0) {
            if row.status == Status::Confirmed {
                unpaid.push(self.read(number, row)?);
            }
            let holder = row.holder as usize;
            if holder >= self.holders.len() {
                return Err(damaged(format!("order {number} has no holder")));
            }
            let money = self.extras.get(&number).and_then(|extra| extra.money.as_ref());
            keyed.extend(row.key.map(|key| Keyed {
                holder,
                key,
                units: row.units(),
                tender: money.map(Money::tender).unwrap_or_default(),
                number,
            }));
        }
        let Counters { epoch, stock, left, is_paused, is_closed, next_number, tallies, .. } =
            self.counters;
        Ok(Opened {
            sale_number: self.number,
            terms: self.terms.clone(),
            epoch,
            stock,
            left,
            is_paused,
            is_closed,
            next_number,
            tallies,
            holdings: self.holders.rows().map(holding).collect(),
            keyed,
            unpaid,
            waiting: self.waiting.values().cloned().collect(),
        })
    }
}
