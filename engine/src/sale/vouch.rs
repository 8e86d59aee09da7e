//! Vouch: until when clicks may be accepted, because the store takes the orders of this process.
//!
//! A process that was delayed beyond that instant must not promise anything when it goes on, and
//! when orders pile up, the lower tiers are shed first.

use crate::rules::time::Millis;
use crate::sync::{AtomicU64, Ordering};
use membership::Tier;
use std::time::Duration;

/// One word: bits 0..48 until when diamond is vouched for, in milliseconds; 48..64 how much sooner that
/// ends for each lower tier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vouch(u64);

const UNTIL_BITS: u32 = 48;

impl Vouch {
    /// Vouches for every tier, for ever.
    pub const ALWAYS: Self = Self(Millis::MAX.0);

    /// Vouches for diamond until this instant, and for each lower tier this much less long than for
    /// the next higher one; at most 65,535 ms less.
    #[must_use]
    pub fn new(until: Millis, sooner_by_tier: Duration) -> Self {
        let sooner_ms = u64::try_from(sooner_by_tier.as_millis()).unwrap_or(u64::MAX).min(0xffff);
        Self(sooner_ms << UNTIL_BITS | until.0.min(Millis::MAX.0))
    }

    /// Whether a click of this tier may be accepted now.
    #[inline]
    #[must_use]
    pub fn covers(self, tier: Tier, now: Millis) -> bool {
        let sooner_ms = (self.0 >> UNTIL_BITS) * (Tier::Diamond as u64 - tier as u64);
        now.0 + sooner_ms <= self.0 & Millis::MAX.0
    }
}

impl std::fmt::Debug for Vouch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (until, sooner) = (self.0 & Millis::MAX.0, self.0 >> UNTIL_BITS);
        write!(f, "until {until}, {sooner} ms sooner for each lower tier")
    }
}

/// The confirmer's latest vouch, which every click reads.
#[derive(Debug)]
pub(super) struct Vouched(AtomicU64);

impl Vouched {
    pub(super) fn new(vouch: Vouch) -> Self {
        Self(AtomicU64::new(vouch.0))
    }

    #[inline]
    pub(super) fn get(&self) -> Vouch {
        // Ordering: Relaxed, an instant publishes nothing but itself.
        Vouch(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, vouch: Vouch) {
        // Ordering: Relaxed, as in `get`.
        self.0.store(vouch.0, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_lower_tier_is_vouched_for_less_long_to_the_millisecond() {
        let vouch = Vouch::new(Millis(1_000), Duration::from_millis(100));
        for (tier, until) in Tier::ALL.into_iter().zip([600, 700, 800, 900, 1_000]) {
            assert!(vouch.covers(tier, Millis(until)), "{tier}");
            assert!(!vouch.covers(tier, Millis(until + 1)), "{tier}");
        }
        assert!(Vouch::ALWAYS.covers(Tier::Regular, Millis::MAX));
        let longest = Vouch::new(Millis::MAX, Duration::MAX);
        let last = Millis::MAX.0 - 4 * 65_535;
        assert!(longest.covers(Tier::Regular, Millis(last)));
        assert!(!longest.covers(Tier::Regular, Millis(last + 1)));
    }
}
