//! OpenSale: a sale that this process sells, and what surrounds it: who waits for a verdict, why the
//! store does not confirm, what former processes sold.

use crate::feed::Feed;
use crate::meter::Tally;
use crate::order::{Order, Status};
use crate::roster::Roster;
use crate::sale::Sale;
use crate::store::{Opened, StoreError};
use membership::{MemberId, PerTier};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A sale that this process sells, and what surrounds it.
#[derive(Debug)]
pub struct OpenSale {
    /// Where clicks are judged.
    pub sale: Sale,
    /// What former processes confirmed, by tier.
    before: PerTier<Tally>,
    released_before: PerTier<Tally>,
    feed: Feed,
    wake: Notify,
    trouble: Mutex<Option<StoreError>>,
    pub(crate) switching: tokio::sync::Mutex<()>,
    stopping: watch::Receiver<bool>,
}

impl OpenSale {
    /// Takes a sale up where the store left it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the roster has no seat for everyone who holds something.
    pub fn resume(
        opened: Opened,
        roster: &Roster,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, StoreError> {
        let Opened { terms, epoch, stock, left, next_number, .. } = opened;
        let sale = Sale::new(terms, epoch, stock, left, next_number);
        let seat = |member: &MemberId| {
            let full = || StoreError::Refused("more members than this process has seats".into());
            roster.seat(member.as_str()).ok_or_else(full)
        };
        for (member, units) in &opened.held {
            sale.restore_holding(seat(member)?, *units);
        }
        for record in &opened.keyed {
            if let Some(key) = record.key {
                sale.restore_key(seat(&record.member)?, key, record.units, record.number);
            }
        }
        sale.stock().set_paused(opened.is_paused);
        if opened.is_closed {
            sale.stock().close();
        }
        Ok(Self {
            sale,
            before: opened.confirmed,
            released_before: opened.released,
            feed: Feed::default(),
            wake: Notify::new(),
            trouble: Mutex::new(None),
            switching: tokio::sync::Mutex::new(()),
            stopping,
        })
    }

    /// Tells the confirmer that an order waits. Cheap, and harmless when repeated.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The order as it ended, or as it stands when `patience` is over.
    pub async fn settled(&self, number: u64, patience: Duration) -> Option<Order> {
        let order = self.sale.board().read(number)?;
        if order.status != Status::Reserved {
            return Some(order);
        }
        let told = self.feed.wait(number);
        let order = self.sale.board().read(number)?;
        if order.status != Status::Reserved {
            // Settled in between, perhaps before the feed knew of this wait.
            self.feed.settled(&[order]);
            return Some(order);
        }
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(order)) => Some(order),
            Ok(Err(_)) | Err(_) => self.sale.board().read(number),
        }
    }

    /// Confirmed orders by tier, over all processes.
    #[must_use]
    pub fn confirmed(&self) -> PerTier<Tally> {
        plus(self.before, self.sale.meter().confirmed())
    }

    /// Released orders by tier, over all processes.
    #[must_use]
    pub fn released(&self) -> PerTier<Tally> {
        plus(self.released_before, self.sale.meter().released())
    }

    /// Whether units wait for the store, and so may still come back.
    #[must_use]
    pub fn may_return(&self) -> bool {
        let sold: u64 = self.confirmed().iter().map(|(_, tally)| tally.units).sum();
        u64::from(self.sale.stock().level().taken().0) > sold
    }

    /// Orders by tier that wait for the store, but for those still on the queue.
    #[must_use]
    pub fn reserved(&self) -> PerTier<Tally> {
        let meter = self.sale.meter();
        // What is settled was accepted before: read in this order, the difference is negative
        // only where another core's counts arrive late, and then nothing is reserved.
        let settled = plus(meter.confirmed(), meter.released());
        let mut reserved = meter.accepted();
        for (tally, done) in reserved.0.iter_mut().zip(settled.0) {
            tally.orders = tally.orders.saturating_sub(done.orders);
            tally.units = tally.units.saturating_sub(done.units);
        }
        reserved
    }

    /// Why the store does not confirm, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().clone()
    }

    /// Whether the sale is halted because the store has lost what it had told of before.
    #[must_use]
    pub fn has_lost_history(&self) -> bool {
        matches!(*self.trouble.lock(), Some(StoreError::HistoryLost(_)))
    }

    pub(crate) fn set_trouble(&self, trouble: Option<StoreError>) {
        *self.trouble.lock() = trouble;
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(crate) async fn woken(&self) {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = self.wake.notified() => {}
            // A closed channel is an engine that was dropped: that is to stop, too.
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}

fn plus(mut a: PerTier<Tally>, b: PerTier<Tally>) -> PerTier<Tally> {
    a.0.iter_mut().zip(b.0).for_each(|(sum, more)| *sum += more);
    a
}
