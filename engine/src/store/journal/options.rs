//! How a journal is kept.

use std::time::Duration;

/// How a journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct JournalOptions {
    /// Outbox entries are kept at least this long.
    pub outbox_keep: Duration,
    /// A segment of this size is followed by a new one.
    pub segment_bytes: u64,
    /// A snapshot is made when as much was written since the last one, and at least as much as that
    /// one has bytes.
    pub snapshot_bytes: u64,
}

impl Default for JournalOptions {
    /// Outbox entries are kept for 7 days, in segments of 64 MiB; a snapshot is made after 64 MiB.
    fn default() -> Self {
        let outbox_keep = Duration::from_secs(7 * 24 * 3_600);
        Self { outbox_keep, segment_bytes: 64 << 20, snapshot_bytes: 64 << 20 }
    }
}
