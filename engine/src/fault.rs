//! Points at which a test ends this process. All of it is compiled only under the feature `faults`;
//! otherwise nothing is left of it.

#[cfg(feature = "faults")]
mod armed {
    use crate::sync::{AtomicU64, Ordering};
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::LazyLock;

    /// `FLASHLANE_CRASH_AT=point[:n]`: the name of the point, and at which of its calls the process
    /// ends (the first if left out).
    static CRASH_AT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let at = std::env::var("FLASHLANE_CRASH_AT").ok()?;
        let (point, nth) = at.split_once(':').unwrap_or((&at, "1"));
        Some((point.to_owned(), nth.parse().expect("FLASHLANE_CRASH_AT=point:number")))
    });

    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Ends the process here if a test wants it to: as `kill -9` does, nothing is cleaned up.
    pub fn crash_point(name: &str) {
        let Some((point, nth)) = &*CRASH_AT else { return };
        // Ordering: Relaxed, a count publishes nothing but itself.
        if point == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth {
            kill_process(getpid(), Signal::KILL).expect("a process may end itself");
        }
    }
}

#[cfg(feature = "faults")]
pub use armed::crash_point;

/// Ends the process here if a test wants it to.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn crash_point(_name: &str) {}
