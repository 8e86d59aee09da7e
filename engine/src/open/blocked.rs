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

    /// The list as it is now. As long as this look is held, nobody hears that a member is blocked.
    #[inline]
    pub fn look(&self) -> Look {
        Look(self.seats.load())
    }

    /// All members who may not buy.
    #[must_use]
    pub fn seats(&self) -> Arc<HashSet<Seat>> {
        self.seats.load_full()
    }

    /// Makes this the list. Returns when no click is judged by another one any more.
    pub(crate) async fn replace(&self, seats: HashSet<Seat>) {
        if *self.seats() != seats {
            self.change(|list| list.clone_from(&seats)).await;
        }
    }

    /// Blocks a member. Returns when no click is judged any more by a list without them.
    pub async fn insert(&self, seat: Seat) {
        self.change(|seats| {
            seats.insert(seat);
        })
        .await;
    }

    /// Lets a member buy again.
    pub async fn remove(&self, seat: Seat) {
        self.change(|seats| {
            seats.remove(&seat);
        })
        .await;
    }

    /// Changes the list; returns when nobody looks at the one before any more. Every change waits, so
    /// that none leaves a still older list in use for the next one to overlook.
    async fn change(&self, change: impl Fn(&mut HashSet<Seat>)) {
        let mut before = self.seats.rcu(|seats| {
            let mut seats = HashSet::clone(seats);
            change(&mut seats);
            seats
        });
        // A look is short: it lasts as long as a click is judged.
        while Arc::get_mut(&mut before).is_none() {
            tokio::task::yield_now().await;
        }
    }
}
