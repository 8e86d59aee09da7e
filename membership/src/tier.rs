//! The five tiers, from the lowest to the highest.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

/// A member's standing; a later variant is a higher tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Every registered member.
    Regular,
    /// Second tier.
    Silver,
    /// Third tier.
    Gold,
    /// Fourth tier.
    Platinum,
    /// The highest tier.
    Diamond,
}

/// A word that names no tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tier is one of regular, silver, gold, platinum, diamond")]
pub struct UnknownTier;

impl Tier {
    /// All tiers, lowest first.
    pub const ALL: [Self; 5] =
        [Self::Regular, Self::Silver, Self::Gold, Self::Platinum, Self::Diamond];

    /// The tier's word, as it stands in tokens, JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Silver => "silver",
            Self::Gold => "gold",
            Self::Platinum => "platinum",
            Self::Diamond => "diamond",
        }
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(word: &str) -> Result<Self, UnknownTier> {
        let named = Self::ALL.into_iter().find(|tier| tier.as_str() == word);
        named.ok_or(UnknownTier)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One value for each tier, indexed by the tier itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerTier<T>(pub [T; 5]);

impl<T> PerTier<T> {
    /// Tier and value, lowest tier first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Tier, &T)> {
        Tier::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Tier> for PerTier<T> {
    type Output = T;

    #[inline]
    fn index(&self, tier: Tier) -> &T {
        &self.0[tier as usize]
    }
}

impl<T> IndexMut<Tier> for PerTier<T> {
    #[inline]
    fn index_mut(&mut self, tier: Tier) -> &mut T {
        &mut self.0[tier as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_rise_and_read_back_from_their_words() {
        assert!(Tier::ALL.is_sorted());
        for tier in Tier::ALL {
            assert_eq!(tier.as_str().parse(), Ok(tier));
        }
        assert_eq!("Gold".parse::<Tier>(), Err(UnknownTier));
    }
}
