//! Others: what this process tells of sales that other nodes sell, from the store.

use super::Engine;
use crate::open::sale::OpenSale;
use crate::rules::terms::SaleId;
use crate::store::StoreError;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;

/// A copy counts for so long: what is read of it, a sale's terms, seldom changes.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The list of sales counts for so long.
const LISTED_FOR: Duration = Duration::from_millis(500);
/// Sales that are read at once.
const SIDE_BY_SIDE: usize = 16;

impl Engine {
    /// The open sales of all nodes: those of this one, and copies of the others', of which only what the store has
    /// may be read.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn everywhere(&self) -> Result<Vec<Arc<OpenSale>>, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(self.sales()) };
        let now = self.now();
        let mut listed = self.peeked.listed.lock().await;
        if now.since(listed.1) >= LISTED_FOR {
            *listed = (self.store.reading.sales().await?.into_iter().collect(), now);
            let sales = &listed.0;
            self.peeked.copies.lock().retain(|sale, (_, read_at)| {
                sales.contains(sale) && now.since(*read_at) < KEPT_FOR
            });
        }
        // One look, after the list was read: a sale that moves meanwhile is among these or read from the store.
        let open = self.sales.load_full();
        let elsewhere: Vec<SaleId> =
            listed.0.iter().filter(|sale| !open.contains_key(*sale)).cloned().collect();
        drop(listed);
        let reading = stream::iter(elsewhere).map(async |sale| {
            if let Some((copy, _)) = self.peeked.copies.lock().get(&sale) {
                return Ok::<_, StoreError>(Some(Arc::clone(copy)));
            }
            let Some(opened) = sharing.peek(&sale).await? else { return Ok(None) };
            let copy = Arc::new(OpenSale::archived(opened, &self.roster)?);
            self.peeked.copies.lock().insert(sale, (Arc::clone(&copy), now));
            Ok(Some(copy))
        });
        let copies: Vec<_> = reading.buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        Ok(open.values().cloned().chain(copies.into_iter().flatten()).collect())
    }

    /// The sales of the store, if the list was not read a moment ago; else none, as they were looked at then.
    pub(super) async fn listed_anew(&self) -> Result<Vec<SaleId>, StoreError> {
        let now = self.now();
        let mut looked_at = self.peeked.numbered_at.lock().await;
        if now.since(*looked_at) < LISTED_FOR {
            return Ok(Vec::new());
        }
        *looked_at = now;
        self.store.reading.sales().await
    }

    /// Whether another process may change what this one does not hear of.
    pub(super) fn has_others(&self) -> bool {
        self.sharing
            .as_ref()
            .is_some_and(|sharing| sharing.is_reached() || sharing.living().len() > 1)
    }

    /// Counts up as time goes while there are other nodes: what they do is looked for.
    pub(super) fn looks_due(&self) -> u64 {
        let every = u64::try_from(LISTED_FOR.as_millis()).unwrap_or(u64::MAX);
        if self.has_others() { self.now().0 / every } else { 0 }
    }
}
