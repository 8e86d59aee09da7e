//! Refusing: what a node says of the plain clicks of a sale. A plain click is for one unit, without a key, points or a
//! coupon, and not by a minor.

use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::{Engine, OpenSale};
use membership::{PerTier, Tier};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often a node says that plain clicks are refused.
pub(super) const SAID_EVERY: Duration = Duration::from_millis(50);
/// For so long it counts, by the time of the store that all nodes follow.
pub(super) const COUNTS_FOR: Duration = Duration::from_millis(100);
/// Why every plain click of a tier is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    Closed,
    SoldOut,
}

impl Why {
    pub(super) const ALL: [Self; 2] = [Self::Closed, Self::SoldOut];

    const fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Closed => Some(Self::Closed),
            Refusal::SoldOut { .. } => Some(Self::SoldOut),
            _ => None,
        }
    }

    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::Closed => Refusal::Closed,
            Self::SoldOut => Refusal::SoldOut { left: Units(0) },
        }
    }
}

/// What a node says of the plain clicks of a sale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusing {
    pub(super) at: Millis,
    /// `None`: it depends on the click.
    why: PerTier<Option<Why>>,
    pub(super) may_return: bool,
}

impl Refusing {
    /// What is to be said of a sale of this process. A sale that is there for some members only has nothing said.
    pub(super) fn of(engine: &Engine, open: &OpenSale) -> Self {
        let at = engine.now();
        let why = |tier| open.sale.refuses_plain(at, tier).as_ref().and_then(Why::of);
        let is_for_all = open.sale.terms().members.audience.is_everyone();
        let why = PerTier(Tier::ALL.map(|tier| is_for_all.then(|| why(tier)).flatten()));
        Self { at, why, may_return: open.may_return() }
    }

    /// Whether plain clicks of any tier are refused.
    pub(super) fn is_any(&self) -> bool {
        self.why.0.iter().any(Option::is_some)
    }

    /// Why a plain click is refused at this instant; of a tier that is not known, if it is the same for every tier.
    pub(super) fn why(&self, tier: Option<Tier>, now: Millis) -> Option<Why> {
        let lasts = now <= self.at + COUNTS_FOR;
        let first = self.why[Tier::Regular];
        let why = match tier {
            Some(tier) => self.why[tier],
            None => first.filter(|_| self.why.0.iter().all(|why| *why == first)),
        };
        why.filter(|_| lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_of_a_tier_holds_for_that_tier_and_for_a_tenth_of_a_second() {
        let mut why = PerTier([Some(Why::SoldOut); 5]);
        why[Tier::Regular] = None;
        let refusing = Refusing { at: Millis(1_000), why, may_return: true };
        let at = |tier, now| refusing.why(tier, Millis(now));
        assert_eq!(at(Some(Tier::Gold), 1_100), Some(Why::SoldOut));
        assert_eq!(at(Some(Tier::Gold), 1_101), None, "too old");
        assert_eq!(at(Some(Tier::Regular), 1_000), None);
        assert_eq!(at(None, 1_000), None, "it may be a regular member");
        let closed = Refusing { why: PerTier([Some(Why::Closed); 5]), ..refusing };
        assert_eq!(closed.why(None, Millis(1_000)), Some(Why::Closed));
        assert!(refusing.is_any() && !Refusing::default().is_any());
    }
}
