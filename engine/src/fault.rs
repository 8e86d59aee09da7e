//! Points at which a test ends this process, and bugs that a test plants to see that the others
//! notice. All of it is compiled only under `--cfg flash_faults`; otherwise nothing is left of it.

#[cfg(flash_faults)]
mod armed;

#[cfg(flash_faults)]
pub use armed::{crash_point, planted};

#[cfg(flash_faults)]
pub(crate) use armed::mutated;

#[cfg(not(flash_faults))]
mod disarmed {
    use crate::store::Store;
    use std::sync::Arc;

    /// Ends the process here if a test wants it to.
    #[inline]
    pub const fn crash_point(_name: &str) {}

    /// The store, or one with the bug that a test has planted.
    #[must_use]
    pub fn planted(store: Arc<dyn Store>) -> Arc<dyn Store> {
        store
    }

    /// The function library, or one with the bug that a test has planted.
    pub(crate) fn mutated(text: &str) -> String {
        text.to_owned()
    }
}

#[cfg(not(flash_faults))]
pub(crate) use disarmed::mutated;
#[cfg(not(flash_faults))]
pub use disarmed::{crash_point, planted};
