//! Tally: orders and the units in them, summed by state and tier.

use crate::rules::order::Status;
use crate::rules::units::Units;
use membership::{PerTier, Tier};
use serde::{Deserialize, Serialize};

/// How many orders, and how many units in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Orders.
    pub orders: u64,
    /// Units in them.
    pub units: u64,
}

impl Tally {
    /// Counts one more order.
    pub fn add(&mut self, units: Units) {
        self.orders += 1;
        self.units += u64::from(units.0);
    }

    fn remove(&mut self, units: Units) {
        self.orders -= 1;
        self.units -= u64::from(units.0);
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.orders += more.orders;
        self.units += more.units;
    }
}

/// Stored orders by where they are in their life, and by tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tallies(pub(crate) [PerTier<Tally>; Status::STORED.len()]);

impl Tallies {
    pub(crate) fn index(status: Status) -> usize {
        let index = Status::STORED.iter().position(|stored| *stored == status);
        index.expect("a stored order is not reserved")
    }

    /// Orders that are in this state.
    ///
    /// # Panics
    /// For `Reserved`: such orders are not stored.
    #[must_use]
    pub fn of(&self, status: Status) -> &PerTier<Tally> {
        &self.0[Self::index(status)]
    }

    /// As [`Tallies::of`], but to be changed.
    ///
    /// # Panics
    /// For `Reserved`: such orders are not stored.
    pub fn of_mut(&mut self, status: Status) -> &mut PerTier<Tally> {
        &mut self.0[Self::index(status)]
    }

    /// Orders that are in this state, all tiers together.
    #[must_use]
    pub fn sum(&self, status: Status) -> Tally {
        let mut sum = Tally::default();
        self.of(status).0.iter().for_each(|tally| sum += *tally);
        sum
    }

    /// Each state with its orders.
    pub fn iter(&self) -> impl Iterator<Item = (Status, &PerTier<Tally>)> {
        Status::STORED.into_iter().zip(&self.0)
    }

    /// All orders, by tier.
    #[must_use]
    pub fn all(&self) -> PerTier<Tally> {
        let mut all = PerTier::<Tally>::default();
        for tallies in &self.0 {
            all.0.iter_mut().zip(tallies.0).for_each(|(sum, more)| *sum += more);
        }
        all
    }

    /// Units that orders hold: confirmed, paid and returned ones.
    #[must_use]
    pub fn held_units(&self) -> u64 {
        let holding = Status::STORED.into_iter().filter(|status| status.holds_units());
        holding.map(|status| self.sum(status).units).sum()
    }

    /// Counts an order out of one state and into another; `was` is `None` for an order that was in
    /// none.
    pub fn count(&mut self, tier: Tier, units: Units, was: Option<Status>, is: Status) {
        if let Some(was) = was {
            self.of_mut(was)[tier].remove(units);
        }
        self.of_mut(is)[tier].add(units);
    }
}
