//! When each tier may enter a sale, and when the sale is over. Pure.

use crate::rules::refusal::Refusal;
use crate::rules::time::Millis;
use membership::{PerTier, Tier};
use serde::{Deserialize, Serialize};

/// One opening instant for each admitted tier; all windows end when the sale closes.
///
/// A higher tier never opens later than a lower one, and every window opens before the close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// `None`: the tier may not buy.
    opens_at: PerTier<Option<Millis>>,
    closes_at: Millis,
}

/// The window of this tier was open at the instant of a click. Only [`Windows::enter`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Entered {
    tier: Tier,
}

impl Entered {
    /// The tier that entered; it has to enter anew for another click.
    #[inline]
    #[must_use]
    pub fn into_tier(self) -> Tier {
        self.tier
    }
}

/// Why windows do not make a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWindows {
    /// No tier has a window, so no member could buy.
    #[error("at least one tier needs a window")]
    NoTier,
    /// A higher tier would wait longer than a lower one.
    #[error("{0} would open later than the lower tier {1}")]
    HigherOpensLater(Tier, Tier),
    /// The window would never open.
    #[error("the window of {0} opens at or after closes_at")]
    OpensAfterClose(Tier),
}

impl Windows {
    /// Checks the windows against each other and against the close.
    ///
    /// # Errors
    /// [`BadWindows`] names the first tier that does not fit, from the lowest up.
    pub fn new(opens_at: PerTier<Option<Millis>>, closes_at: Millis) -> Result<Self, BadWindows> {
        let mut lower: Option<(Tier, Millis)> = None;
        for (tier, opens) in opens_at.iter() {
            match (*opens, lower) {
                // A tier without a window does not buy; a sale may be for one tier alone.
                (None, _) => {}
                (Some(opens), Some((below, floor))) if opens > floor => {
                    return Err(BadWindows::HigherOpensLater(tier, below));
                }
                (Some(opens), _) if opens >= closes_at => {
                    return Err(BadWindows::OpensAfterClose(tier));
                }
                (Some(opens), _) => lower = Some((tier, opens)),
            }
        }
        match lower {
            None => Err(BadWindows::NoTier),
            Some(_) => Ok(Self { opens_at, closes_at }),
        }
    }

    /// The same openings, and this close.
    #[must_use]
    pub fn closing_at(&self, closes_at: Millis) -> Self {
        Self { closes_at, ..self.clone() }
    }

    /// Lets the tier enter from its opening until the close: the opening's very millisecond is
    /// included, the closing one is not.
    ///
    /// # Errors
    /// The first that holds of [`Refusal::Closed`], [`Refusal::TierNotAdmitted`] and
    /// [`Refusal::NotOpen`].
    #[inline]
    pub fn enter(&self, tier: Tier, now: Millis) -> Result<Entered, Refusal> {
        self.enter_until(self.closes_at, tier, now)
    }

    /// As [`Windows::enter`], with another close.
    ///
    /// # Errors
    /// As for [`Windows::enter`].
    #[inline]
    pub fn enter_until(
        &self,
        closes_at: Millis,
        tier: Tier,
        now: Millis,
    ) -> Result<Entered, Refusal> {
        match self.opens_at[tier] {
            _ if now >= closes_at => Err(Refusal::Closed),
            None => Err(Refusal::TierNotAdmitted),
            Some(opens_at) if now < opens_at => Err(Refusal::NotOpen { opens_at }),
            Some(_) => Ok(Entered { tier }),
        }
    }

    /// Whether the sale is over at `now`: from the closing instant on, that millisecond included.
    #[inline]
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        now >= self.closes_at
    }

    /// When the tier may enter; `None` if it may not.
    #[must_use]
    pub fn opens_at(&self, tier: Tier) -> Option<Millis> {
        self.opens_at[tier]
    }

    /// When the first tier may enter.
    #[must_use]
    pub fn first_opens_at(&self) -> Millis {
        let first = self.opens_at.0.iter().flatten().min();
        *first.expect("Windows::new admits at least one tier")
    }

    /// When the last tier may enter.
    #[must_use]
    pub fn last_opens_at(&self) -> Millis {
        let last = self.opens_at.0.iter().flatten().max();
        *last.expect("Windows::new admits at least one tier")
    }

    /// When the sale is over.
    #[must_use]
    pub fn closes_at(&self) -> Millis {
        self.closes_at
    }
}
