//! Blocked: members who may not buy, in any sale of this process.

use crate::rules::seat::Seat;
use arc_swap::{ArcSwap, Guard};
use std::collections::HashSet;
use std::sync::Arc;

/// The blocked members. Every click reads them, and they seldom change.
#[derive(Debug, Default)]
pub struct Blocked {
    seats: ArcSwap<HashSet<Seat>>,
}

/// The list of one instant.
#[must_use = "a member may be blocked as soon as it is dropped"]
#[derive(Debug)]
pub struct Look(Guard<Arc<HashSet<Seat>>>);

impl Look {
    /// Whether the member may not buy.
    #[inline]
    #[must_use]
    pub fn contains(&self, seat: Seat) -> bool {
        !self.0.is_empty() && self.0.contains(&seat)
    }
}

impl Blocked {
    /// Whether the member may not buy.
    #[must_use]
    pub fn contains(&self, seat: Seat) -> bool {
        self.look().contains(seat)
    }

    /// The list as it is now. As long as this look is held, nobody hears that a
    /// member is blocked.
    #[inline]
    pub fn look(&self) -> Look {
        Look(self.seats.load())
    }

    /// All members who may not buy.
    #[must_use]
    pub fn seats(&self) -> Arc<HashSet<Seat>> {
        self.seats.load_full()
    }

    pub(crate) fn replace(&self, seats: HashSet<Seat>) {
        self.seats.store(Arc::new(seats));
    }

    /// Blocks a member. Returns when nobody looks at the list as it was before any more.
    pub(crate) async fn insert(&self, seat: Seat) {
        let before = self.seats.rcu(|seats| {
            let mut seats = HashSet::clone(seats);
            seats.insert(seat);
            seats
        });
        // A look is short: it lasts as long as a click is judged.
        while Arc::strong_count(&before) > 1 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn remove(&self, seat: Seat) {
        self.seats.rcu(|seats| {
            let mut seats = HashSet::clone(seats);
            seats.remove(&seat);
            seats
        });
    }
}
