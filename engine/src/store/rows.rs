//! Rows: what the adapters for memory and redb keep, and how a transaction reads and writes it.

use super::counters::{Counters, Holder};
use super::{OutboxEntry, Record, StoreError, Waiting};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use membership::MemberId;
use serde::{Deserialize, Serialize};

/// A sale: what was agreed, and its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SaleRow {
    pub(super) terms: Terms,
    pub(super) counters: Counters,
    /// Outbox entries that are missing because a history was lost and the sale went on after it.
    pub(super) gaps: Vec<Gap>,
    /// Outbox entries up to and with this one were deleted, after every reader that needs them had
    /// read them.
    pub(super) trimmed_to: u64,
}

/// The entries over `after`, up to and with `to`, are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

pub(super) type Stored<T> = Result<T, StoreError>;

/// Called for each row in the order of keys; ends the walk by returning `false`.
pub(super) type Visit<'a, T> = dyn FnMut(T) -> bool + 'a;

/// Reads rows, all of one instant.
pub(super) trait Rows {
    fn sales(&self) -> Stored<Vec<SaleId>>;
    fn sale(&self, sale: &SaleId) -> Stored<Option<SaleRow>>;
    fn order(&self, sale: &SaleId, number: u64) -> Stored<Option<Record>>;
    fn holder(&self, sale: &SaleId, member: &MemberId) -> Stored<Holder>;
    fn top_up(&self, sale: &SaleId, key: &str) -> Stored<Option<TopUp>>;
    fn waiting(&self, sale: &SaleId, member: &MemberId) -> Stored<Option<Waiting>>;
    fn blocked(&self) -> Stored<Vec<MemberId>>;
    fn each_order(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, Record>) -> Stored<()>;
    fn each_holder(&self, sale: &SaleId, see: &mut Visit<'_, (MemberId, Holder)>) -> Stored<()>;
    fn each_entry(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, OutboxEntry>)
    -> Stored<()>;
    fn each_top_up(&self, sale: &SaleId, see: &mut Visit<'_, TopUp>) -> Stored<()>;
    fn each_waiting(&self, sale: &SaleId, see: &mut Visit<'_, Waiting>) -> Stored<()>;
}

/// Writes rows. No other transaction sees them before the adapter commits.
pub(super) trait RowsMut: Rows {
    fn put_sale(&mut self, row: &SaleRow) -> Stored<()>;
    fn put_order(&mut self, sale: &SaleId, record: &Record) -> Stored<()>;
    fn put_holder(&mut self, sale: &SaleId, member: &MemberId, holder: Holder) -> Stored<()>;
    /// Entries of one commit, by `seq`; not empty.
    fn put_entries(&mut self, sale: &SaleId, entries: &[OutboxEntry]) -> Stored<()>;
    fn put_top_up(&mut self, sale: &SaleId, key: &str, top_up: &TopUp) -> Stored<()>;
    fn put_waiting(&mut self, sale: &SaleId, waiting: &Waiting) -> Stored<()>;
    fn remove_waiting(&mut self, sale: &SaleId, member: &MemberId) -> Stored<()>;
    fn clear_waiting(&mut self, sale: &SaleId) -> Stored<()>;
    fn set_blocked(&mut self, member: &MemberId, is_blocked: bool) -> Stored<()>;
}

/// At most `most` of the items that a walk visits.
pub(super) fn page<T>(
    most: usize,
    walk: impl FnOnce(&mut Visit<'_, T>) -> Stored<()>,
) -> Stored<Vec<T>> {
    let mut found = Vec::new();
    if most > 0 {
        walk(&mut |item| {
            found.push(item);
            found.len() < most
        })?;
    }
    Ok(found)
}
