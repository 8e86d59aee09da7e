//! OpenSale: a sale that this process sells, and what surrounds it: callers that wait for a
//! verdict, members who wait for units, the changes that are asked for, why the store does not
//! confirm, and what former processes left.

mod check;
mod leased;
mod over;
mod terms;
mod waiting;

use crate::open::asks::Asks;
use crate::open::blocked::{Blocked, Look};
use crate::open::fed::Fed;
use crate::open::feed::Feed;
use crate::open::found::Found;
use crate::open::live_terms::LiveTerms;
use crate::open::marks::Marks;
use crate::open::right::Right;
use crate::roster::Roster;
use crate::rules::money::Refund;
use crate::rules::order::{Order, OrderId, Status};
use crate::rules::seat::Seat;
use crate::rules::tally::Tally;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::waitlist::{Waiter, Waitlist};
use crate::rules::why::Why;
use crate::sale::meter::Meter;
use crate::sale::refused;
use crate::sale::{Sale, Start};
use crate::store::{Change, Changed, Holding, Keyed, Opened, Record, StoreError, Waiting};
use membership::{MemberId, PerTier};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// A sale that this process sells, and what surrounds it.
#[derive(Debug)]
pub struct OpenSale {
    /// The sale itself; it judges the clicks.
    pub sale: Sale,
    /// The sale's number, counted up over all sales.
    pub sale_number: u32,
    /// Former processes' orders by number: unpaid ones, and those that this process has changed.
    former: Mutex<HashMap<u64, Record>>,
    /// Money that went back of orders of this process, by number.
    refunds: Mutex<HashMap<u64, Vec<Refund>>>,
    /// Why orders of this process were released, by number.
    whys: Mutex<HashMap<u64, Why>>,
    waitlist: Mutex<Waitlist>,
    asks: Asks,
    /// Where the outcome goes when an operator has asked to put back what the store has lost.
    put_back: Mutex<Option<oneshot::Sender<Result<(), StoreError>>>>,
    blocked: Arc<Blocked>,
    feed: Feed,
    /// How far the members' book has come.
    pub(crate) fed: Fed,
    wake: Notify,
    /// A caller waits for a verdict.
    hurry: Notify,
    trouble: Mutex<Option<StoreError>>,
    pub(crate) switching: tokio::sync::Mutex<()>,
    live: LiveTerms,
    marks: Marks,
    right: Right,
    /// The newest refusals.
    pub refused: refused::Record,
    /// Whether the sale was opened anew, and another one has taken this one's place.
    retired: watch::Sender<bool>,
    /// Whether the sale's confirmer has ended.
    ended: watch::Sender<bool>,
    /// Since when everything about the sale is settled, when it was last looked at.
    settled_since: Mutex<Option<Millis>>,
    is_archived: bool,
    stopping: watch::Receiver<bool>,
}

