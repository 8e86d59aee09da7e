//! Counters: what decides in a sale, and what a member has in it. The rules of `commit.rs` and
//! `change.rs` are functions over these.

use super::{StoreError, Switch};
use crate::rules::tally::Tallies;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use serde::{Deserialize, Serialize};

/// A sale's counters and switches. `left` + units that stored orders hold = `stock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) epoch: u64,
    pub(super) stock: Units,
    pub(super) left: Units,
    pub(super) is_paused: bool,
    pub(super) is_closed: bool,
    pub(super) next_number: u64,
    /// The `seq` of the newest outbox entry.
    pub(super) seq: u64,
    pub(super) tallies: Tallies,
}

/// What a member has in one sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) units: Units,
    /// The highest limit under which one of the member's orders was taken: a member's tier may change
    /// during a sale, and orders are not decided in the order of clicks.
    pub(super) limit: Units,
    /// Stored orders that the member made, whatever became of them.
    pub(super) orders: u32,
    /// The number of the member's order that was stored last; 0 for none. Each record names the one
    /// before it, so a member's orders need no index of their own.
    pub(super) newest: u64,
}

impl Counters {
    /// The counters of a sale that no process has opened yet.
    pub(super) fn new(stock: Units) -> Self {
        Self {
            epoch: 0,
            stock,
            left: stock,
            is_paused: false,
            is_closed: false,
            next_number: 1,
            seq: 0,
            tallies: Tallies::default(),
        }
    }

    /// A new opening of the sale. Its epoch is the time in milliseconds, unless that is not higher than
    /// the last one, so that a restored backup does not give an epoch out again.
    pub(super) fn begin_epoch(&mut self, now: Millis) {
        self.epoch = now.0.max(self.epoch + 1);
    }

    /// Refuses every epoch but the one that sells the sale.
    pub(super) fn sold_by(&self, epoch: u64) -> Result<(), StoreError> {
        if self.epoch == epoch { Ok(()) } else { Err(StoreError::Fenced) }
    }

    /// Turns a switch.
    pub(super) fn turn(&mut self, switch: Switch) {
        match switch {
            Switch::Pause => self.is_paused = true,
            Switch::Resume => self.is_paused = false,
            Switch::Close => self.is_closed = true,
        }
    }

    /// Follows a change of the terms: the units left grow or shrink as the stock does.
    pub(super) fn change_terms(&mut self, before: &Terms, now: &Terms) -> Result<(), StoreError> {
        let (was, is) = (before.stock.0, now.stock.0);
        if is >= was {
            return self.add_stock(Units(is - was));
        }
        let left =
            self.left.0.checked_sub(was - is).ok_or(StoreError::TooLittleStock(self.left))?;
        (self.left, self.stock) = (Units(left), Units(self.stock.0 - (was - is)));
        Ok(())
    }

    /// Adds units that are free.
    pub(super) fn add_stock(&mut self, add: Units) -> Result<(), StoreError> {
        let total = self.stock.0.checked_add(add.0).map(Units);
        let total = total.filter(|total| *total <= Terms::STOCK_MAX);
        self.stock = total.ok_or(StoreError::TooMuchStock(self.stock))?;
        self.left.0 += add.0;
        Ok(())
    }
}
