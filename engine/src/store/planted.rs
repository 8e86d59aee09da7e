//! The store with a bug that a test has planted, to see that the other tests notice it. Without
//! `--cfg flash_faults` there is nothing of it.

#[cfg(flash_faults)]
mod bugs;

#[cfg(any(flash_faults, test))]
pub(super) mod mutations;

#[cfg(flash_faults)]
pub use bugs::planted;

#[cfg(flash_faults)]
pub(super) use bugs::{is_planted, mutated};

#[cfg(not(flash_faults))]
mod none {
    use crate::store::Store;

    /// The store, or one with the bug that a test has planted.
    #[must_use]
    pub fn planted(store: Store) -> Store {
        store
    }

    /// Whether this bug of the journal is planted.
    pub(in crate::store) const fn is_planted(_bug: &str) -> bool {
        false
    }

    /// The function library, or one with the bug that a test has planted.
    pub(in crate::store) fn mutated(text: &str) -> String {
        text.to_owned()
    }
}

#[cfg(not(flash_faults))]
pub use none::planted;
#[cfg(not(flash_faults))]
pub(super) use none::{is_planted, mutated};
