//! Blocked: members who may not buy, in any sale of this process.

use crate::rules::seat::Seat;
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::sync::Arc;

/// The blocked members. Every click reads them, and they seldom change.
#[derive(Debug, Default)]
pub struct Blocked {
    seats: ArcSwap<HashSet<Seat>>,
}

impl Blocked {
    /// Whether the member may not buy.
    #[inline]
    #[must_use]
    pub fn contains(&self, seat: Seat) -> bool {
        let seats = self.seats.load();
        !seats.is_empty() && seats.contains(&seat)
    }

    /// All members who may not buy.
    #[must_use]
    pub fn seats(&self) -> Arc<HashSet<Seat>> {
        self.seats.load_full()
    }

    pub(crate) fn replace(&self, seats: HashSet<Seat>) {
        self.seats.store(Arc::new(seats));
    }

    pub(crate) fn insert(&self, seat: Seat) {
        self.seats.rcu(|seats| {
            let mut seats = HashSet::clone(seats);
            seats.insert(seat);
            seats
        });
    }

    pub(crate) fn remove(&self, seat: Seat) {
        self.seats.rcu(|seats| {
            let mut seats = HashSet::clone(seats);
            seats.remove(&seat);
            seats
        });
    }
}
