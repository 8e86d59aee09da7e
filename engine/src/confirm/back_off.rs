//! How long a confirmer waits before it asks a store again that did not answer.

use std::time::Duration;

const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// Returns a pause that doubles with each failure, up to a cap; half of it is random, so that sales
/// do not try again in step.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MOST);
    doubled.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_tries_grows_and_stays_under_its_cap() {
        for failures in 1..100 {
            let wait = back_off(failures);
            assert!(wait >= RETRY_FIRST / 2 && wait <= RETRY_MOST, "{wait:?}");
        }
        assert!(back_off(20) >= RETRY_MOST / 2);
    }
}
