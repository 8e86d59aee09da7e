//! Holdings: how many units each seat holds in one sale and how many orders it has made there, and
//! the tokens that take some of both.

use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::terms::Terms;
use crate::rules::units::{Units, Wanted};
use crate::sale::table::Table;
use crate::sync::{AtomicU32, Ordering};

/// Bits 0..16: units that one seat holds, those of its orders that are reserved or sold, and of clicks
/// being judged; they never exceed the limit under which its claims were made. Bits 16..32: orders that
/// the seat has made, whatever became of them; they never exceed `orders_max`.
type Row = AtomicU32;

const ONE_ORDER: u32 = 1 << 16;

/// One reading of a row.
#[derive(Clone, Copy)]
struct Held(u32);

impl Held {
    const fn units(self) -> Units {
        Units(self.0 & 0xffff)
    }

    const fn orders(self) -> u32 {
        self.0 >> 16
    }
}

/// What each seat holds in one sale.
#[derive(Debug)]
pub struct Holdings {
    rows: Table<Row>,
    orders_max: u16,
}

impl Holdings {
    /// Holdings in which no seat holds a unit, and each may make `orders_max` orders.
    #[must_use]
    pub fn new(orders_max: u16) -> Self {
        Self { rows: Table::new(), orders_max }
    }

    fn read(&self, seat: Seat) -> Held {
        // Ordering: Acquire, paired with the Release in `claim`: a thread that sees a claim also
        // sees the idempotency key that its click wrote down before.
        let held = |row: &Row| row.load(Ordering::Acquire);
        Held(self.rows.get(seat.index()).map_or(0, held))
    }

    /// Units that the seat holds.
    #[must_use]
    pub fn held(&self, seat: Seat) -> Units {
        self.read(seat).units()
    }

    /// Checks whether the seat could claim units at this instant. Takes nothing.
    ///
    /// # Errors
    /// As [`Holdings::claim`].
    pub fn check(&self, seat: Seat, wanted: Wanted) -> Result<(), Refusal> {
        self.with(self.read(seat), wanted).map(drop)
    }

    /// What the row becomes with a claim more.
    #[inline]
    fn with(&self, held: Held, Wanted { units, limit }: Wanted) -> Result<u32, Refusal> {
        let fits = held.units().0.checked_add(units.0).is_some_and(|held| held <= limit.0);
        if !fits {
            return Err(Refusal::LimitReached { limit, held: held.units() });
        }
        if held.orders() >= u32::from(self.orders_max) {
            return Err(Refusal::TooManyOrders { most: self.orders_max });
        }
        Ok(held.0 + ONE_ORDER + units.0)
    }

    /// Takes units of the seat's limit, and one of its orders.
    ///
    /// # Errors
    /// [`Refusal::LimitReached`] when the seat would hold more than the limit,
    /// [`Refusal::TooManyOrders`] when it has made as many orders as it may.
    ///
    /// # Panics
    /// When the limit is over 65,535 units: no sale has such terms.
    #[inline]
    pub fn claim(&self, seat: Seat, wanted: Wanted) -> Result<Claim<'_>, Refusal> {
        assert!(wanted.limit <= Terms::LIMIT_MAX, "no limit is over 65,535 units");
        let row = self.rows.get_or_grow(seat.index());
        // Ordering: Relaxed, the value is only a first guess for the exchange.
        let mut held = row.load(Ordering::Relaxed);
        loop {
            let next = self.with(Held(held), wanted)?;
            // Ordering: Release, paired with the Acquire in `read`. The counts themselves are safe
            // under any ordering: a read-modify-write always sees the newest value of its own word.
            match row.compare_exchange_weak(
                held,
                next,
                Ordering::Release,
                Ordering::Relaxed, // Ordering: only the value is used, and tried again.
            ) {
                Ok(_) => return Ok(Claim { row, units: wanted.units }),
                Err(now) => held = now,
            }
        }
    }

    /// Takes units off the seat's holdings, when its order no longer holds them. The order goes on
    /// counting as one that the seat has made.
    ///
    /// # Panics
    /// When the seat holds fewer: units were given back twice.
    pub(crate) fn give_back(&self, seat: Seat, units: Units) {
        let row = self.rows.get(seat.index()).expect("an order's seat has claimed before");
        give_back(row, units, 0);
    }

    /// Sets what a seat held before a restart, and how many orders it had made. Call it only before
    /// the first click.
    pub(crate) fn restore(&self, seat: Seat, units: Units, orders: u32) {
        assert!(units <= Terms::LIMIT_MAX, "no limit is over 65,535 units");
        // A process that allowed more orders may have run before this one.
        let held = orders.min(0xffff) * ONE_ORDER + units.0;
        // Ordering: Relaxed, the sale is published to other threads afterwards, by a lock.
        self.rows.get_or_grow(seat.index()).store(held, Ordering::Relaxed);
    }
}

#[inline]
fn give_back(row: &Row, units: Units, orders: u32) {
    // Ordering: Relaxed, the counts carry no other data; the units travel through the stock.
    let before = Held(row.fetch_sub(orders * ONE_ORDER + units.0, Ordering::Relaxed));
    let had = before.units();
    assert!(had >= units, "{units} given back by a seat that held {had}");
}

/// Some of a member's limit and one of their orders, taken; given back when dropped unless kept.
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
            give_back(self.row, self.units, 1);
        }
    }
}
