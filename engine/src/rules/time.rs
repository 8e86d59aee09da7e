//! Time: an instant as it is kept and compared. `clock.rs` says what time it is.

use serde::{Deserialize, Serialize};
use std::ops::Add;
use std::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, below 2^48 (the year 10889).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// The last instant that fits the words in which orders are kept.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Millis {
    type Output = Self;

    fn add(self, more: Duration) -> Self {
        let more_ms = u64::try_from(more.as_millis()).unwrap_or(Self::MAX.0);
        Self(self.0.saturating_add(more_ms).min(Self::MAX.0))
    }
}
