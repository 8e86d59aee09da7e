//! Counts: how often this process did something as a node, since it started.

use crate::sync::{AtomicU64, Ordering};

/// How often this process did something as a node, since it started.
#[derive(Debug)]
pub struct NodeCounts {
    taken_over: AtomicU64,
    handed_over: AtomicU64,
}

impl Default for NodeCounts {
    fn default() -> Self {
        Self { taken_over: AtomicU64::new(0), handed_over: AtomicU64::new(0) }
    }
}

impl NodeCounts {
    pub(super) fn note_taken_over(&self) {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.taken_over.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_handed_over(&self) {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.handed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// Sales that this node took over, also those that it made.
    #[must_use]
    pub fn taken_over(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.taken_over.load(Ordering::Relaxed)
    }

    /// Sales that this node left to another one.
    #[must_use]
    pub fn handed_over(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.handed_over.load(Ordering::Relaxed)
    }
}
