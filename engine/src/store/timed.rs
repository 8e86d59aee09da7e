//! The store with its calls timed, for people who watch it.

use super::{
    Archiving, Audit, Batch, BrokenOff, Changed, Changes, Head, Members, Opened, Opening,
    Operating, OutboxEnd, OutboxEntry, Reading, Record, Selling, Store, StoreError, Switch,
    Verdict, Waiting,
};
use crate::clock::Stopwatch;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::timing::{OUTSIDE, Timed, Timing};
use async_trait::async_trait;
use membership::MemberId;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long each call of the store took: those that were done, and those that failed.
#[derive(Debug, Default)]
pub struct Calls(RwLock<BTreeMap<&'static str, Outcomes>>);

#[derive(Debug)]
struct Outcomes {
    done: Timing,
    failed: Timing,
}

impl Calls {
    fn note(&self, call: &'static str, took: Duration, is_done: bool) {
        let note = |outcomes: &Outcomes| {
            let timing = if is_done { &outcomes.done } else { &outcomes.failed };
            timing.record(took);
        };
        if let Some(known) = self.0.read().get(call) {
            return note(known);
        }
        let new = || Outcomes { done: Timing::new(OUTSIDE), failed: Timing::new(OUTSIDE) };
        note(self.0.write().entry(call).or_insert_with(new));
    }

    /// Each call that was made, by name: those that were done, and those that failed.
    #[must_use]
    pub fn read(&self) -> Vec<(&'static str, Timed, Timed)> {
        let calls = self.0.read();
        calls.iter().map(|(call, of)| (*call, of.done.read(), of.failed.read())).collect()
    }
}

/// One port of a store, timed.
#[derive(Debug)]
struct Watched<P: ?Sized> {
    port: Arc<P>,
    calls: Arc<Calls>,
}

impl Store {
    /// This store, and how long its calls take from now on.
    #[must_use]
    pub fn timed(self) -> (Self, Arc<Calls>) {
        let calls = Arc::<Calls>::default();
        let Self { selling, opening, operating, reading, archiving, members, book } = self;
        let store = Self {
            selling: Arc::new(Watched { port: selling, calls: Arc::clone(&calls) }),
            opening: Arc::new(Watched { port: opening, calls: Arc::clone(&calls) }),
            operating: Arc::new(Watched { port: operating, calls: Arc::clone(&calls) }),
            reading: Arc::new(Watched { port: reading, calls: Arc::clone(&calls) }),
            archiving: Arc::new(Watched { port: archiving, calls: Arc::clone(&calls) }),
            members: Arc::new(Watched { port: members, calls: Arc::clone(&calls) }),
            // The book's own service counts what it does.
            book,
        };
        (store, calls)
    }
}

/// Passes each of these calls on, and notes how long it took.
macro_rules! watched {
    ($port:ident: { $($plain:tt)* } $(
        $call:ident($($arg:ident: $of:ty),*) -> $answer:ty;
    )+) => {
        #[async_trait]
        impl $port for Watched<dyn $port> {
            $($plain)*

            $(async fn $call(&self, $($arg: $of),*) -> $answer {
                let watch = Stopwatch::start();
                let answer = self.port.$call($($arg),*).await;
                self.calls.note(stringify!($call), watch.elapsed(), answer.is_ok());
                answer
            })+
        }
    };
}

watched! { Selling:
    {
        fn batch_orders_max(&self) -> usize {
            self.port.batch_orders_max()
        }

        fn gather(&self) -> Duration {
            self.port.gather()
        }
    }
    commit(batch: &Batch) -> Result<Vec<Verdict>, BrokenOff>;
    change(changes: &Changes) -> Result<Vec<Changed>, StoreError>;
    still_sells(sale: &SaleId, epoch: u64) -> Result<(), StoreError>;
}

watched! { Opening: {}
    create(terms: &Terms) -> Result<(), StoreError>;
    open(sale: &SaleId) -> Result<Opened, StoreError>;
    restore(sale: &SaleId, epoch: u64, orders: &[Record]) -> Result<Head, StoreError>;
}

watched! { Operating: {}
    switch(sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError>;
    change_terms(epoch: u64, terms: &Terms) -> Result<(), StoreError>;
    top_up(sale: &SaleId, epoch: u64, key: &str, add: Units) -> Result<Units, StoreError>;
}

watched! { Reading: {}
    sales() -> Result<Vec<SaleId>, StoreError>;
    order(sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError>;
    orders_of(sale: &SaleId, member: &MemberId, after: Option<u64>, most: usize) -> Result<Vec<Record>, StoreError>;
    waiting(sale: &SaleId) -> Result<Vec<Waiting>, StoreError>;
    orders_after(sale: &SaleId, after: u64, most: usize) -> Result<Vec<Record>, StoreError>;
    outbox_after(sale: &SaleId, after: u64, most: usize) -> Result<Vec<OutboxEntry>, StoreError>;
    outbox_end(sale: &SaleId) -> Result<OutboxEnd, StoreError>;
    audit() -> Result<Audit, StoreError>;
}

watched! { Archiving: {}
    archive(sale: &SaleId, epoch: u64, changed_at: Millis) -> Result<(), StoreError>;
    look(sale: &SaleId) -> Result<Option<Opened>, StoreError>;
    is_taken(sale: &SaleId) -> Result<bool, StoreError>;
    archived_after(after: &str, most: usize) -> Result<Vec<Opened>, StoreError>;
    archived_since(since: Millis) -> Result<Vec<(u32, SaleId)>, StoreError>;
    archived_numbered(number: u32) -> Result<Option<SaleId>, StoreError>;
    archived_of(member: &MemberId) -> Result<Vec<SaleId>, StoreError>;
    delete(sale: &SaleId) -> Result<(), StoreError>;
    back_up(to: &Path) -> Result<(), StoreError>;
    trim(now: Millis) -> Result<(), StoreError>;
}

watched! { Members: {}
    blocked() -> Result<Vec<MemberId>, StoreError>;
    set_blocked(member: &MemberId, is_blocked: bool) -> Result<(), StoreError>;
    erasing() -> Result<Vec<(MemberId, MemberId)>, StoreError>;
    set_erasing(member: &MemberId, pseudonym: Option<&MemberId>) -> Result<(), StoreError>;
    rename(sale: &SaleId, epoch: u64, member: &MemberId, to: &MemberId) -> Result<(), StoreError>;
    forget() -> Result<(), StoreError>;
}
