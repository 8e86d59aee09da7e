//! The time, and the only place that reads it: from the machine's clock, or from one moved by hand.

use crate::rules::time::Millis;
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's UTC clock. Keep it synchronised, because windows open by it.
    Wall,
    /// A clock that stands still until it is moved.
    Hand(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::set`] moves it.
    #[must_use]
    pub fn by_hand(at: Millis) -> Self {
        Self::Hand(Arc::new(AtomicU64::new(at.0)))
    }

    /// The instant at which the clock stands.
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

    /// Moves a [`Clock::Hand`] to this instant; the machine's clock cannot be moved.
    pub fn set(&self, to: Millis) {
        if let Self::Hand(at) = self {
            // Ordering: Relaxed, as in `now`.
            at.store(to.0, Ordering::Relaxed);
        }
    }
}

/// Tells how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to count.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
