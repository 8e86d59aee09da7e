//! `Sale::buy` and `Sale::settle`: every judgement is here.
//!
//! Neither blocks, takes a lock or calls the system; a refused click leaves no trace.

pub mod admitted;
pub mod aside;
pub mod board;
pub mod click;
pub mod holdings;
mod key_cell;
pub mod keys;
pub mod meter;
mod mixed;
mod paths;
pub mod phase;
pub mod purse;
pub mod queue;
pub mod queued;
pub mod refused;
mod resume;
pub mod search;
mod seats;
pub mod stock;
pub mod table;
pub mod vouch;
mod waits;

pub use click::{Accepted, Click};
pub use resume::{ORDERS_PER_MEMBER, Start};

use crate::rules::door::Door;
use crate::rules::money::Money;
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
use crate::sale::click::MixedPrice;
use crate::sale::holdings::Holdings;
use crate::sale::keys::Keys;
use crate::sale::meter::Meter;
use crate::sale::phase::Phase;
use crate::sale::queue::{Intake, OrderQueue};
use crate::sale::queued::Queued;
use crate::sale::search::Search;
use crate::sale::stock::Stock;
use crate::sale::vouch::{Vouch, Vouched};
use crate::sync::{AtomicU64, Ordering, SharedMap};
use membership::{PerTier, Tier};

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
    /// In milliseconds; it may come to be later, never earlier.
    closes_at: AtomicU64,
    vouched: Vouched,
    queue: OrderQueue,
    board: Board,
    /// What orders of this process cost that are paid with points or a coupon in part, by number.
    mixed: SharedMap<u64, Money>,
    meter: Meter,
}

impl Sale {
    /// Judges a click, at once and for good. `now` is the server's clock.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of checks; nothing has changed.
    #[inline]
    pub fn buy(&self, now: Millis, click: Click) -> Result<Accepted, Refusal> {
        // This is the answer that 99 of 100 clicks of a rush get, and it takes one branch: nothing
        // else is wrong with the click, and too few units are left.
        let (door, level) = (self.doors[click.tier], self.stock.level());
        let is_plain = click.key.is_none()
            & !click.is_minor
            & door.takes(click.units)
            & door.is_open(now, self.closes_at());
        if is_plain & level.is_merely_short_of(click.units) {
            return Err(Refusal::SoldOut { left: level.left() });
        }
        self.judge(now, click, None)
    }

    /// Why every click of this tier is refused at this instant that is for one unit, without a key and no minor's:
    /// [`Refusal::Closed`] or [`Refusal::SoldOut`]. `None`: it depends on the click.
    #[must_use]
    pub fn refuses_plain(&self, now: Millis, tier: Tier) -> Option<Refusal> {
        let (door, level) = (self.doors[tier], self.stock.level());
        if self.is_over(now) {
            if !level.is_closed() {
                // As for a click: what has closed stays closed.
                self.stock.close();
            }
            return Some(Refusal::Closed);
        }
        let is_short = level.is_merely_short_of(Units(1)) && door.is_open(now, self.closes_at());
        is_short.then_some(Refusal::SoldOut { left: Units(0) })
    }

    /// Makes every check in its order: what is cheap and private first, the contended word last.
    fn judge(
        &self,
        now: Millis,
        click: Click,
        price: Option<&MixedPrice<'_>>,
    ) -> Result<Accepted, Refusal> {
        let limit = self.doors[click.tier].units_max;
        if !self.doors[click.tier].takes(click.units) {
            return Err(Refusal::BadUnits { limit });
        }
        if let Some(key) = click.key
            && let Some(number) =
                self.keys.look(click.seat, key, &MixedPrice::body(price, click))?
        {
            return Ok(Accepted { number, is_new: false });
        }
        match self.admit(now, click) {
            Ok(entered) => self.take(now, click, price, entered),
            Err(refusal) => self.refuse(click, price, refusal),
        }
    }

    /// Checks the window, the switches and the stock; it only reads, but for the close that the clock
    /// brings.
    fn admit(&self, now: Millis, click: Click) -> Result<Entered, Refusal> {
        let level = self.stock.level();
        if level.is_closed() {
            return Err(Refusal::Closed);
        }
        let closes_at = self.closes_at();
        if now >= closes_at {
            // What has closed stays closed, whatever the clock says to the next click.
            self.stock.close();
            return Err(Refusal::Closed);
        }
        self.terms.admits(click.tier, click.is_minor)?;
        let entered = self.terms.windows.enter_until(closes_at, click.tier, now)?;
        level.admits(click.units)?;
        Ok(entered)
    }

