//! Meter: what was accepted, refused and settled, and how long confirmation took.
//!
//! Refusals are counted on stripes, so that counting makes no thread wait for another; the rest is
//! counted by the confirmer.

use crate::order::{Order, Status};
use crate::refusal::Refusal;
use crate::stock::Units;
use crate::sync::{AtomicU64, CachePadded, Ordering, STRIPES, stripe};
use hdrhistogram::Histogram;
use membership::PerTier;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Orders and the units in them, in one word: bits 0..32 units, 32..64 orders.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    #[inline]
    fn add(&self, units: Units) {
        // Ordering: Relaxed, a count publishes nothing but itself.
        self.0.fetch_add(1 << 32 | u64::from(units.0), Ordering::Relaxed);
    }

    fn read(&self) -> Tally {
        // Ordering: Relaxed, as in `add`.
        let word = self.0.load(Ordering::Relaxed);
        Tally { orders: word >> 32, units: word & u64::from(u32::MAX) }
    }
}

/// How many orders, and how many units in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Orders.
    pub orders: u64,
    /// Units in them.
    pub units: u64,
}

impl Tally {
    /// One more order.
    pub fn add(&mut self, units: Units) {
        self.orders += 1;
        self.units += u64::from(units.0);
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.orders += more.orders;
        self.units += more.units;
    }
}

#[derive(Debug, Default)]
struct Stripe {
    refused: [AtomicU64; Refusal::KINDS],
}

/// The counters of one sale, since this process opened it.
#[derive(Debug)]
pub struct Meter {
    stripes: Box<[CachePadded<Stripe>]>,
    accepted: [Count; 5],
    confirmed: [Count; 5],
    released: [Count; 5],
    /// From the click to the store's word, in milliseconds.
    confirm_ms: Mutex<Histogram<u64>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 3_600_000, 2);
        Self {
            stripes: (0..STRIPES).map(|_| CachePadded::new(Stripe::default())).collect(),
            accepted: Default::default(),
            confirmed: Default::default(),
            released: Default::default(),
            confirm_ms: Mutex::new(histogram.expect("the bounds are in range")),
        }
    }

    /// Counts an accepted click, when the confirmer takes its order in: before it is settled, and
    /// at no cost to the click.
    pub(crate) fn accept(&self, order: &Order) {
        self.accepted[order.tier as usize].add(order.units);
    }

    /// Counts a refused click. `Sale::buy` leaves that to its caller: a refusal writes nothing.
    #[inline]
    pub fn refuse(&self, refusal: &Refusal) {
        // Ordering: Relaxed, a count publishes nothing but itself.
        self.stripes[stripe()].refused[refusal.kind()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what the store said of an order.
    pub(crate) fn settle(&self, order: &Order, status: Status) {
        match status {
            Status::Confirmed => self.confirmed[order.tier as usize].add(order.units),
            Status::Released => self.released[order.tier as usize].add(order.units),
            Status::Reserved => unreachable!("an order is not settled by being reserved"),
        }
    }

    /// Records how long orders of one batch waited for the store's word.
    pub fn confirmed_after(&self, waits: impl Iterator<Item = Duration>) {
        let mut histogram = self.confirm_ms.lock();
        for waited in waits {
            let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX).max(1);
            histogram.saturating_record(waited_ms);
        }
    }

    /// Accepted orders by tier, but for those still on the queue.
    #[must_use]
    pub fn accepted(&self) -> PerTier<Tally> {
        PerTier(self.accepted.each_ref().map(Count::read))
    }

    /// Confirmed orders by tier.
    #[must_use]
    pub fn confirmed(&self) -> PerTier<Tally> {
        PerTier(self.confirmed.each_ref().map(Count::read))
    }

    /// Released orders by tier.
    #[must_use]
    pub fn released(&self) -> PerTier<Tally> {
        PerTier(self.released.each_ref().map(Count::read))
    }

    /// Refused clicks by kind, in the order of [`Refusal::CODES`].
    #[must_use]
    pub fn refused(&self) -> [u64; Refusal::KINDS] {
        let mut sum = [0; Refusal::KINDS];
        for stripe in &self.stripes {
            for (total, count) in sum.iter_mut().zip(&stripe.refused) {
                // Ordering: Relaxed, as in `refuse`.
                *total += count.load(Ordering::Relaxed);
            }
        }
        sum
    }

    /// Click to verdict in milliseconds: how many, and the values at the given quantiles (0 to 1).
    #[must_use]
    pub fn confirm_ms<const N: usize>(&self, quantiles: [f64; N]) -> (u64, [u64; N]) {
        let histogram = self.confirm_ms.lock();
        (histogram.len(), quantiles.map(|q| histogram.value_at_quantile(q)))
    }
}
