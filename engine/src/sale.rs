//! `Sale::buy` and `Sale::settle`: every judgement is here.
//!
//! Neither blocks, takes a lock or calls the system; a refused click leaves no trace.

pub mod admitted;
pub mod aside;
pub mod board;
pub mod click;
pub mod holdings;
pub mod keys;
pub mod meter;
pub mod phase;
pub mod queue;
pub mod search;
pub mod stock;
mod table;
pub mod vouch;
mod waits;

pub use click::{Accepted, Click};

use crate::rules::door::Door;
use crate::rules::key::IdempotencyKey;
use crate::rules::order::{Order, Status};
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use crate::rules::window::Entered;
use crate::sale::admitted::Admitted;
use crate::sale::aside::Aside;
use crate::sale::board::Board;
use crate::sale::holdings::Holdings;
use crate::sale::keys::Keys;
use crate::sale::meter::Meter;
use crate::sale::phase::Phase;
use crate::sale::queue::{OrderQueue, Queued};
use crate::sale::search::Search;
use crate::sale::stock::{Counts, Stock};
use crate::sale::vouch::{Vouch, Vouched};
use crate::sync::{AtomicU64, CachePadded, Ordering};
use membership::{PerTier, Tier};
#[cfg(not(flash_loom))]
use std::collections::HashMap;

/// Where a sale starts: what former processes left of it.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Which opening of the sale this is.
    pub epoch: u64,
    /// Units in all, top-ups included.
    pub stock: Units,
    /// Units that nobody holds.
    pub left: Units,
    /// The number of the next order, from 1.
    pub next_number: u64,
    /// The most orders that one member may make in this sale, whatever becomes of them; from 1.
    pub orders_per_member: u16,
}

/// The most orders of one member in one sale, unless another number is asked for.
pub const ORDERS_PER_MEMBER: u16 = 1_000;

/// One drop of one item, as this process sells it.
#[derive(Debug)]
pub struct Sale {
    terms: Terms,
    epoch: u64,
    doors: PerTier<Door>,
    stock: Stock,
    aside: Aside,
    holdings: Holdings,
    keys: Keys,
    next_number: CachePadded<AtomicU64>,
    vouched: Vouched,
    queue: OrderQueue,
    board: Board,
    meter: Meter,
}

