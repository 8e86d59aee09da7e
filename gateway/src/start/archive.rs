//! Archive: what keeps sales that are over out of memory while this process serves.

use engine::Engine;
use std::convert::Infallible;
use std::time::Duration;

/// How often it is looked whether a sale is to be archived, at most; a shorter time until then is looked at as
/// often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Archives what is over, for ever.
pub(super) async fn keep(engine: &Engine, after: Duration) -> Infallible {
    let mut is_well = true;
    loop {
        tokio::time::sleep(LOOK_EVERY.min(after)).await;
        let archived = match engine.starting() {
            Some(_) => Ok(()),
            None => engine.archive_due(after).await,
        };
        match &archived {
            Err(error) if is_well => {
                tracing::warn!(%error, "a sale is not archived for now; it is tried again")
            }
            _ => {}
        }
        is_well = archived.is_ok();
    }
}
