//! Timing: how long something took, counted into buckets on stripes, so that counting makes no thread
//! wait for another.

use crate::sync::{AtomicU64, CachePadded, Ordering, STRIPES, stripe};
use std::time::Duration;

/// Upper bounds of buckets, in microseconds, in rising order; what took longer than the last one is in
/// a bucket of its own.
pub type BoundsUs = &'static [u64];

/// Bounds for what is judged in memory: 1 us to 10 ms.
pub const IN_MEMORY: BoundsUs = &[1, 2, 5, 10, 20, 50, 100, 1_000, 10_000];
/// Bounds for what may wait for a disk or a network: 100 us to 10 s.
pub const OUTSIDE: BoundsUs = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

#[derive(Debug)]
struct Stripe {
    /// One for each bound, and one for what took longer.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

/// Counts durations of one kind.
#[derive(Debug)]
pub struct Timing {
    bounds: BoundsUs,
    stripes: Box<[CachePadded<Stripe>]>,
}

/// What a [`Timing`] has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Upper bounds in microseconds, and how many took at most as long.
    pub buckets: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they took together, in nanoseconds.
    pub sum_ns: u64,
}

impl Timing {
    /// Counts into buckets with these bounds.
    #[must_use]
    pub fn new(bounds: BoundsUs) -> Self {
        let stripe = || Stripe {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
        };
        Self { bounds, stripes: (0..STRIPES).map(|_| CachePadded::new(stripe())).collect() }
    }

    /// Counts something that took so long.
    pub fn record(&self, took: Duration) {
        self.record_many(1, took);
    }

    /// Counts so many things that took so long each.
    pub fn record_many(&self, many: u64, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let us = ns.div_ceil(1_000);
        let bucket = self.bounds.partition_point(|bound| *bound < us);
        let stripe = &self.stripes[stripe()];
        // Ordering: Relaxed, counts that publish nothing but themselves.
        stripe.counts[bucket].fetch_add(many, Ordering::Relaxed);
        stripe.sum_ns.fetch_add(ns.saturating_mul(many), Ordering::Relaxed);
    }

    /// What was counted until now.
    #[must_use]
    pub fn read(&self) -> Timed {
        let (mut counts, mut sum_ns) = (vec![0; self.bounds.len() + 1], 0);
        for stripe in &self.stripes {
            for (total, count) in counts.iter_mut().zip(&stripe.counts) {
                // Ordering: Relaxed, as in `record`.
                *total += count.load(Ordering::Relaxed);
            }
            // Ordering: Relaxed, as in `record`.
            sum_ns += stripe.sum_ns.load(Ordering::Relaxed);
        }
        let mut count = 0;
        let buckets = self.bounds.iter().zip(&counts).map(|(bound, in_bucket)| {
            count += in_bucket;
            (*bound, count)
        });
        Timed { buckets: buckets.collect(), count: counts.iter().sum(), sum_ns }
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_has_room_for_it() {
        let timing = Timing::new(&[10, 100]);
        for us in [0, 10, 11, 100, 101, 5_000] {
            timing.record(Duration::from_micros(us));
        }
        timing.record(Duration::from_nanos(10_001));
        timing.record_many(3, Duration::from_nanos(20));
        let read = timing.read();
        assert_eq!(read.buckets, [(10, 5), (100, 8)]);
        assert_eq!((read.count, read.sum_ns), (10, 5_232_061));
    }
}