impl OpenSale {
    /// Takes a sale up where the store left it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it holds counts that no sale can have; [`StoreError::Refused`] when
    /// the roster has no seat for a member that the store names.
    pub fn resume(
        opened: Opened,
        orders_per_member: u16,
        roster: &Roster,
        blocked: Arc<Blocked>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, StoreError> {
        let room = opened.stock;
        Self::with_room_for(room, opened, orders_per_member, roster, blocked, stopping)
    }

    fn with_room_for(
        room: Units,
        opened: Opened,
        orders_per_member: u16,
        roster: &Roster,
        blocked: Arc<Blocked>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, StoreError> {
        check::check(&opened)?;
        let Opened { sale_number, terms, epoch, stock, left, next_number, .. } = opened;
        let meter = Meter::resume(&opened.tallies);
        let start = Start { epoch, stock, left, next_number, orders_per_member, room };
        let live = LiveTerms::new(&terms);
        let sale = Sale::resume(terms, start, meter);
        let seat = |member: &MemberId| {
            let full = || StoreError::Refused("more members than this process has seats".into());
            roster.seat(member.as_str()).ok_or_else(full)
        };
        let mut seats = Vec::with_capacity(opened.holdings.len());
        for Holding { member, units, orders } in &opened.holdings {
            let seat = seat(member)?;
            sale.restore_holding(seat, *units, *orders);
            seats.push(seat);
        }
        for Keyed { holder, key, units, tender, number } in opened.keyed {
            sale.restore_key(seats[holder], key, (units, tender), number);
        }
        let mut waitlist = Waitlist::default();
        for waiting in &opened.waiting {
            let Waiting { tier, units, place, .. } = *waiting;
            waitlist.join(Waiter { seat: seat(&waiting.member)?, tier, units, place });
        }
        if !waitlist.is_empty() {
            sale.set_aside();
        }
        let unpaid = opened.unpaid.into_iter().map(|record| (record.number, record));
        let former = unpaid.collect();
        sale.stock().set_paused(opened.is_paused);
        if opened.is_closed {
            sale.stock().close();
        }
        Ok(Self {
            sale,
            sale_number,
            former: Mutex::new(former),
            refunds: Mutex::default(),
            whys: Mutex::default(),
            waitlist: Mutex::new(waitlist),
            asks: Asks::default(),
            put_back: Mutex::new(None),
            blocked,
            feed: Feed::default(),
            fed: Fed::default(),
            wake: Notify::new(),
            hurry: Notify::new(),
            trouble: Mutex::new(None),
            switching: tokio::sync::Mutex::new(()),
            live,
            marks: Marks::default(),
            right: Right::new(None),
            refused: refused::Record::default(),
            retired: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            settled_since: Mutex::default(),
            is_archived: false,
            stopping,
        })
    }

    /// Tells the confirmer that an order waits. Cheap, and harmless when repeated.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns the order once it is settled, or as it stands when `patience` is over.
    pub async fn settled(&self, number: u64, patience: Duration) -> Option<Order> {
        let order = self.sale.board().read(number)?;
        if order.status != Status::Reserved {
            return Some(order);
        }
        let told = self.feed.wait(number);
        self.hurry.notify_one();
        let order = self.sale.board().read(number)?;
        if order.status != Status::Reserved {
            // The order was settled in between, perhaps before the feed knew that this caller
            // waits.
            self.feed.resolve(&[order]);
            return Some(order);
        }
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(order)) => Some(order),
            Ok(Err(_)) | Err(_) => self.sale.board().read(number),
        }
    }

    /// Whether units that are taken may still come back: those of orders that are not paid.
    #[must_use]
    pub fn may_return(&self) -> bool {
        let sold = [Status::Paid, Status::Returned].map(|status| self.sale.meter().units(status));
        u64::from(self.sale.stock().level().taken().0) > sold.iter().sum()
    }

    /// Orders by tier that wait for the store, without those that are still on the queue.
    #[must_use]
    pub fn reserved(&self) -> PerTier<Tally> {
        let meter = self.sale.meter();
        // Every settled order was accepted before. The settled counts are read first, so a
        // difference is negative only where another core's counts arrive late; it then counts as
        // zero.
        let settled = meter.stored().all();
        let mut reserved = meter.accepted();
        for (tally, done) in reserved.0.iter_mut().zip(settled.0) {
            tally.orders = tally.orders.saturating_sub(done.orders);
            tally.units = tally.units.saturating_sub(done.units);
        }
        reserved
    }

    /// Returns each step of the member's own orders from now on. The stream ends when the watcher
    /// is too slow.
    #[must_use]
    pub fn watch(&self, seat: Seat) -> mpsc::Receiver<Found> {
        self.feed.watch(seat)
    }

    /// Asks the confirmer for a change that this process heard of at `received_at`; the answer comes
    /// when the store has made it and memory has followed. A former process's order must have been
    /// taken up by [`OpenSale::know`] before.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when too many changes wait.
    pub fn ask(
        &self,
        change: Change,
        received_at: Millis,
    ) -> Result<oneshot::Receiver<Result<Changed, StoreError>>, StoreError> {
        let told = self.asks.ask(change, received_at)?;
        self.wake();
        Ok(told)
    }

    /// Takes up a former process's order, as it is stored, so that memory can follow a step of it.
    pub fn know(&self, record: Record) {
        if record.epoch != self.sale.epoch() {
            self.former.lock().entry(record.number).or_insert(record);
        }
    }

    /// A former process's order, if this process follows it: one that was unpaid when the sale was opened,
    /// or that was taken up by [`OpenSale::know`].
    #[must_use]
    pub fn known(&self, id: &OrderId) -> Option<Record> {
        self.former.lock().get(&id.number).filter(|record| record.epoch == id.epoch).cloned()
    }

