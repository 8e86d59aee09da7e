//! Door: what the terms say of one tier, at hand for the first checks of a click.

use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::Tier;

/// What the terms say of one tier, at hand for the first checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    pub(crate) units_max: Units,
    /// The last instant there is for a tier that is not admitted.
    opens_at: Millis,
}

impl Door {
    pub(crate) fn new(terms: &Terms, tier: Tier) -> Self {
        let opens_at = terms.windows.opens_at(tier).unwrap_or(Millis(u64::MAX));
        Self { units_max: terms.click_units_max(tier), opens_at }
    }

    #[inline]
    pub(crate) fn takes(self, units: Units) -> bool {
        // One comparison checks both ends: zero units wrap around to the largest number.
        units.0.wrapping_sub(1) < self.units_max.0
    }

    #[inline]
    pub(crate) fn is_open(self, now: Millis, closes_at: Millis) -> bool {
        (now >= self.opens_at) & (now < closes_at)
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::cents::Cents;
    use crate::rules::member_terms::MemberTerms;
    use crate::rules::units::Units;
    use crate::rules::window::Windows;
    use membership::PerTier;

    /// Every choice of openings from none, 0, 1, 3 and the last instants.
    fn all_openings() -> impl Iterator<Item = PerTier<Option<Millis>>> {
        let last = Millis::MAX.0;
        let choices = [None, Some(0), Some(1), Some(3), Some(last - 1)].map(|at| at.map(Millis));
        (0..5_usize.pow(5)).map(move |mut code| {
            PerTier([(); 5].map(|()| {
                let choice = choices[code % 5];
                code /= 5;
                choice
            }))
        })
    }

    fn terms(windows: Windows) -> Terms {
        Terms {
            id: "drop".parse().expect("a sale id"),
            title: "A lamp".into(),
            price: Cents(1),
            currency: "CNY".into(),
            stock: Units(10),
            windows,
            limits: PerTier([1, 2, 3, 65_534, 65_535].map(Units)),
            pay_within_s: 1,
            adults_only: false,
            image_url: None,
            members: MemberTerms::default(),
        }
    }

    #[test]
    fn a_door_is_what_windows_and_limits_say_for_every_tier_and_instant() {
        let last = Millis::MAX.0;
        let instants = [0, 1, 2, 3, 4, 5, last - 2, last - 1, last].map(Millis);
        let asked = [0, 1, 2, 3, 4, 65_534, 65_535, 65_536, u32::MAX].map(Units);
        let mut seen = 0;
        for opens_at in all_openings() {
            for closes_at in [1, 2, 4, last].map(Millis) {
                let Ok(windows) = Windows::new(opens_at, closes_at) else { continue };
                let terms = terms(windows);
                for tier in Tier::ALL {
                    let door = Door::new(&terms, tier);
                    let windows = &terms.windows;
                    for now in instants {
                        let is_open = windows.enter(tier, now).is_ok();
                        assert_eq!(
                            door.is_open(now, closes_at),
                            is_open,
                            "{tier} at {now:?}: {windows:?}"
                        );
                    }
                    // A tier without a window hears that, whatever it asks for.
                    let most = match opens_at[tier] {
                        Some(_) => terms.limits[tier],
                        None => Units(65_535),
                    };
                    for units in asked {
                        let takes = units >= Units(1) && units <= most;
                        assert_eq!(door.takes(units), takes, "{units} of {most} for {tier}");
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 500, "only {seen} doors were tried");
    }
}
