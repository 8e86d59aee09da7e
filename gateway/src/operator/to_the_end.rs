//! To the end: calls that change something are not cut short when their client goes away.

use crate::answer::error::ApiError;
use engine::store::StoreError;

/// Does the work to its end, even if the client is gone by then. Otherwise the store could know of
/// a change that this process does not know of.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::spawn(work).await.map_err(|_| ApiError::Internal)?;
    Ok(done?)
}
