//! Stock: units that nobody holds, and the tokens that take some.
//!
//! One atomic word carries how many units are left, how many there are in all, and whether any may
//! be taken. So a thread that reads it sees left and total of one instant, and no reservation
//! succeeds once a close has returned.

use crate::rules::refusal::Refusal;
use crate::rules::terms::Terms;
use crate::rules::units::Units;
use crate::sync::{AtomicU64, CachePadded, Ordering};
use std::fmt;

const COUNT_BITS: u32 = 28;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const PAUSED: u64 = 1 << 28;
const CLOSED: u64 = 1 << 29;
const HALTED: u64 = 1 << 30;
const TOTAL_AT: u32 = 32;

/// Units nobody holds. Left + units on the queue + units sold is the stock at every instant.
#[derive(Debug)]
pub struct Stock {
    /// Bits 0..28 left, 28..31 the switches, 32..60 total. The switches stand right above what is
    /// left, so that one comparison of the lower half finds a sale that runs and has too few.
    word: CachePadded<AtomicU64>,
}

/// How many units a sale has.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Units in all, held or not.
    pub total: Units,
    /// Units that nobody holds.
    pub left: Units,
}

/// One reading of a [`Stock`]: everything in it was true at the same instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level(u64);

impl Level {
    /// Units that nobody holds.
    #[inline]
    #[must_use]
    pub const fn left(self) -> Units {
        Units((self.0 & COUNT_MASK) as u32)
    }

    /// Units there are in all, held or not.
    #[must_use]
    pub const fn total(self) -> Units {
        Units((self.0 >> TOTAL_AT & COUNT_MASK) as u32)
    }

    /// Units that are taken: by orders, by clicks being judged, or aside.
    #[must_use]
    pub const fn taken(self) -> Units {
        Units(self.total().0 - self.left().0)
    }

    /// The operator has paused the sale.
    #[must_use]
    pub const fn is_paused(self) -> bool {
        self.0 & PAUSED != 0
    }

    /// The operator has closed the sale, for good.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// No switch is on, and fewer than `units` are left.
    #[inline]
    #[must_use]
    pub const fn is_merely_short_of(self, units: Units) -> bool {
        // A switch that is on makes the lower half larger than any count.
        ((self.0 & 0xffff_ffff) as u32) < units.0
    }

    /// The store no longer takes this process's orders.
    #[must_use]
    pub const fn is_halted(self) -> bool {
        self.0 & HALTED != 0
    }

    /// Closed, paused, sold out, in the order of checks.
    ///
    /// # Errors
    /// The first [`Refusal`] that holds.
    #[inline]
    pub fn admits(self, units: Units) -> Result<(), Refusal> {
        if self.is_closed() {
            Err(Refusal::Closed)
        } else if self.is_paused() {
            Err(Refusal::Paused)
        } else if self.left() < units {
            Err(Refusal::SoldOut { left: self.left() })
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, total) = (self.left(), self.total());
        let (paused, closed) = (self.is_paused(), self.is_closed());
        write!(f, "{left} of {total} left, paused {paused}, closed {closed}")
    }
}

impl Stock {
    /// A stock in which all units are free.
    ///
    /// # Panics
    /// When `total` is over [`Terms::STOCK_MAX`].
    #[must_use]
    pub fn new(total: Units) -> Self {
        Self::resume(Counts { total, left: total })
    }

    /// A stock in which some units are held already.
    ///
    /// # Panics
    /// When more are left than there are, or when there are more than [`Terms::STOCK_MAX`]: such a sale
    /// must not start.
    #[must_use]
    pub fn resume(Counts { total, left }: Counts) -> Self {
        assert!(
            left <= total && total <= Terms::STOCK_MAX,
            "no sale starts with {left} of {total}"
        );
        let word = u64::from(total.0) << TOTAL_AT | u64::from(left.0);
        Self { word: CachePadded::new(AtomicU64::new(word)) }
    }

    /// What is left at this instant, and the switches.
    #[inline]
    #[must_use]
    pub fn level(&self) -> Level {
        // Ordering: Acquire, paired with every Release on this word. A thread that sees units come
        // back also sees that the limit under which they were held is free again. One that sees them
        // gone also sees the idempotency key of the click that took them. One that sees a switch also
        // sees what led to it.
        Level(self.word.load(Ordering::Acquire))
    }

