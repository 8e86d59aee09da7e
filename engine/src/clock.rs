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
    /// The clock of a store that nodes share, so that they agree whatever their own clocks say.
    Store(Arc<StoreClock>),
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
            Self::Store(clock) => clock.now(),
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

impl Clock {
    /// A clock of a store that nodes share. Until the store was asked it goes like this machine's.
    #[must_use]
    pub fn of_store() -> Self {
        let (machine, begun) = (Self::Wall.now(), Instant::now());
        Self::Store(Arc::new(StoreClock {
            begun,
            at_begin: AtomicU64::new(machine.0),
            was_set: AtomicU64::new(0),
        }))
    }

    /// Follows the store's clock, which said `stored` when it was asked at `asked_at`. Another clock goes as it does.
    pub fn follow(&self, stored: Millis, asked_at: Millis) {
        if let Self::Store(clock) = self {
            clock.follow(stored, asked_at);
        }
    }
}

/// The clock of a store. Between two looks at it, it goes as this machine counts time, whatever becomes of the
/// machine's date.
#[derive(Debug)]
pub struct StoreClock {
    begun: Instant,
    /// What the clock showed when `begun` was.
    at_begin: AtomicU64,
    /// 1 once the store was asked.
    was_set: AtomicU64,
}

impl StoreClock {
    fn now(&self) -> Millis {
        // Ordering: Relaxed, the time publishes nothing but itself.
        let at_begin = Millis(self.at_begin.load(Ordering::Relaxed));
        (at_begin + self.begun.elapsed()).min(Millis::MAX)
    }

    /// Of two calls that meet the later one stands. The store said `stored` at some instant since `asked_at`: this clock goes on to that if it is
    /// behind, and back by a millisecond a call if it is ahead of what it can be, so that no instant comes twice for long.
    fn follow(&self, stored: Millis, asked_at: Millis) {
        let now = self.now();
        let latest = stored + now.since(asked_at);
        // Ordering: Relaxed, as in `now`.
        let at_begin = self.at_begin.load(Ordering::Relaxed);
        // Ordering: Relaxed, it publishes nothing; the first call comes before any other.
        let is_first = self.was_set.swap(1, Ordering::Relaxed) == 0;
        let by = match () {
            () if stored > now => at_begin + (stored.0 - now.0),
            () if now <= latest => return,
            () if is_first => at_begin.saturating_sub(now.0 - latest.0),
            () => at_begin - 1,
        };
        // Ordering: Relaxed, as in `now`.
        self.at_begin.store(by, Ordering::Relaxed);
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

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    /// How far a store's clock is from this machine's, in milliseconds.
    fn ahead(clock: &Clock) -> i64 {
        let (of_store, of_machine) = (clock.now().0, Clock::Wall.now().0);
        of_store.cast_signed() - of_machine.cast_signed()
    }

    #[test]
    fn a_machine_with_another_date_takes_that_of_the_store_and_then_never_jumps_back() {
        for minutes in [-5_i64, 5] {
            let clock = Clock::of_store();
            let (asked_at, off) = (clock.now(), minutes * 60_000);
            clock.follow(Millis(asked_at.0.checked_add_signed(off).unwrap()), asked_at);
            assert!((ahead(&clock) - off).abs() < 2_000, "{minutes}");
        }
        let clock = Clock::of_store();
        let asked_at = clock.now();
        clock.follow(asked_at, asked_at);
        let before = clock.now();
        clock.follow(Millis(before.0 - 10_000), before);
        assert!(clock.now().0 + 1 >= before.0, "a clock that is ahead goes back slowly");
        clock.follow(Millis(before.0 + 10_000), before);
        assert!(clock.now().0 >= before.0 + 10_000, "one that is behind goes on at once");
    }

    #[test]
    fn an_answer_that_took_long_sets_no_clock_ahead_of_the_store() {
        let clock = Clock::of_store();
        let now = clock.now();
        clock.follow(now, now);
        // The store may have said this at any instant of the last second.
        clock.follow(now, Millis(now.0 - 1_000));
        assert!(ahead(&clock) < 500);
    }
}
