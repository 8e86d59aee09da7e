//! OwnLease: a node's lease as the node itself counts it, and whether it may judge clicks of a sale by it.
//!
//! Two rules keep two nodes from selling one sale at one instant, whatever messages are late, lost or doubled:
//!
//! - A node counts its lease from before it asked for it, and by a clock that goes on, or back by less than the part that it leaves out; so its lease is over
//!   for the node before it is over for the store.
//! - A sale is taken over within a term only, and sold within the same term only; a term ends with the lease. A
//!   node that comes back begins a new term, in which it may sell nothing, and says of each of its sales that it
//!   keeps it: another node may have seen that the old term was over, and its take-over may still be on its way.
//!   Keeping the sale is what refuses it.
//!
//! This holds as long as the store's clock goes no faster than by a twentieth and does not jump, and the store
//! loses nothing. Otherwise two nodes may judge for a moment, and the epoch keeps what one of them accepted from
//! being confirmed: a pause, and no unit.

use crate::rules::time::Millis;
use std::time::Duration;

/// A time in which a node held its lease without a break, counted up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(u64);

/// A node's lease. Instants are of a clock of this machine that only goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnLease {
    term: Term,
    until: Millis,
}

impl Default for OwnLease {
    fn default() -> Self {
        Self { term: Term(0), until: Millis(0) }
    }
}

impl OwnLease {
    /// Notes at `now` that the store has renewed the lease, as it was asked to at `asked_at`. A twentieth of it is
    /// left out: so much may the store's clock be faster than this one.
    #[must_use]
    pub fn renewed(self, asked_at: Millis, lasts: Duration, now: Millis) -> Self {
        let until = self.until.max(asked_at + (lasts - lasts / 20));
        match self.term_at(now) {
            Some(term) => Self { term, until },
            None => Self { term: Term(self.term.0 + 1), until },
        }
    }

    /// The term of this instant; `None` while the lease is not held: then nothing is sold, and nothing taken
    /// over.
    #[must_use]
    pub fn term_at(self, now: Millis) -> Option<Term> {
        (now < self.until).then_some(self.term)
    }

    /// The node gives its lease up: nothing may be sold in its term any more. Only then may the store be told.
    #[must_use]
    pub const fn ended(self) -> Self {
        Self { until: Millis(0), ..self }
    }

    /// Until when the lease is held, if it is not renewed.
    #[must_use]
    pub const fn until(self) -> Millis {
        self.until
    }

    /// Until when a sale of this term may be sold, if the lease is not renewed; the beginning of time if the term is
    /// over.
    #[must_use]
    pub fn until_in(self, taken_in: Term) -> Millis {
        if self.term == taken_in { self.until } else { Millis(0) }
    }

    /// Whether a sale that the node asked in this term to take over or to keep may be sold now.
    #[must_use]
    pub fn sells(self, taken_in: Term, now: Millis) -> bool {
        self.term_at(now) == Some(taken_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_millis(2_000);

    #[test]
    fn a_lease_counts_from_before_it_was_asked_for_and_ends_a_little_early() {
        let lease = OwnLease::default().renewed(Millis(1_000), LASTS, Millis(1_500));
        assert_eq!(lease.until(), Millis(2_900));
        assert!(lease.term_at(Millis(2_899)).is_some() && lease.term_at(Millis(2_900)).is_none());
        // An answer that is late does not shorten it.
        let later = lease.renewed(Millis(1_400), LASTS, Millis(1_600));
        assert_eq!(later.renewed(Millis(1_200), LASTS, Millis(1_700)).until(), Millis(3_300));
    }

    #[test]
    fn what_was_taken_before_a_lapse_is_not_sold_after_it() {
        let lease = OwnLease::default().renewed(Millis(1_000), LASTS, Millis(1_000));
        let term = lease.term_at(Millis(1_100)).unwrap();
        assert!(lease.sells(term, Millis(2_800)) && !lease.sells(term, Millis(2_900)));
        let on_time = lease.renewed(Millis(2_000), LASTS, Millis(2_100));
        assert!(on_time.sells(term, Millis(3_800)));
        // It was asked for within the term and heard of after it.
        let after_a_lapse = lease.renewed(Millis(2_850), LASTS, Millis(3_000));
        let next = after_a_lapse.term_at(Millis(3_000)).unwrap();
        assert!(next > term && !after_a_lapse.sells(term, Millis(3_000)));
        assert!(after_a_lapse.sells(next, Millis(3_000)));
        let ended = after_a_lapse.ended();
        assert!(!ended.sells(next, Millis(3_000)) && ended.term_at(Millis(0)).is_none());
    }
}
