//! Phase: where a sale stands, for the pages that watch it.

use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::sale::stock::Level;
use serde::Deserialize;

/// Where a sale stands, for the pages that watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No tier may enter yet.
    Scheduled,
    /// Some tier may buy.
    Open,
    /// The operator has paused the sale.
    Paused,
    /// No unit is free.
    SoldOut,
    /// The sale is over.
    Closed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] =
        [Self::Scheduled, Self::Open, Self::Paused, Self::SoldOut, Self::Closed];

    /// The word for the phase in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Closed => "closed",
        }
    }

    pub(crate) fn of(level: Level, terms: &Terms, closes_at: Millis, now: Millis) -> Self {
        if level.is_closed() || now >= closes_at {
            Self::Closed
        } else if level.is_paused() {
            Self::Paused
        } else if now < terms.windows.first_opens_at() {
            Self::Scheduled
        } else if level.left().0 == 0 {
            Self::SoldOut
        } else {
            Self::Open
        }
    }
}
