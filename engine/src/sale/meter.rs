//! Meter: what was accepted, refused and settled, and how long confirmation took.
//!
//! Refusals are counted on stripes, so that counting makes no thread wait for another; the rest is
//! counted by the confirmer.

use crate::rules::order::{Order, Status};
use crate::rules::refusal::Refusal;
use crate::rules::tally::{Tallies, Tally};
use crate::rules::units::Units;
use crate::sync::{AtomicU64, CachePadded, Ordering, STRIPES, stripe};
use crate::timing::{OUTSIDE, Timing};
use membership::{PerTier, Tier};

/// Orders and the units in them. Only the confirmer's task counts, so the two words need not move
/// together: a reader may find them one order apart.
#[derive(Debug, Default)]
struct Count {
    orders: AtomicU64,
    units: AtomicU64,
}

impl Count {
    #[inline]
    fn add(&self, units: Units) {
        // Ordering: Relaxed, counts publish nothing but themselves.
        self.orders.fetch_add(1, Ordering::Relaxed);
        self.units.fetch_add(u64::from(units.0), Ordering::Relaxed);
    }

    /// Counts an order out again.
    fn remove(&self, units: Units) {
        // Ordering: Relaxed, as in `add`.
        self.orders.fetch_sub(1, Ordering::Relaxed);
        self.units.fetch_sub(u64::from(units.0), Ordering::Relaxed);
    }

    fn of(tally: Tally) -> Self {
        Self { orders: AtomicU64::new(tally.orders), units: AtomicU64::new(tally.units) }
    }

    fn read(&self) -> Tally {
        // Ordering: Relaxed, as in `add`.
        let (orders, units) =
            (self.orders.load(Ordering::Relaxed), self.units.load(Ordering::Relaxed));
        Tally { orders, units }
    }
}

#[derive(Debug, Default)]
struct Stripe {
    /// By tier and kind.
    refused: [[AtomicU64; Refusal::KINDS]; 5],
}

/// The counters of one sale: of orders since it was made, of refusals since this process opened it.
#[derive(Debug)]
pub struct Meter {
    stripes: Box<[CachePadded<Stripe>]>,
    accepted: [Count; 5],
    /// By state, in the order of [`Status::STORED`], and by tier.
    stored: [[Count; 5]; Status::STORED.len()],
    /// From the click to the verdict.
    confirming: Timing,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// A meter with every counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::resume(&Tallies::default())
    }

    /// A meter that goes on from what former processes stored.
    #[must_use]
    pub fn resume(stored: &Tallies) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| CachePadded::new(Stripe::default())).collect(),
            accepted: stored.all().0.map(Count::of),
            stored: stored.0.map(|tallies| tallies.0.map(Count::of)),
            confirming: Timing::new(OUTSIDE),
        }
    }

    /// Counts an accepted click, when the confirmer takes its order in: before it is settled, and
    /// at no cost to the click.
    pub(crate) fn accept(&self, order: &Order) {
        self.accepted[order.tier as usize].add(order.units);
    }

    /// Counts a refused click of a member of this tier. The caller of `Sale::buy` does this, so that `buy` itself writes
    /// nothing when it refuses.
    #[inline]
    pub fn refuse(&self, tier: Tier, refusal: &Refusal) {
        self.refuse_many(tier, refusal, 1);
    }

    /// As [`Meter::refuse`], for so many clicks.
    #[inline]
    pub fn refuse_many(&self, tier: Tier, refusal: &Refusal, clicks: u64) {
        let count = &self.stripes[stripe()].refused[tier as usize][refusal.kind()];
        // Ordering: Relaxed, a count publishes nothing but itself.
        count.fetch_add(clicks, Ordering::Relaxed);
    }

    /// Counts a step in an order's life. The order is counted out of its old state first, so that
    /// no order is ever counted twice; an order in between counts as reserved.
    pub(crate) fn count_step(&self, tier: Tier, units: Units, was: Status, is: Status) {
        if was != Status::Reserved {
            self.stored[Tallies::index(was)][tier as usize].remove(units);
        }
        self.stored[Tallies::index(is)][tier as usize].add(units);
    }

    /// Accepted orders by tier, without those that are still on the queue.
    #[must_use]
    pub fn accepted(&self) -> PerTier<Tally> {
        PerTier(self.accepted.each_ref().map(Count::read))
    }

    /// Stored orders by state and tier.
    #[must_use]
    pub fn stored(&self) -> Tallies {
        Tallies(self.stored.each_ref().map(|tiers| PerTier(tiers.each_ref().map(Count::read))))
    }

    /// Units of the orders that are in this state now.
    ///
    /// # Panics
    /// For `Reserved`: such orders are not stored.
    #[must_use]
    pub fn units(&self, status: Status) -> u64 {
        let tiers = &self.stored[Tallies::index(status)];
        // Ordering: Relaxed, as in `add`.
        tiers.iter().map(|count| count.units.load(Ordering::Relaxed)).sum()
    }

    /// Refused clicks by tier, and of each by kind, in the order of [`Refusal::CODES`].
    #[must_use]
    pub fn refused(&self) -> PerTier<[u64; Refusal::KINDS]> {
        let mut sums = [[0; Refusal::KINDS]; 5];
        for stripe in &self.stripes {
            for (sum, counts) in sums.iter_mut().zip(&stripe.refused) {
                for (total, count) in sum.iter_mut().zip(counts) {
                    // Ordering: Relaxed, as in `refuse`.
                    *total += count.load(Ordering::Relaxed);
                }
            }
        }
        PerTier(sums)
    }

    /// Refused clicks of all tiers by kind, in the order of [`Refusal::CODES`].
    #[must_use]
    pub fn refused_in_all(&self) -> [u64; Refusal::KINDS] {
        let of = self.refused().0;
        std::array::from_fn(|kind| of.iter().map(|kinds| kinds[kind]).sum())
    }

    /// How long orders waited, from the click to the verdict.
    #[must_use]
    pub fn confirming(&self) -> &Timing {
        &self.confirming
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    #[test]
    fn orders_and_units_do_not_overflow_into_each_other() {
        let mut tallies = Tallies::default();
        let most = u64::from(u32::MAX);
        tallies.of_mut(Status::Confirmed)[Tier::Gold] = Tally { orders: 7, units: most };
        let meter = Meter::resume(&tallies);
        meter.count_step(Tier::Gold, Units(65_535), Status::Reserved, Status::Confirmed);
        let more = Tally { orders: 8, units: most + 65_535 };
        assert_eq!(meter.stored().of(Status::Confirmed)[Tier::Gold], more);
        meter.count_step(Tier::Gold, Units(65_535), Status::Confirmed, Status::Paid);
        let back = Tally { orders: 7, units: most };
        assert_eq!(meter.stored().of(Status::Confirmed)[Tier::Gold], back);
    }
}