impl Sale {
    /// A sale without any order yet, opened for the first time.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let start = Start {
            epoch: 1,
            stock: terms.stock,
            left: terms.stock,
            next_number: 1,
            orders_per_member: ORDERS_PER_MEMBER,
        };
        Self::resume(terms, start, Meter::new())
    }

    /// A sale as former processes left it, with the counts of what they stored.
    #[must_use]
    pub fn resume(terms: Terms, start: Start, meter: Meter) -> Self {
        let Start { epoch, stock, left, next_number, orders_per_member } = start;
        Self {
            doors: PerTier(Tier::ALL.map(|tier| Door::new(&terms, tier))),
            terms,
            epoch,
            stock: Stock::resume(Counts { total: stock, left }),
            aside: Aside::default(),
            holdings: Holdings::new(orders_per_member),
            keys: Keys::default(),
            next_number: CachePadded::new(AtomicU64::new(next_number)),
            vouched: Vouched::new(Vouch::ALWAYS),
            queue: OrderQueue::new(),
            board: Board::new(next_number),
            meter,
        }
    }

    /// Judges a click, at once and for good. `now` is the server's clock.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of checks; nothing has changed.
    #[inline]
    pub fn buy(&self, now: Millis, click: Click) -> Result<Accepted, Refusal> {
        // This is the answer that 99 of 100 clicks of a rush get, and it takes one branch: nothing
        // else is wrong with the click, and too few units are left.
        let (door, level) = (self.doors[click.tier], self.stock.level());
        let is_plain = click.key.is_none() & door.takes(click.units) & door.is_open(now);
        if is_plain & level.is_merely_short_of(click.units) {
            return Err(Refusal::SoldOut { left: level.left() });
        }
        self.judge(now, click)
    }

    /// Makes every check in its order: what is cheap and private first, the contended word last.
    fn judge(&self, now: Millis, click: Click) -> Result<Accepted, Refusal> {
        let limit = self.doors[click.tier].units_max;
        if !self.doors[click.tier].takes(click.units) {
            return Err(Refusal::BadUnits { limit });
        }
        if let Some(key) = click.key
            && let Some(number) = self.keys.look(click.seat, key, click.units)?
        {
            return Ok(Accepted { number, is_new: false });
        }
        match self.admit(now, click) {
            Ok(entered) => self.take(now, click, entered),
            Err(refusal) => self.refuse(click, refusal),
        }
    }

    /// Checks the window, the switches and the stock; it only reads, but for the close that the clock
    /// brings.
    fn admit(&self, now: Millis, click: Click) -> Result<Entered, Refusal> {
        let level = self.stock.level();
        if level.is_closed() {
            return Err(Refusal::Closed);
        }
        if self.terms.windows.is_over(now) {
            // What has closed stays closed, whatever the clock says to the next click.
            self.stock.close();
            return Err(Refusal::Closed);
        }
        let entered = self.terms.windows.enter(click.tier, now)?;
        level.admits(click.units)?;
        Ok(entered)
    }

    /// Refuses the click, unless a click with the same key has taken what this one lacks. A key is
    /// written down before its click takes anything, so a click that meets what was taken also
    /// finds the key.
    #[cold]
    fn refuse(&self, click: Click, refusal: Refusal) -> Result<Accepted, Refusal> {
        let known = match click.key {
            None => None,
            Some(key) => self.keys.look(click.seat, key, click.units)?,
        };
        known.map(|number| Accepted { number, is_new: false }).ok_or(refusal)
    }

    /// Takes everything that may fail before it writes anything.
    fn take(&self, now: Millis, click: Click, entered: Entered) -> Result<Accepted, Refusal> {
        let Click { seat, tier, units, key } = click;
        let wanted = Wanted { units, limit: self.doors[tier].units_max };
        let begun = match key {
            None => None,
            Some(key) => {
                if let Err(refusal) = self.holdings.check(seat, wanted) {
                    return self.refuse(click, refusal);
                }
                match self.keys.begin(seat, key, units) {
                    Some(begun) => Some(begun),
                    None => return self.refuse(click, Refusal::IdempotencyInFlight),
                }
            }
        };
        // A member may click twice at once. Claiming before reserving keeps the loser off the one
        // word that every buyer fights for.
        let claim = self.holdings.claim(seat, wanted)?;
        if !self.vouched.get().covers(tier, now) {
            return Err(Refusal::Busy);
        }
        let reservation = self.stock.reserve(units)?;
        let number = self.enqueue(now, Admitted::click(click, entered, claim, reservation));
        if let Some(begun) = begun {
            begun.keep(number);
        }
        Ok(Accepted { number, is_new: true })
    }

    /// Takes a number for the order, writes the order on the board and sends it on its way to the
    /// confirmer.
    #[inline]
    fn enqueue(&self, now: Millis, admitted: Admitted<'_>) -> u64 {
        // Ordering: Relaxed, a number only has to be unique; the order is published by the board.
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let Click { seat, tier, units, .. } = admitted.wish();
        self.board.write(&Order {
            number,
            seat,
            tier,
            units,
            status: Status::Reserved,
            reserved_at: now,
            settled_at: None,
            changed_at: None,
        });
        self.queue.push(admitted, number);
        number
    }

    /// Takes the order that has waited longest off the queue. Only the confirmer may call this.
    pub fn take_in(&self) -> Option<(Queued, Order)> {
        let queued = self.queue.pop()?;
        let order = self.board.read(queued.number);
        let order = order.expect("an order is on the board before it is on the queue");
        self.board.link(&order);
        self.meter.accept(&order);
        Some((queued, order))
    }

    /// Moves an order on in its life, as the store said. Its units go back with the step after
    /// which it no longer holds them. Returns the order to the one call that moved it; a repeated
    /// or late call gets `None`.
    pub fn settle(&self, number: u64, status: Status, at: Millis) -> Option<Order> {
        let before = self.board.advance(number, status, at)?;
        self.settle_units(before.seat, before.tier, before.units, before.status, status);
        self.board.read(number)
    }

    /// Counts a step in an order's life, and puts its units back if it no longer holds them; also of
    /// an order that a former process took.
    pub fn settle_units(&self, seat: Seat, tier: Tier, units: Units, was: Status, is: Status) {
        self.meter.count_step(tier, units, was, is);
        if was.holds_units() && !is.holds_units() {
            // The limit is given back first: a member who sees units on sale again must be able to
            // click.
            self.holdings.give_back(seat, units);
            self.come_back(units);
        }
    }

    /// Puts units that no order holds any more aside for waiting members, or on sale.
    fn come_back(&self, units: Units) {
        if !self.aside.put(units) {
            self.stock.give_back(units);
        }
    }

    /// Sets until when clicks may be accepted. After that they are refused as `busy`, until this is
    /// called again.
    pub fn vouch(&self, vouch: Vouch) {
        self.vouched.set(vouch);
    }

    /// The keys of accepted clicks, by the number of their order.
    #[cfg(not(flash_loom))]
    pub(crate) fn keys_by_number(&self) -> HashMap<u64, IdempotencyKey> {
        self.keys.by_number()
    }

    /// Takes up the units that a seat held in a former process, and the number of orders that it had
    /// made. Call it only before other threads have the sale.
    pub fn restore_holding(&self, seat: Seat, units: Units, orders: u32) {
        self.holdings.restore(seat, units, orders);
    }

    /// Takes up a key that stands for an order of a former process. Call it only before other
    /// threads have the sale.
    pub fn restore_key(&self, seat: Seat, key: IdempotencyKey, units: Units, number: u64) {
        self.keys.restore(seat, key, units, number);
    }

    /// The sale's terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Which opening of the sale this is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is left, and the switches.
    #[must_use]
    pub fn stock(&self) -> &Stock {
        &self.stock
    }

    /// What became of each order of this process.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Orders on their way to the store.
    #[must_use]
    pub fn queue(&self) -> &OrderQueue {
        &self.queue
    }

    /// The counters.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Units that a seat holds.
    #[must_use]
    pub fn held(&self, seat: Seat) -> Units {
        self.holdings.held(seat)
    }

    /// Begins to look for a seat's orders of this process.
    #[must_use]
    pub fn search(&self, seat: Seat) -> Search<'_> {
        Search::begin(&self.board, seat, || self.next_number())
    }

    /// The number that the next order will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        // Ordering: Relaxed, orders are published by the board. A caller that has an order's number
        // never reads an older one here.
        self.next_number.load(Ordering::Relaxed)
    }

    /// Whether the sale is over: closed, or past its closing instant.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        self.stock.level().is_closed() || self.terms.windows.is_over(now)
    }

    /// Where the sale stands.
    #[must_use]
    pub fn phase(&self, now: Millis) -> Phase {
        Phase::of(self.stock.level(), &self.terms, now)
    }
}
