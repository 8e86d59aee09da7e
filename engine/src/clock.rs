//! The time, and the only place that reads it: the wall's, or one moved by hand.

use crate::sync::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's UTC clock. Keep it disciplined: windows open by it.
    Wall,
    /// A clock that stands still until it is moved.
    Hand(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that shows `at` until [`Clock::set`] moves it.
    #[must_use]
    pub fn by_hand(at: Millis) -> Self {
        Self::Hand(Arc::new(AtomicU64::new(at.0)))
    }

    /// The instant it shows.
    #[must_use]
    pub fn now(&self) -> Millis {
        match self {
            Self::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis(u64::try_from(since.as_millis()).unwrap_or(Millis::MAX.0).min(Millis::MAX.0))
            }
            // Ordering: Relaxed, the time publishes nothing but itself.
            Self::Hand(at) => Millis(at.load(Ordering::Relaxed)),
        }
    }

    /// Moves a clock that goes by hand; the wall's cannot be moved.
    pub fn set(&self, to: Millis) {
        if let Self::Hand(at) = self {
            // Ordering: Relaxed, as in `now`.
            at.store(to.0, Ordering::Relaxed);
        }
    }
}
