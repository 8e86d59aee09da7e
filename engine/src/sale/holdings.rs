//! Holdings: how many units each seat holds in one sale and how many orders it has made there, and
//! the tokens that take some of both.

use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::terms::Terms;
use crate::rules::units::{Units, Wanted};
use crate::sale::seats::{Seats, Word};
use std::convert::Infallible;

/// One reading of a seat's word. Bits 0..16: units that one seat holds, those of its orders that are reserved or sold, and of clicks
/// being judged; they never exceed the limit under which its claims were made. Bits 16..32: orders that
/// the seat has made, whatever became of them; they never exceed `orders_max`.
#[derive(Clone, Copy)]
struct Held(u32);

const ONE_ORDER: u32 = 1 << 16;

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
    seats: Seats,
    orders_max: u16,
}

impl Holdings {
    /// Holdings of a sale of this stock, in which no seat holds a unit and each may make `orders_max` orders.
    #[must_use]
    pub fn new(stock: Units, orders_max: u16) -> Self {
        Self { seats: Seats::with_room_for(stock.0 as usize), orders_max }
    }

    /// A thread that sees a claim also sees the idempotency key that its click wrote down before.
    fn read(&self, seat: Seat) -> Held {
        Held(self.seats.read(seat))
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

    /// What the word becomes with a claim more.
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
        let word = self.seats.change(seat, |held| self.with(Held(held), wanted))?;
        Ok(Claim { word, units: wanted.units })
    }

    /// Takes units off the seat's holdings, when its order no longer holds them. The order goes on
    /// counting as one that the seat has made.
    ///
    /// # Panics
    /// When the seat holds fewer: units were given back twice.
    pub(crate) fn give_back(&self, seat: Seat, units: Units) {
        let word = self.seats.find(seat).expect("an order's seat has claimed before");
        give_back(word, units, 0);
    }

    /// Sets what a seat held before a restart, and how many orders it had made. Call it only before
    /// the first click.
    pub(crate) fn restore(&self, seat: Seat, units: Units, orders: u32) {
        assert!(units <= Terms::LIMIT_MAX, "no limit is over 65,535 units");
        // A process that allowed more orders may have run before this one.
        let held = orders.min(0xffff) * ONE_ORDER + units.0;
        let Ok(_) = self.seats.change(seat, |_| Ok::<_, Infallible>(held));
    }
}

#[inline]
fn give_back(word: Word<'_>, units: Units, orders: u32) {
    // The counts carry no other data; the units travel through the stock.
    let before = Held(word.take_off(orders * ONE_ORDER + units.0));
    let had = before.units();
    assert!(had >= units, "{units} given back by a seat that held {had}");
}

/// Some of a member's limit and one of their orders, taken; given back when dropped unless kept.
#[must_use = "dropping a claim gives the limit back"]
#[derive(Debug)]
pub struct Claim<'a> {
    word: Word<'a>,
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
            give_back(self.word, self.units, 1);
        }
    }
}
