//! Patience: how long anything in a site may take, and waiting for a condition within it.

use anyhow::ensure;
use std::time::{Duration, Instant};

/// Nothing in a site takes longer than this, or it is broken. Where a bug is planted, and breaking is
/// what is wanted, `FLASHLANE_PATIENCE_S` makes that shorter.
#[must_use]
pub fn patience() -> Duration {
    let told = std::env::var("FLASHLANE_PATIENCE_S").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(told.unwrap_or(30))
}

/// What `--confirm-within` is given: short, so that a scenario sees both sides of it.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(3);

/// Waits for a condition.
///
/// # Errors
/// When it does not come to pass in time.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !holds() {
        let patience = patience();
        ensure!(start.elapsed() < patience, "in {patience:?} it did not come to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
