//! Engine: the open sales of this process; start, drain, stop.

mod archive;
mod copies;
mod drain;
mod erase;
mod letting_go;
mod notices;
mod opening;
mod others;
mod outbox;
mod peeked;
mod requests;
mod sharing;
mod terms;

pub use archive::NotDeleted;
pub use outbox::{ChangeSource, Cursor, Told};
pub use requests::{NotRefunded, NotWaiting};
pub use sharing::Place;
pub use terms::NotChanged;

use crate::clock::Clock;
use crate::fault::crash_point;
use crate::members::Book;
use crate::nodes::sharing::Sharing;
use crate::open::blocked::Blocked;
use crate::open::ends::Ends;
use crate::open::found::Found;
use crate::open::marks::Mark;
use crate::open::sale::OpenSale;
use crate::roster::Roster;
use crate::rules::order::OrderId;
use crate::rules::seat::Seat;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::store::{Store, StoreError, Switch};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How an engine sells.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// When an order has waited longer than this for the store, new clicks are told `busy`.
    pub confirm_within: Duration,
    /// The most orders that one member may make in one sale, whatever becomes of them; from 1.
    pub orders_per_member: u16,
}

/// The tasks of the confirmers, and sales that were created and not opened.
#[derive(Debug, Default)]
struct Confirmers {
    running: JoinSet<()>,
    created: BTreeMap<SaleId, Terms>,
}

/// The sales that this process sells.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    clock: Clock,
    roster: Arc<Roster>,
    sales: ArcSwap<BTreeMap<SaleId, Arc<OpenSale>>>,
    /// Sales are created and opened one at a time, and no longer once the engine drains.
    confirmers: tokio::sync::Mutex<Confirmers>,
    settings: Settings,
    /// Sales of the store that could not be opened, and why.
    not_opened: Mutex<BTreeMap<SaleId, StoreError>>,
    /// Members who may not buy.
    blocked: Arc<Blocked>,
    /// Members are blocked and unblocked one at a time, so that the last change on disk is also the
    /// last one in memory.
    blocking: tokio::sync::Mutex<()>,
    stop: watch::Sender<bool>,
    /// Whether the start is over.
    started: watch::Sender<bool>,
    /// Where the outbox of each sale ends that was looked for.
    ends: Ends,
    /// The members' book.
    book: Arc<Book>,
    /// Copies of archived sales that were asked for lately.
    copies: copies::Copies,
    /// Copies of sales of other nodes.
    peeked: peeked::Peeked,
    /// The other nodes, if the store is shared with any.
    sharing: Option<Arc<Sharing>>,
    /// Held while a backup is made, and for as long as one sale goes into the archive.
    backing_up: tokio::sync::Mutex<()>,
}

