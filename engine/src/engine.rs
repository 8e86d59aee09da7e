//! Engine: the open sales of this process; start, drain, stop.

use crate::clock::{Clock, Millis};
use crate::confirm::Confirmer;
use crate::feed::Feed;
use crate::meter::Tally;
use crate::order::{Order, OrderId, Status};
use crate::roster::{Roster, Seat};
use crate::sale::Sale;
use crate::stock::Units;
use crate::store::{Opened, Record, Store, StoreError, Switch};
use crate::terms::{SaleId, Terms};
use arc_swap::ArcSwap;
use membership::{MemberId, PerTier};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

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
    trouble: Mutex<Option<String>>,
    switching: tokio::sync::Mutex<()>,
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

    /// Why orders wait for the store, if they do.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
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

/// An order as the engine knows it: on its board, or from before in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Taken by this process.
    Here(Order),
    /// Taken by a former process and stored.
    Before(Record),
}

/// The sales that this process sells.
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Clock,
    roster: Arc<Roster>,
    sales: ArcSwap<BTreeMap<SaleId, Arc<OpenSale>>>,
    /// Creating and opening sales is one at a time, and ends when the engine drains.
    confirmers: tokio::sync::Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
}

impl Engine {
    /// Opens every sale of the store and begins to confirm. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or a sale cannot be opened.
    pub async fn start(store: Arc<dyn Store>, clock: Clock) -> Result<Self, StoreError> {
        let engine = Self {
            store,
            clock,
            roster: Arc::new(Roster::new()),
            sales: ArcSwap::default(),
            confirmers: tokio::sync::Mutex::new(JoinSet::new()),
            stop: watch::Sender::new(false),
        };
        for sale in engine.store.sales().await? {
            engine.open(&sale, &mut *engine.confirmers.lock().await).await?;
        }
        Ok(engine)
    }

    /// Makes a sale and opens it.
    ///
    /// # Errors
    /// [`StoreError::SaleExists`], or whatever keeps the store from writing it down.
    pub async fn create(&self, terms: &Terms) -> Result<Arc<OpenSale>, StoreError> {
        let mut confirmers = self.confirmers.lock().await;
        match self.store.create(terms).await {
            // Written down by a call whose answer was lost, or that could not open it then.
            Err(StoreError::SaleExists) if self.sale(terms.id.as_str()).is_none() => {}
            created => created?,
        }
        let open = self.open(&terms.id, &mut confirmers).await?;
        if open.sale.terms() == terms { Ok(open) } else { Err(StoreError::SaleExists) }
    }

    async fn open(
        &self,
        id: &SaleId,
        confirmers: &mut JoinSet<()>,
    ) -> Result<Arc<OpenSale>, StoreError> {
        if *self.stop.borrow() {
            return Err(StoreError::Refused("this process is stopping".into()));
        }
        let opened = self.store.open(id).await?;
        let open = Arc::new(OpenSale::resume(opened, &self.roster, self.stop.subscribe())?);
        let (roster, store) = (Arc::clone(&self.roster), Arc::clone(&self.store));
        let confirmer = Confirmer::new(Arc::clone(&open), roster, store, self.clock.clone());
        confirmers.spawn(confirmer.run());
        self.sales.rcu(|sales| {
            let mut sales = BTreeMap::clone(sales);
            sales.insert(id.clone(), Arc::clone(&open));
            sales
        });
        Ok(open)
    }

    /// The open sale with this id.
    #[must_use]
    pub fn sale(&self, id: &str) -> Option<Arc<OpenSale>> {
        self.sales.load().get(id).cloned()
    }

    /// All open sales, by id.
    #[must_use]
    pub fn sales(&self) -> Vec<Arc<OpenSale>> {
        self.sales.load().values().cloned().collect()
    }

