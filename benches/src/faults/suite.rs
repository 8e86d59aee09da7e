//! Suite: what a scenario is told, and what it tells.

use super::views::Views;
use std::path::PathBuf;
use std::time::Duration;

/// What every scenario is told.
#[derive(Debug, Clone)]
pub struct Suite {
    /// `flashlane` as users have it.
    pub binary: PathBuf,
    /// `flashlane` built with `--cfg flash_faults`: it can end at named points.
    pub armed: PathBuf,
    /// Every fault as often as the README's table says, and not only a few times.
    pub is_long: bool,
}

impl Suite {
    /// How often a fault is made.
    #[must_use]
    pub const fn times(&self, short: u64, long: u64) -> u64 {
        if self.is_long { long } else { short }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How often the fault was made.
    pub times: u64,
    /// What became of the orders.
    pub views: Views,
    /// The longest from the end of the fault until a new order was confirmed.
    pub recovery: Duration,
}