/// Why there is no open sale with an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSale {
    /// The store has no such sale either.
    #[error("no sale has this id")]
    Unknown,
    /// The store has it, and this process has not opened it, or not yet.
    #[error("this sale is not opened yet; try again soon")]
    NotOpened,
    /// Another node sells it, or is to.
    #[error("another node sells this sale; try again soon")]
    Elsewhere,
    /// It is archived, and only what becomes of its orders can change in it.
    #[error("this sale is over and archived")]
    Archived,
    /// The archive cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// The open sale with this id.
    ///
    /// # Errors
    /// [`NoSale`]
    pub fn sale(&self, id: &str) -> Result<Arc<OpenSale>, NoSale> {
        let open = || self.sales.load().get(id).cloned();
        if let Some(open) = open() {
            return Ok(open);
        }
        if self.not_opened.lock().contains_key(id) {
            return Err(NoSale::NotOpened);
        }
        // It may have been opened between the two looks.
        let is_elsewhere = self.sharing.as_ref().is_some_and(|sharing| sharing.is_elsewhere(id));
        open().ok_or(if is_elsewhere { NoSale::Elsewhere } else { NoSale::Unknown })
    }

    /// The open sale with this number.
    ///
    /// # Errors
    /// [`NoSale`]; [`NoSale::NotOpened`] also if it may be one that is not opened.
    pub(crate) fn sale_numbered(&self, number: u32) -> Result<Arc<OpenSale>, NoSale> {
        let numbered = |open: &&Arc<OpenSale>| open.sale_number == number;
        let open = || self.sales.load().values().find(numbered).cloned();
        if let Some(open) = open() {
            return Ok(open);
        }
        if !self.not_opened.lock().is_empty() {
            return Err(NoSale::NotOpened);
        }
        // It may have been opened between the two looks.
        open().ok_or(NoSale::Unknown)
    }

    /// All open sales, by id.
    #[must_use]
    pub fn sales(&self) -> Vec<Arc<OpenSale>> {
        self.sales.load().values().cloned().collect()
    }

    /// At most `most` open sales with ids over `after` for which `wanted` holds, by id.
    #[must_use]
    pub fn sales_after(
        &self,
        after: &str,
        most: usize,
        wanted: impl Fn(&OpenSale) -> bool,
    ) -> Vec<Arc<OpenSale>> {
        let sales = self.sales.load();
        let later = sales.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        later.map(|(_, open)| open).filter(|open| wanted(open)).take(most).cloned().collect()
    }

    /// The members' book.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Lets the book take in what became of orders. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`]; what was not taken in is taken in the next time.
    pub async fn feed_book(&self) -> Result<bool, StoreError> {
        let mut is_more = false;
        for open in self.sales() {
            is_more |= self.book.feed(&*self.store.reading, &open).await?;
        }
        Ok(is_more)
    }

    /// How many outbox entries of open sales the book has not taken in yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn book_behind(&self) -> Result<u64, StoreError> {
        let (taken_in, mut behind) = (self.store.book.taken_in().await?, 0);
        for open in self.sales() {
            let end = self.store.reading.outbox_end(&open.sale.terms().id).await?.seq;
            let stored = taken_in.get(&open.sale_number).copied().unwrap_or(0);
            behind += end.saturating_sub(open.fed.taken_in(stored));
        }
        Ok(behind)
    }

    /// Which member has which seat.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The instant by which clicks are judged.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Turns one of the operator's switches: first on disk, then in memory.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed in memory.
    pub async fn switch(&self, open: &OpenSale, switch: Switch) -> Result<(), StoreError> {
        let sale = &open.sale;
        let is_lost = switch == Switch::Resume && open.has_lost_history();
        if is_lost {
            // Before the next lock: a call that changes the list may wait for that one.
            self.put_back_blocked().await?;
        }
        // Switches are turned one at a time, so that the last one on disk is also the last one in
        // memory.
        let _one_at_a_time = open.switching.lock().await;
        if is_lost && open.has_lost_history() {
            self.put_back(open).await?;
            // The book lies in the same store: it may have lost what it was told of any sale.
            self.sales().iter().for_each(|open| open.fed.ask_again());
        }
        self.store.operating.switch(&sale.terms().id, sale.epoch(), switch).await?;
        crash_point("switched");
        let mark = match switch {
            Switch::Pause => Mark::Paused,
            Switch::Resume => Mark::Resumed,
            Switch::Close => Mark::Closed,
        };
        open.marks().note(self.now(), mark);
        match switch {
            Switch::Pause => sale.stock().set_paused(true),
            Switch::Resume => sale.stock().set_paused(false),
            Switch::Close => sale.stock().close(),
        }
        // The confirmer looks at the units aside again: after a resume it may offer them, after a
        // close it never will.
        open.wake();
        Ok(())
    }

    /// Asks the sale's confirmer to put back what the store has lost, and waits until it is done.
    async fn put_back(&self, open: &OpenSale) -> Result<(), StoreError> {
        let mut stopping = self.stop.subscribe();
        let ended = || StoreError::Unknown("the sale's confirmer has ended".into());
        tokio::select! {
            biased;
            told = open.ask_to_put_back() => told.unwrap_or_else(|_| Err(ended())),
            // Err: the engine is gone. Either way the confirmer may never come to it.
            _ = stopping.wait_for(|stopping| *stopping) => Err(ended()),
        }
    }

    /// Adds stock, once per key: first on disk, then in memory. Returns the units that there are in
    /// all.
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
        // Not while a lost history is put back: both sides are compared then.
        let _one_at_a_time = open.switching.lock().await;
        let total = self.store.operating.top_up(&sale.terms().id, sale.epoch(), key, add).await?;
        crash_point("topped_up");
        // Memory takes the store's total and not the amount: a repeated call finds the total
        // unchanged and adds nothing.
        let added = sale.top_up(total);
        if added > Units(0) {
            open.marks().note(self.now(), Mark::ToppedUp(added));
        }
        // Waiting members are offered the new units first.
        open.wake();
        Ok(total)
    }

    /// An order by its id: from the board, or, if a former process took it, from what is known here of
    /// its orders, which are all that are unpaid, or from the store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn order(&self, open: &OpenSale, id: &OrderId) -> Result<Option<Found>, StoreError> {
        if id.epoch == open.sale.epoch() && !open.is_archived() {
            return Ok(open.sale.board().read(id.number).map(Found::Here));
        }
        if let Some(known) = open.known(id) {
            return Ok(Some(Found::Before(known)));
        }
        let record = self.store.reading.order(&id.sale, id.number).await?;
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
        Ok(self.store.reading.order(&open.sale.terms().id, number).await?.map(Found::Before))
    }

    /// At most `most` of a member's orders, newest first: from the newest on with `u64::MAX`, or those
    /// behind the member's order `before` on this list.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn orders_of(
        &self,
        open: &OpenSale,
        seat: Seat,
        before: u64,
        most: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let first_here = open.sale.board().first_number();
        let mut orders = Vec::new();
        if before > first_here {
            let mut search = open.sale.search(seat);
            while search.step() {
                // Hundreds of thousands of orders may wait; other requests have their turn in between.
                tokio::task::yield_now().await;
            }
            let here = search.into_orders().into_iter().rev().filter(|order| order.number < before);
            orders.extend(here.take(most).map(Found::Here));
        }
        // Only a sale that a former process opened has orders that are not on the board. The list of the
        // store has those of this process, too.
        let mut after = (before < first_here).then_some(before);
        while orders.len() < most && first_here > 1 {
            let (member, room) = (self.roster.member(seat), most - orders.len());
            let id = &open.sale.terms().id;
            let stored = self.store.reading.orders_of(id, &member, after, room).await?;
            let Some(last) = stored.last() else { break };
            after = Some(last.number);
            let former = stored.into_iter().filter(|record| record.number < first_here);
            orders.extend(former.map(Found::Before));
        }
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
            let stored = self.store.reading.orders_after(&sale.terms().id, after, most).await?;
            let before = stored.into_iter().filter(|record| record.number < board.first_number());
            orders.extend(before.map(Found::Before));
        }
        let here = from.max(board.first_number())..sale.next_number();
        // An order that is being written at this instant ends the page; the next page has it.
        let here = here.map_while(|number| board.read(number)).map(Found::Here);
        let room = most - orders.len();
        orders.extend(here.take(room));
        Ok(orders)
    }
}