    /// The epoch of an order that waits for its payment, and when the payment is due.
    pub(crate) fn due(&self, number: u64) -> Option<(u64, Millis)> {
        let (epoch, status, pay_by) = match self.sale.board().read(number) {
            Some(order) => {
                let pay_by = self.pay_by(order.settled_at?);
                (self.sale.epoch(), order.status, pay_by)
            }
            None => {
                let former = self.former.lock();
                let record = former.get(&number)?;
                (record.epoch, record.status, record.pay_by)
            }
        };
        (status == Status::Confirmed).then_some((epoch, pay_by))
    }

    /// Follows a member's new name in former processes' orders; those of this process have the seat.
    pub(crate) fn rename(&self, member: &MemberId, to: &MemberId) {
        for record in self.former.lock().values_mut().filter(|record| record.member == *member) {
            record.member = to.clone();
        }
    }

    /// Follows what the store says of where an order is in its life. Returns the order if it has
    /// moved.
    pub(crate) fn settle(&self, record: &Record, roster: &Roster) -> Option<Found> {
        if record.epoch == self.sale.epoch() {
            if !record.refunds.is_empty() {
                self.refunds.lock().insert(record.number, record.refunds.clone());
            }
            let moved = self.sale.settle(record.number, record.status, record.changed_at);
            return moved.map(Found::Here);
        }
        let mut former = self.former.lock();
        let known = former.get_mut(&record.number)?;
        if known.status.steps() >= record.status.steps() {
            // A part of the money may have gone back.
            if known.status == record.status && known.refunds.len() < record.refunds.len() {
                known.refunds.clone_from(&record.refunds);
            }
            return None;
        }
        let seat = roster.seat(record.member.as_str());
        let seat = seat.expect("a former order's member was given a seat");
        let was = std::mem::replace(known, record.clone()).status;
        // A reader who finds the order's new state here also finds its units where they belong.
        self.sale.settle_units(seat, record.tier, record.units, was, record.status);
        drop(former);
        Some(Found::Before(record.clone()))
    }

    /// Money that went back of an order of this process.
    #[must_use]
    pub fn refunds(&self, number: u64) -> Vec<Refund> {
        self.refunds.lock().get(&number).cloned().unwrap_or_default()
    }

    pub(crate) fn note_why(&self, number: u64, why: Why) {
        self.whys.lock().insert(number, why);
    }

    /// Why an order of this process was released; `None` if it was not.
    #[must_use]
    pub fn why(&self, number: u64) -> Option<Why> {
        self.whys.lock().get(&number).copied()
    }

    /// Whether an order is on its way to a member who waited.
    #[must_use]
    pub fn is_offered(&self, seat: Seat) -> bool {
        self.waitlist.lock().is_offered(seat)
    }

    pub(crate) fn offer_settled(&self, number: u64) {
        let order = self.sale.board().read(number).expect("an offer is on the board");
        self.waitlist.lock().offer_settled(order.seat);
    }

    /// The members who may not buy. Hold the look while a member is served.
    pub(crate) fn look_at_blocked(&self) -> Look {
        self.blocked.look()
    }

    pub(crate) fn former(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.former.lock()
    }

    pub(crate) fn asks(&self) -> &Asks {
        &self.asks
    }

    /// Asks the confirmer to put back into the store what it has lost; the outcome comes when that is
    /// done. There is one asker at a time.
    pub(crate) fn ask_to_put_back(&self) -> oneshot::Receiver<Result<(), StoreError>> {
        let (tell, told) = oneshot::channel();
        *self.put_back.lock() = Some(tell);
        self.wake();
        told
    }

    pub(crate) fn take_asked_to_put_back(&self) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        self.put_back.lock().take()
    }

    /// Why the store does not confirm, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().clone()
    }

    /// Whether the sale is halted because the store has lost part of what it had answered before.
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

    /// Resolves when a caller waits for a verdict, also one that began to wait before this call.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow() || self.is_retired()
    }

    pub(crate) async fn woken(&self) {
        let (mut stopping, mut retired) = (self.stopping.clone(), self.retired.subscribe());
        tokio::select! {
            () = self.wake.notified() => {}
            // A closed channel means that the engine was dropped: the sale then stops, too.
            _ = stopping.wait_for(|stopping| *stopping) => {}
            _ = retired.wait_for(|retired| *retired) => {}
        }
    }
}
