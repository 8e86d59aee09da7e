//! Patience: how long anything in a site may take, and waiting for a condition within it.

use anyhow::ensure;
use std::time::{Duration, Instant};

/// The longest that anything in a site may take; a site that takes longer is broken.
/// `FLASHLANE_PATIENCE_S` makes it shorter for runs with a planted bug, which are meant to break.
#[must_use]
pub fn patience() -> Duration {
    let told = std::env::var("FLASHLANE_PATIENCE_S").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(told.unwrap_or(30))
}

/// The value of `--confirm-within`: short, so that a scenario sees the time within it and the time
/// after it.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(3);

/// Waits until a condition holds.
///
/// # Errors
/// When the condition does not hold in time.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !holds() {
        let patience = patience();
        ensure!(start.elapsed() < patience, "in {patience:?} it did not come to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