    /// Who has which seat.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The instant by which clicks are judged.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Turns one of the operator's switches: first on disk, then here.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed here.
    pub async fn switch(&self, open: &OpenSale, switch: Switch) -> Result<(), StoreError> {
        let sale = &open.sale;
        // One at a time, so that the last switch on disk is the last one here.
        let _one_at_a_time = open.switching.lock().await;
        self.store.switch(&sale.terms().id, sale.epoch(), switch).await?;
        match switch {
            Switch::Pause => sale.stock().set_paused(true),
            Switch::Resume => sale.stock().set_paused(false),
            Switch::Close => sale.stock().close(),
        }
        Ok(())
    }

    /// Adds stock, once per key: first on disk, then here. Gives the units there are in all.
    ///
    /// # Errors
    /// [`StoreError`]; if it is transient, ask again with the same key.
    pub async fn top_up(
        &self,
        open: &OpenSale,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        let sale = &open.sale;
        let total = self.store.top_up(&sale.terms().id, sale.epoch(), key, add).await?;
        // The store's total and not the amount: a repeated call finds it done and adds nothing.
        sale.stock().grow_to(total);
        Ok(total)
    }

    /// An order by its id: from the board, or from the store if a former process took it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn order(&self, open: &OpenSale, id: &OrderId) -> Result<Option<Found>, StoreError> {
        if id.epoch == open.sale.epoch() {
            return Ok(open.sale.board().read(id.number).map(Found::Here));
        }
        let record = self.store.order(&id.sale, id.number).await?;
        Ok(record.filter(|record| record.epoch == id.epoch).map(Found::Before))
    }

    /// An order by its number alone, as idempotency keys name it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn order_numbered(
        &self,
        open: &OpenSale,
        number: u64,
    ) -> Result<Option<Found>, StoreError> {
        if let Some(order) = open.sale.board().read(number) {
            return Ok(Some(Found::Here(order)));
        }
        Ok(self.store.order(&open.sale.terms().id, number).await?.map(Found::Before))
    }

    /// A member's orders, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn orders_of(&self, open: &OpenSale, seat: Seat) -> Result<Vec<Found>, StoreError> {
        let first_here = open.sale.board().first_number();
        let mut orders = Vec::new();
        // Only a sale that was open before has orders that are not on the board.
        if first_here > 1 {
            let member = self.roster.member(seat);
            let stored = self.store.orders_of(&open.sale.terms().id, &member).await?;
            let before = stored.into_iter().filter(|record| record.number < first_here);
            orders.extend(before.map(Found::Before));
        }
        orders.extend(open.sale.orders_of(seat).into_iter().map(Found::Here));
        Ok(orders)
    }

    /// At most `most` orders of a sale with numbers over `after`, by number.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn orders_after(
        &self,
        open: &OpenSale,
        after: u64,
        most: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let (sale, board) = (&open.sale, open.sale.board());
        let from = after.saturating_add(1);
        let mut orders = Vec::new();
        if from < board.first_number() {
            let stored = self.store.orders_after(&sale.terms().id, after, most).await?;
            let before = stored.into_iter().filter(|record| record.number < board.first_number());
            orders.extend(before.map(Found::Before));
        }
        let here = from.max(board.first_number())..sale.next_number();
        // A number whose order is being written this instant ends the page: the next one has it.
        let here = here.map_while(|number| board.read(number)).map(Found::Here);
        let room = most - orders.len();
        orders.extend(here.take(room));
        Ok(orders)
    }

    /// Confirms what is reserved and stops, or gives up after `patience`. Gives the orders that
    /// were not confirmed. Clicks must have stopped before.
    pub async fn drain(&self, patience: Duration) -> u64 {
        self.stop.send_replace(true);
        let mut confirmers = self.confirmers.lock().await;
        let all_done = async { while confirmers.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all_done).await.is_err() {
            confirmers.abort_all();
        }
        let unconfirmed = |open: &Arc<OpenSale>| {
            let taken_in: u64 = open.reserved().iter().map(|(_, tally)| tally.orders).sum();
            taken_in + open.sale.queue().len() as u64
        };
        self.sales().iter().map(unconfirmed).sum()
    }
}
