//! The store with a bug that a test has planted, to see that the other tests notice it. Without
//! the feature `faults` there is nothing of it.

#[cfg(feature = "faults")]
mod bugs;

#[cfg(feature = "faults")]
mod leases;

#[cfg(any(feature = "faults", test))]
pub(super) mod mutations;

#[cfg(feature = "faults")]
pub use bugs::planted;

#[cfg(feature = "faults")]
pub use leases::planted_leasing;

#[cfg(feature = "faults")]
pub(super) use bugs::{is_planted, mutated};

#[cfg(not(feature = "faults"))]
mod none {
    use crate::store::{Leasing, Store};
    use std::sync::Arc;

    /// The store, or one with the bug that a test has planted.
    #[must_use]
    pub fn planted(store: Store) -> Store {
        store
    }

    /// The leases, or those with the bug that a test has planted.
    #[must_use]
    pub fn planted_leasing(leasing: Arc<dyn Leasing>) -> Arc<dyn Leasing> {
        leasing
    }

    /// Whether this bug, which an adapter knows of, is planted.
    pub(in crate::store) const fn is_planted(_bug: &str) -> bool {
        false
    }

    /// The function library, or one with the bug that a test has planted.
    pub(in crate::store) fn mutated(text: &str) -> String {
        text.to_owned()
    }
}

#[cfg(not(feature = "faults"))]
pub(super) use none::{is_planted, mutated};
#[cfg(not(feature = "faults"))]
pub use none::{planted, planted_leasing};