    /// Takes units, all or none.
    ///
    /// # Errors
    /// The [`Refusal`] that was true at one instant during this call: paused, closed, sold out or
    /// halted.
    #[inline]
    pub fn reserve(&self, units: Units) -> Result<Reservation<'_>, Refusal> {
        let mut level = self.level();
        loop {
            level.admits(units)?;
            if level.is_halted() {
                return Err(Refusal::Busy);
            }
            let next = level.0 - u64::from(units.0);
            // Ordering: Release, paired with the Acquire in `level`: a thread that learns from this
            // word that the units are gone also sees the key that this click wrote down before. What
            // the last holder of the units wrote is not read from here on, so no Acquire.
            match self.word.compare_exchange_weak(
                level.0,
                next,
                Ordering::Release,
                Ordering::Relaxed, // Ordering: only the value is used, and judged again.
            ) {
                Ok(_) => return Ok(Reservation { stock: self, units }),
                Err(now) => level = Level(now),
            }
        }
    }

    /// Puts units back that were reserved.
    ///
    /// # Panics
    /// When more would be left than there are: units were given back twice.
    pub(crate) fn give_back(&self, units: Units) {
        // Ordering: Release, paired with the Acquire in `level` and `withdraw`. A thread that
        // sees these units must also see that their last holder's limit is free again.
        let before = Level(self.word.fetch_add(u64::from(units.0), Ordering::Release));
        assert!(units <= before.taken(), "{units} given back to {before:?}: more than were taken");
    }

    /// Raises the total to `total`; a lower or equal total changes nothing, so repeating a top-up
    /// is harmless. Returns the units that were added: they count as taken, and the caller is to
    /// give them back.
    ///
    /// # Panics
    /// When `total` is over [`Terms::STOCK_MAX`]: the store does not grant such a top-up.
    pub(crate) fn grow_to(&self, total: Units) -> Units {
        assert!(total <= Terms::STOCK_MAX, "the store granted {total} units");
        let mut level = self.level();
        loop {
            let more = total.0.saturating_sub(level.total().0);
            let next = level.0 + (u64::from(more) << TOTAL_AT);
            // Ordering: Relaxed, no unit changes hands: `give_back` publishes them.
            match self.word.compare_exchange_weak(
                level.0,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed, // Ordering: only the value is used, and tried again.
            ) {
                Ok(_) => return Units(more),
                Err(now) => level = Level(now),
            }
        }
    }

    /// Takes all that is left, whatever the switches say.
    pub(crate) fn withdraw(&self) -> Units {
        // Ordering: AcqRel. Acquire pairs with the Release in `give_back`: the member who is offered
        // these units may be the one who gave them up. Release pairs with the Acquire in `level`: a
        // thread that sees the units gone also sees that a member waits.
        Level(self.word.fetch_and(!COUNT_MASK, Ordering::AcqRel)).left()
    }

    /// Pauses the sale, or lets it go on. A reservation that was made before stays.
    pub fn set_paused(&self, paused: bool) {
        if paused { self.turn_on(PAUSED) } else { self.turn_off(PAUSED) }
    }

    /// Ends the sale: when this has returned, no reservation succeeds any more.
    pub fn close(&self) {
        self.turn_on(CLOSED);
    }

    /// Halts the sale: the store will not confirm orders for this process.
    pub fn halt(&self) {
        self.turn_on(HALTED);
    }

    /// Ends a halt: the store confirms orders for this process after all.
    #[cfg(not(flash_loom))]
    pub(crate) fn go_on(&self) {
        self.turn_off(HALTED);
    }

    fn turn_on(&self, switch: u64) {
        // Ordering: Release, paired with the Acquire in `level`: a thread that reads the switch sees
        // what led to it.
        self.word.fetch_or(switch, Ordering::Release);
    }

    fn turn_off(&self, switch: u64) {
        // Ordering: Release, as in `turn_on`.
        self.word.fetch_and(!switch, Ordering::Release);
    }
}

/// Units taken from the stock; given back when dropped unless kept.
#[must_use = "dropping a reservation gives its units back"]
#[derive(Debug)]
pub struct Reservation<'a> {
    stock: &'a Stock,
    units: Units,
}

impl Reservation<'_> {
    /// How many units were reserved.
    #[inline]
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// The units now belong to an order.
    #[inline]
    pub fn keep(mut self) {
        self.units = Units(0);
    }
}

impl Drop for Reservation<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.units.0 > 0 {
            self.stock.give_back(self.units);
        }
    }
}
