//! Units: how many pieces of a sale's item.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of pieces.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Units(pub u32);

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Units that a member wants of a sale, and the most that they may hold there.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Units more.
    pub units: Units,
    /// The most that the member may hold, these included.
    pub limit: Units,
}
