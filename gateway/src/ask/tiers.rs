//! Tiers: whose word a member's tier is.

use clap::ValueEnum;
use engine::Engine;
use engine::rules::seat::Seat;
use membership::Tier;

/// Whose word a member's tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TiersFrom {
    /// The book's for those who are enrolled, and else the token's.
    Either,
    /// The token's.
    Token,
    /// The book's; who is not enrolled is regular.
    Members,
}

impl TiersFrom {
    /// Whether a click cannot be judged before the book was asked about the member.
    pub(crate) const fn needs_book(self) -> bool {
        !matches!(self, Self::Token)
    }
}

/// What a token said of a tier, and what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) from: TiersFrom,
    /// What the token said; `None` if it said nothing.
    pub(crate) tier: Option<Tier>,
}

impl Said {
    /// The seat's tier at this instant, if it is known without asking the book in the store.
    pub(crate) fn known(self, engine: &Engine, seat: Seat) -> Option<Tier> {
        let is_known = || engine.book().is_seated(seat, engine.now());
        (!self.from.needs_book() || is_known()).then(|| self.tier(engine, seat))
    }

    /// The seat's tier at this instant.
    pub(crate) fn tier(self, engine: &Engine, seat: Seat) -> Tier {
        let said = self.tier.unwrap_or(Tier::Regular);
        match self.from {
            TiersFrom::Token => said,
            TiersFrom::Either => engine.book().tier(seat).unwrap_or(said),
            TiersFrom::Members => engine.book().tier(seat).unwrap_or(Tier::Regular),
        }
    }
}
