//! A sale's units that came back, and the members who wait for them.

use super::{Click, Sale};
use crate::rules::refusal::Refusal;
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use crate::sale::admitted::Admitted;
use crate::sale::aside::Aside;
use membership::Tier;

impl Sale {
    /// Checks whether a member may wait for units that come back. The checks are those of a click,
    /// but the sale must be sold out. Nothing is taken.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of checks.
    pub fn may_wait(&self, now: Millis, wish: Click) -> Result<(), Refusal> {
        let limit = self.doors[wish.tier].units_max;
        if !self.doors[wish.tier].takes(wish.units) {
            return Err(Refusal::BadUnits { limit });
        }
        match self.admit(now, wish) {
            Err(Refusal::SoldOut { .. }) => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(Refusal::NotSoldOut { left: self.stock.level().left() }),
        }
        self.holdings.check(wish.seat, Wanted { units: wish.units, limit })
    }

    /// Whether the tier's window is open at `now`.
    #[must_use]
    pub fn has_entered(&self, tier: Tier, now: Millis) -> bool {
        self.terms.windows.enter_until(self.closes_at(), tier, now).is_ok()
    }

    /// Makes an order of units that came back, for a member who waited for them. Returns the
    /// order's number.
    ///
    /// # Errors
    /// [`Refusal::NotOpen`] or [`Refusal::Closed`] by the clock; [`Refusal::SoldOut`] when fewer units
    /// lie aside; [`Refusal::LimitReached`] or [`Refusal::TooManyOrders`]; [`Refusal::Paused`] or
    /// [`Refusal::Closed`].
    pub fn offer(&self, now: Millis, wish: Click) -> Result<u64, Refusal> {
        let Click { seat, tier, units, .. } = wish;
        let limit = self.terms.limits[tier];
        self.terms.windows.enter_until(self.closes_at(), tier, now)?;
        // The units come first here: the member may be the one who gave them up.
        let too_few = || Refusal::SoldOut { left: self.aside.units() };
        let taken = self.aside.take(units).ok_or_else(too_few)?;
        let claim = self.holdings.claim(seat, Wanted { units, limit })?;
        Ok(self.enqueue(now, Admitted::offer(wish, claim, taken, &self.stock)?, None))
    }

    /// Raises the total to `total`; the units that this adds go to waiting members, or on sale.
    /// Repeating a top-up is harmless. Returns the units that were added.
    pub fn top_up(&self, total: Units) -> Units {
        let more = self.stock.grow_to(total);
        if more.0 > 0 {
            self.come_back(more);
        }
        more
    }

    /// Units that came back and lie aside for waiting members.
    #[must_use]
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// Begins to put units aside because a member waits: units that are free now and units that
    /// come back are offered to waiting members first. Only a caller that has the waitlist to
    /// itself may call this.
    pub fn set_aside(&self) {
        self.aside.begin();
        let left = self.stock.withdraw();
        assert!(self.aside.put(left), "units are set aside only while somebody waits");
    }

    /// Puts the units on sale that the members who wait have left; the members go on waiting.
    pub fn put_on_sale(&self) {
        let units = self.aside.take_all();
        if units.0 > 0 {
            self.stock.give_back(units);
        }
    }

    /// Notes that no member waits any more: the units aside go on sale, and so do units that come
    /// back.
    pub fn end_waiting(&self) {
        let units = self.aside.end();
        if units.0 > 0 {
            self.stock.give_back(units);
        }
    }
}