    /// Refuses the click, unless a click with the same key has taken what this one lacks. A key is
    /// written down before its click takes anything, so a click that meets what was taken also
    /// finds the key.
    #[cold]
    fn refuse(
        &self,
        click: Click,
        price: Option<&MixedPrice<'_>>,
        refusal: Refusal,
    ) -> Result<Accepted, Refusal> {
        let known = match click.key {
            None => None,
            Some(key) => self.keys.look(click.seat, key, &MixedPrice::body(price, click))?,
        };
        known.map(|number| Accepted { number, is_new: false }).ok_or(refusal)
    }

    /// Takes everything that may fail before it writes anything.
    fn take(
        &self,
        now: Millis,
        click: Click,
        price: Option<&MixedPrice<'_>>,
        entered: Entered,
    ) -> Result<Accepted, Refusal> {
        let Click { seat, tier, units, key, .. } = click;
        let wanted = Wanted { units, limit: self.doors[tier].units_max };
        let is_vouched = self.vouched.get().covers(tier, now) && !self.stock.level().is_halted();
        if !is_vouched || key.is_some() {
            // Nothing is taken: a member whose click cannot be accepted takes no room in the sale's tables.
            let may = self.holdings.check(seat, wanted);
            let may = may.and_then(|()| MixedPrice::check(price, click, now));
            if let Err(refusal) = may.and_then(|()| is_vouched.then_some(()).ok_or(Refusal::Busy)) {
                return self.refuse(click, price, refusal);
            }
        }
        let begun = match key.map(|key| self.keys.begin(seat, key)) {
            Some(None) => return self.refuse(click, price, Refusal::IdempotencyInFlight),
            begun => begun.flatten(),
        };
        // A member may click twice at once. Claiming before reserving keeps the loser off the one
        // word that every buyer fights for.
        let claim = self.holdings.claim(seat, wanted)?;
        let spending = MixedPrice::spend(price, click, now)?;
        let reservation = self.stock.reserve(units)?;
        let admitted = Admitted::click(click, entered, claim, reservation);
        let number = match spending {
            None => self.enqueue(now, admitted, None),
            Some((spending, money)) => self.enqueue(now, admitted.paid_with(spending), Some(money)),
        };
        if let Some(begun) = begun {
            begun.keep(&MixedPrice::body(price, click), number);
        }
        Ok(Accepted { number, is_new: true })
    }

    /// Takes a number for the order and sends it on its way to the confirmer.
    #[inline]
    fn enqueue(&self, now: Millis, admitted: Admitted<'_>, money: Option<&Money>) -> u64 {
        let number = self.queue.take_number();
        if let Some(money) = money {
            // Before the board shows the order: what finds it there also finds what it costs.
            self.mixed.pin().insert(number, money.clone());
        }
        self.queue.push(&self.board, admitted, number, now);
        number
    }

    /// Begins to take orders in. Only the confirmer may call this, once.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.queue.intake(&self.board)
    }

    /// Makes ready for taking in the next orders, so many at most, at less cost than one by one.
    pub fn bring_near(&self, intake: &Intake, most: u64) {
        self.board.bring_near(self.queue.next(intake, most));
    }

    /// Takes the order that has waited longest off the queue.
    pub fn take_in(&self, intake: &mut Intake) -> Option<(Queued, Order)> {
        let (queued, order) = self.queue.pop(&self.board, intake)?;
        self.board.link(&order, intake.all_below());
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
        self.queue.next_number()
    }

    /// When the sale is over by the clock.
    #[inline]
    #[must_use]
    pub fn closes_at(&self) -> Millis {
        // Ordering: Relaxed, an instant that publishes nothing but itself. A click that still reads the
        // earlier one is judged as if it had come before the change.
        Millis(self.closes_at.load(Ordering::Relaxed))
    }

    /// Lets the sale go on until `to`, if that is later. A sale that has closed stays closed.
    pub fn close_at(&self, to: Millis) {
        // Ordering: Relaxed, as in `closes_at`.
        self.closes_at.fetch_max(to.0, Ordering::Relaxed);
    }

    /// Whether the sale is over: closed, or past its closing instant.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        self.stock.level().is_closed() || now >= self.closes_at()
    }

    /// Where the sale stands.
    #[must_use]
    pub fn phase(&self, now: Millis) -> Phase {
        Phase::of(self.stock.level(), &self.terms, self.closes_at(), now)
    }
}
