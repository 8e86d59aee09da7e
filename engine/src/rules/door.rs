//! Door: what the terms say of one tier, at hand for the first checks of a click.

use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::Tier;

/// What the terms say of one tier, at hand for the first checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    pub(crate) units_max: Units,
    opens_at: Millis,
    /// From opening to close, in milliseconds; 0 for a tier that is not admitted.
    open_for_ms: u64,
}

impl Door {
    pub(crate) fn new(terms: &Terms, tier: Tier) -> Self {
        let opens_at = terms.windows.opens_at(tier);
        let open_for_ms = opens_at.map_or(0, |at| terms.windows.closes_at().0 - at.0);
        let opens_at = opens_at.unwrap_or_default();
        Self { units_max: terms.click_units_max(tier), opens_at, open_for_ms }
    }

    #[inline]
    pub(crate) fn takes(self, units: Units) -> bool {
        // One comparison for both ends: zero wraps around to the largest.
        units.0.wrapping_sub(1) < self.units_max.0
    }

    #[inline]
    pub(crate) fn is_open(self, now: Millis) -> bool {
        // Likewise: before the opening, the difference wraps around.
        now.0.wrapping_sub(self.opens_at.0) < self.open_for_ms
    }
}
