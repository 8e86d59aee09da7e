//! What every scenario is given, and what it returns.

use super::views::Views;
use std::path::PathBuf;
use std::time::Duration;

/// What every scenario is given.
#[derive(Debug, Clone)]
pub struct Suite {
    /// `flashlane` as users have it.
    pub binary: PathBuf,
    /// `flashlane` built with the feature `faults`: it can end at named points.
    pub armed: PathBuf,
    /// `flashlane` of an earlier version, for the scenario that has both.
    pub before: Option<PathBuf>,
    /// How many replicas must have what is confirmed, where there are some.
    pub replicas: u32,
    /// Whether every fault is made as often as the table of docs/measured.md says, and not only a few times.
    pub is_long: bool,
}

/// How often a fault is made, in the short form of the suite and in the whole.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A few times.
    pub short: u64,
    /// Often.
    pub long: u64,
}

impl Suite {
    /// How often a fault is made.
    #[must_use]
    pub const fn times(&self, Times { short, long }: Times) -> u64 {
        if self.is_long { long } else { short }
    }
}

/// What became of one scenario: one line of the table.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How often the fault was made.
    pub times: u64,
    /// What became of the orders.
    pub views: Views,
    /// The longest time from the end of the fault until a new order was confirmed.
    pub recovery: Duration,
}
