//! Right: until when this process may sell a sale: as long as its store answers, and as long as its node holds the
//! lease in which it took the sale.

use crate::nodes::own_lease::{OwnLease, Term};
use crate::rules::time::Millis;
use crate::sale::Sale;
use crate::sale::vouch::Vouch;
use membership::Tier;
use parking_lot::Mutex;
use std::time::Duration;

/// How many tiers there are below the highest one.
const LOWER_TIERS: u32 = Tier::Diamond as u32;

/// What a sale's vouch is made of. It changes under one lock, so that none is made of a lease that is over.
#[derive(Debug)]
pub(crate) struct Right(Mutex<Parts>);

#[derive(Debug)]
struct Parts {
    /// Until when the store is vouched for, and how much less long for each lower tier.
    store: (Millis, Duration),
    /// The term in which the sale was taken, and until when it lasts; `None` where there are no nodes.
    lease: Option<(Term, Millis)>,
    /// The sale is on its way to another node.
    is_given_up: bool,
}

impl Parts {
    fn vouch(&self) -> Vouch {
        if self.is_given_up {
            return Vouch::new(Millis(0), Duration::ZERO);
        }
        let (until, sooner) = self.store;
        let Some((_, leased)) = self.lease else { return Vouch::new(until, sooner) };
        // The lease ends for all tiers at once. What lies between the highest and the lowest tier is cut evenly, so
        // that no tier is vouched for longer than by either.
        let sooner = u64::try_from((sooner * LOWER_TIERS).as_millis()).unwrap_or(u64::MAX);
        let lowest = Millis(until.0.saturating_sub(sooner));
        let (until, lowest) = (until.min(leased), lowest.min(leased));
        Vouch::new(until, until.since(lowest) / LOWER_TIERS)
    }
}

impl Right {
    pub(crate) fn new(taken_in: Option<Term>) -> Self {
        let lease = taken_in.map(|term| (term, Millis(0)));
        let store = (Millis(0), Duration::ZERO);
        Self(Mutex::new(Parts { store, lease, is_given_up: false }))
    }

    /// The store has answered.
    pub(crate) fn vouch(&self, sale: &Sale, until: Millis, sooner_by_tier: Duration) {
        let mut parts = self.0.lock();
        parts.store = (until, sooner_by_tier);
        sale.vouch(parts.vouch());
    }

    /// The node's lease was renewed.
    pub(crate) fn follow(&self, sale: &Sale, lease: OwnLease) {
        let mut parts = self.0.lock();
        if let Some((term, until)) = &mut parts.lease {
            *until = lease.until_in(*term);
            sale.vouch(parts.vouch());
        }
    }

    /// The node has kept the sale in this term.
    pub(crate) fn keep(&self, sale: &Sale, term: Term, lease: OwnLease) {
        let mut parts = self.0.lock();
        if parts.lease.is_some_and(|(before, _)| before < term) {
            parts.lease = Some((term, lease.until_in(term)));
            sale.vouch(parts.vouch());
        }
    }

    /// Whether the sale is on its way to another node, whatever store and lease say.
    pub(crate) fn set_given_up(&self, sale: &Sale, is_given_up: bool) {
        let mut parts = self.0.lock();
        parts.is_given_up = is_given_up;
        sale.vouch(parts.vouch());
    }

    /// Whether the sale is on its way to another node.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.lock().is_given_up
    }

    /// Whether the lease in which the sale was taken is still held.
    pub(crate) fn is_held(&self, lease: OwnLease, now: Millis) -> bool {
        self.0.lock().lease.is_none_or(|(term, _)| lease.sells(term, now))
    }
}
