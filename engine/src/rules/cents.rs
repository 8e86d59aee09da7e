//! Cents: an amount of money.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount of money, in the currency's minor unit: the hundredth part for CNY, a whole yen for JPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cents(pub u64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
