//! Draining: what is reserved is confirmed, and then this process sells nothing any more.

use super::Engine;
use crate::open::sale::OpenSale;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Confirms what is reserved and stops, or gives up after `patience`. Returns the number of
    /// orders that were not confirmed. The caller must have stopped clicks before.
    pub async fn drain(&self, patience: Duration) -> u64 {
        self.stop.send_replace(true);
        let all_done = async {
            let mut confirmers = self.confirmers.lock().await;
            while confirmers.running.join_next().await.is_some() {}
        };
        if tokio::time::timeout(patience, all_done).await.is_err()
            && let Ok(mut confirmers) = self.confirmers.try_lock()
        {
            confirmers.running.abort_all();
        }
        let unconfirmed = |open: &Arc<OpenSale>| {
            let taken_in: u64 = open.reserved().iter().map(|(_, tally)| tally.orders).sum();
            taken_in + open.sale.queue().len() as u64
        };
        if let Some(sharing) = &self.sharing
            && let Err(error) = sharing.end().await
        {
            tracing::debug!(%error, "this node's lease ends by itself");
        }
        self.sales().iter().map(unconfirmed).sum()
    }
}
