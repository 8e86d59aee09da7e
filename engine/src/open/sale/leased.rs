//! A sale that this process sells by its node's lease, until another node has it.

use super::OpenSale;
use crate::nodes::own_lease::{OwnLease, Term};
use crate::open::right::Right;
use crate::rules::order::Status;
use crate::store::StoreError;

impl OpenSale {
    /// The sale, sold by a node that took it in this term of its lease.
    pub(crate) fn leased(mut self, lease: Option<(Term, OwnLease)>) -> Self {
        if let Some((taken_in, lease)) = lease {
            self.right = Right::new(Some(taken_in));
            self.right.follow(&self.sale, lease);
        }
        self
    }

    /// By which right this process sells the sale.
    pub(crate) const fn right(&self) -> &Right {
        &self.right
    }

    /// From now on no click takes anything, and what was taken is still confirmed.
    pub(crate) fn give_up(&self) {
        self.right.set_given_up(&self.sale, true);
        self.sale.stock().halt();
        self.wake();
    }

    /// The sale stays after all.
    pub(crate) fn take_back(&self, lease: OwnLease) {
        // It goes on before it is no more given up: a halted sale that is not given up lets go of what waits. No click comes
        // in meanwhile. A sale that the store does not take stays halted.
        if self.trouble().is_none_or(|why| why.is_transient()) {
            self.sale.stock().go_on();
        }
        self.right.set_given_up(&self.sale, false);
        self.right.follow(&self.sale, lease);
        self.wake();
    }

    /// Another node has taken the sale over: the store takes no more orders of this process.
    pub(crate) fn fence(&self) {
        self.set_trouble(Some(StoreError::Fenced));
        self.sale.stock().halt();
        self.wake();
    }

    /// Whether all units that were taken are in settled orders or aside, of a sale that takes no more clicks: then no
    /// order is on its way, not even one that a click is about to write down.
    pub(crate) fn is_all_settled(&self) -> bool {
        let (level, stored) = (self.sale.stock().level(), self.sale.meter().stored());
        let holding = Status::STORED.into_iter().filter(|status| status.holds_units());
        let units: u64 = holding.map(|status| stored.sum(status).units).sum();
        u64::from(level.taken().0) == units + u64::from(self.sale.aside().units().0)
    }
}
