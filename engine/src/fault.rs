//! Points at which a test ends this process, and bugs that a test plants, to see that the tests
//! notice. All of it is compiled only under `--cfg flash_faults`; otherwise nothing is left of it.

use std::borrow::Cow;

/// A bug that a test may plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A batch without an answer is given up, and its units sold again.
    ReleaseOnUnknown,
    /// A batch without an answer counts as confirmed.
    ConfirmOnUnknown,
    /// Orders are confirmed to members before the store has them.
    AckBeforeCommit,
    /// A batch that was refused is dropped.
    DropOnRefusal,
    /// A fenced process goes on selling.
    IgnoreFence,
    /// A history that goes backwards is not noticed.
    IgnoreLostHistory,
    /// An order that another verdict released gives nothing back.
    KeepReleasedUnits,
    /// What members held is not taken up when a sale is opened.
    ForgetHoldings,
}

#[cfg(not(flash_faults))]
mod armed {
    use super::{Bug, Cow};

    /// Ends the process here if a test wants it to.
    #[inline]
    pub const fn crash_point(_name: &str) {}

    /// Whether this bug is planted.
    #[inline]
    #[must_use]
    pub const fn is_planted(_bug: Bug) -> bool {
        false
    }

    pub(crate) const fn mutated(text: &'static str) -> Cow<'static, str> {
        Cow::Borrowed(text)
    }
}

#[cfg(flash_faults)]
mod armed {
    use super::{Bug, Cow};
    use crate::sync::{AtomicU64, Ordering};
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::LazyLock;

    static BUG: LazyLock<String> =
        LazyLock::new(|| std::env::var("FLASHLANE_BUG").unwrap_or_default());
    /// `point` or `point:n`, for the n-th time that it is passed.
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

    /// Whether this bug is planted.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        *BUG == format!("{bug:?}")
    }

    /// Bugs in the function library: name, what is there, what a bug makes of it.
    const MUTATIONS: [(&str, &str, &str); 9] = [
        (
            "NoFence",
            "if sale.epoch > epoch then return {'FENCED'",
            "if false then return {'FENCED'",
        ),
        ("NoDeduplication", "if known_epoch == args[1] then", "if false then"),
        ("NoLimit", "holder.units + order.units <= holder.limit and", ""),
        ("NoStock", "and order.units <= sale.left", ""),
        ("NoOutbox", "for _, entry in ipairs(change.entries)", "for _, entry in ipairs({})"),
        ("NoSequence", "or sale.seq < seen", ""),
        ("NoHoldings", "redis.call('HSET', keys[3], unpack(holders))", ""),
        ("NoRecord", "redis.call('HSET', keys[2], unpack(change.orders))", ""),
        ("TopUpTwice", "if done_add == args[4] then", "if false then"),
    ];

    pub(crate) fn mutated(text: &'static str) -> Cow<'static, str> {
        let Some((name, from, to)) = MUTATIONS.iter().find(|(name, ..)| *name == *BUG) else {
            return Cow::Borrowed(text);
        };
        assert_eq!(text.matches(from).count(), 1, "{name} has one place to stand in");
        Cow::Owned(text.replace(from, to))
    }
}

pub(crate) use armed::mutated;
pub use armed::{crash_point, is_planted};
