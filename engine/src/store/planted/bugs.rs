//! What the feature `faults` adds: `FLASHLANE_BUG=name` plants a bug. A bug of the confirmer or the
//! engine is planted here, too: the store gives them the answer for which the bug would take the
//! real one.

use super::mutations::MUTATIONS;
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use crate::store::{
    Batch, BrokenOff, Change, Changed, Changes, Head, Opened, Opening, Reading, Record, Selling,
    Store, StoreError, Verdict,
};
use async_trait::async_trait;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(super) static BUG: LazyLock<String> =
    LazyLock::new(|| std::env::var("FLASHLANE_BUG").unwrap_or_default());

/// The function library, or one with the bug that is planted.
pub(in crate::store) fn mutated(text: &str) -> String {
    let Some((name, from, to)) = MUTATIONS.iter().find(|(name, ..)| *name == *BUG) else {
        return text.to_owned();
    };
    assert_eq!(text.matches(from).count(), 1, "{name} has one place to stand in");
    text.replace(from, to)
}

/// Whether this bug, which an adapter knows of, is planted.
pub(in crate::store) fn is_planted(bug: &str) -> bool {
    *BUG == bug
}

/// The store, or one with the bug that is planted.
#[must_use]
pub fn planted(store: Store) -> Store {
    if BUG.is_empty() {
        return store;
    }
    let selling = SellingBug { well: store.selling, reading: Arc::clone(&store.reading) };
    let opening = OpeningBug { well: store.opening };
    Store { selling: Arc::new(selling), opening: Arc::new(opening), ..store }
}

#[derive(Debug)]
struct SellingBug {
    well: Arc<dyn Selling>,
    reading: Arc<dyn Reading>,
}

#[derive(Debug)]
struct OpeningBug {
    well: Arc<dyn Opening>,
}

/// A sale as it is taken up by a process that forgets what the bug says.
pub(super) fn forget(mut opened: Opened) -> Opened {
    match BUG.as_str() {
        "forget-holdings" => opened.holdings.iter_mut().for_each(|held| held.units = Units(0)),
        "forget-keys" => opened.keyed.clear(),
        "forget-sold" => opened.left = opened.stock,
        "numbers-from-one" => opened.next_number = 1,
        _ => {}
    }
    opened
}

fn all(batch: &Batch, status: Status) -> Vec<Verdict> {
    vec![Verdict::Stored(status, batch.at); batch.orders.len()]
}

/// Whether the answer says that an order has moved on.
#[derive(Debug, PartialEq, Eq)]
enum Steps {
    Taken,
    NotTaken,
}

impl SellingBug {
    /// The answers as if the changes had been made: what is stored, with or without the steps that
    /// were to be taken.
    async fn as_if_made(
        &self,
        changes: &Changes,
        steps: Steps,
    ) -> Result<Vec<Changed>, StoreError> {
        let mut made = Vec::new();
        for change in changes.changes.iter() {
            made.push(match change {
                Change::Order { step, number, .. } => {
                    let Some(mut record) = self.reading.order(&changes.sale, *number).await? else {
                        made.push(Changed::NoOrder);
                        continue;
                    };
                    if steps == Steps::Taken {
                        record.status = record.status.after(*step).unwrap_or(record.status);
                    }
                    Changed::Order(record)
                }
                Change::Refund { number, .. } => {
                    let stored = self.reading.order(&changes.sale, *number).await?;
                    stored.map_or(Changed::NoOrder, Changed::Order)
                }
                Change::Join(wish) => Changed::Waits(wish.clone()),
                Change::Leave(_) | Change::Dissolve => Changed::DoesNotWait,
            });
        }
        Ok(made)
    }
}

#[async_trait]
impl Selling for SellingBug {
    fn batch_orders_max(&self) -> usize {
        self.well.batch_orders_max()
    }

    fn gather(&self) -> Duration {
        self.well.gather()
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        let confirmed = || Ok(all(batch, Status::Confirmed));
        let released = || Ok(all(batch, Status::Released));
        let answer = self.well.commit(batch).await;
        match (BUG.as_str(), answer.as_ref().map_err(|broken| &broken.error)) {
            ("release-on-time-out", Err(StoreError::Unknown(_)))
            | ("release-on-refusal", Err(StoreError::Refused(_))) => released(),
            // The members are told that their orders are confirmed, whatever became of the commit.
            ("confirm-on-time-out", Err(StoreError::Unknown(_)))
            | ("confirm-on-refusal", Err(StoreError::Refused(_)))
            | ("ack-before-commit", _)
            | ("sell-on-when-fenced", Ok(_) | Err(StoreError::Fenced)) => confirmed(),
            _ => answer,
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        match (BUG.as_str(), self.well.change(changes).await) {
            // The caller is told that the order is paid or cancelled, which is never written down.
            ("change-on-time-out", Err(StoreError::Unknown(_) | StoreError::Refused(_))) => {
                self.as_if_made(changes, Steps::Taken).await
            }
            // These bugs concern commits. The answer is that nothing changed, so that a change that
            // is not made does not delay the commits behind it.
            (
                "ack-before-commit" | "confirm-on-refusal" | "release-on-refusal",
                Err(StoreError::Refused(_)),
            )
            | ("sell-on-when-fenced", Err(StoreError::Fenced)) => {
                self.as_if_made(changes, Steps::NotTaken).await
            }
            (_, answer) => answer,
        }
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        match (BUG.as_str(), self.well.still_sells(sale, epoch).await) {
            ("never-look", _) | ("sell-on-when-fenced", Err(StoreError::Fenced)) => Ok(()),
            (_, answer) => answer,
        }
    }
}

#[async_trait]
impl Opening for OpeningBug {
    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        self.well.create(terms).await
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        self.well.open(sale).await.map(forget)
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        self.well.restore(sale, epoch, orders).await
    }
}
