//! Holdings: how many units each seat holds in one sale, and the tokens that take some of a limit.

use crate::rules::seat::Seat;
use crate::rules::units::{Units, Wanted};
use crate::sale::table::Table;
use crate::sync::{AtomicU16, Ordering};

/// Units that one seat holds: those of its orders that are reserved or sold, and of clicks being
/// judged. The count never exceeds the limit under which its claims were made.
type Row = AtomicU16;

/// How many units each seat holds in one sale.
#[derive(Debug)]
pub struct Holdings {
    rows: Table<Row>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self::new()
    }
}

impl Holdings {
    /// Holdings in which no seat holds a unit.
    #[must_use]
    pub fn new() -> Self {
        Self { rows: Table::new() }
    }

    /// Units that the seat holds.
    #[must_use]
    pub fn held(&self, seat: Seat) -> Units {
        // Ordering: Acquire, paired with the Release in `claim`: a thread that sees a claim also
        // sees the idempotency key that its click wrote down before.
        let held = |row: &Row| row.load(Ordering::Acquire);
        Units(self.rows.get(seat.index()).map_or(0, |row| u32::from(held(row))))
    }

    /// Takes units of the seat's limit.
    ///
    /// # Errors
    /// The units that the seat holds, when it would hold more than the limit.
    #[inline]
    pub fn claim(&self, seat: Seat, wanted: Wanted) -> Result<Claim<'_>, Units> {
        let Wanted { units, limit } = wanted;
        let row = self.rows.get_or_grow(seat.index());
        // Ordering: Relaxed, the value is only a first guess for the exchange.
        let mut held = row.load(Ordering::Relaxed);
        loop {
            let wanted = u32::from(held).checked_add(units.0).filter(|wanted| *wanted <= limit.0);
            let Some(wanted) = wanted.and_then(|wanted| u16::try_from(wanted).ok()) else {
                return Err(Units(u32::from(held)));
            };
            // Ordering: Release, paired with the Acquire in `held`. The count itself is safe under
            // any ordering: a read-modify-write always sees the newest value of its own word.
            match row.compare_exchange_weak(
                held,
                wanted,
                Ordering::Release,
                Ordering::Relaxed, // Ordering: only the value is used, and tried again.
            ) {
                Ok(_) => return Ok(Claim { row, units }),
                Err(now) => held = now,
            }
        }
    }

    /// Takes units off the seat's holdings, when its order no longer holds them.
    ///
    /// # Panics
    /// When the seat holds fewer: units were given back twice.
    pub(crate) fn give_back(&self, seat: Seat, units: Units) {
        let row = self.rows.get(seat.index()).expect("an order's seat has claimed before");
        give_back(row, units);
    }

    /// Sets what a seat held before a restart. Call it only before the first click.
    pub(crate) fn restore(&self, seat: Seat, units: Units) {
        let held = u16::try_from(units.0).expect("no limit is over 65,535 units");
        // Ordering: Relaxed, the sale is published to other threads afterwards, by a lock.
        self.rows.get_or_grow(seat.index()).store(held, Ordering::Relaxed);
    }
}

#[inline]
fn give_back(row: &Row, units: Units) {
    let units = u16::try_from(units.0).expect("a claim fits its row");
    // Ordering: Relaxed, the count carries no other data; the units travel through the stock.
    let before = row.fetch_sub(units, Ordering::Relaxed);
    assert!(before >= units, "{units} given back by a seat that held {before}");
}

/// Some of a member's limit, taken; given back when dropped unless kept.
#[must_use = "dropping a claim gives the limit back"]
#[derive(Debug)]
pub struct Claim<'a> {
    row: &'a Row,
    units: Units,
}

impl Claim<'_> {
    /// How many units of the limit were claimed.
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

impl Drop for Claim<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.units.0 > 0 {
            give_back(self.row, self.units);
        }
    }
}
