//! To the end: calls that change something are not cut short when their client goes away.

use crate::answer::error::ApiError;
use engine::store::StoreError;

/// Does the work to its end, also if the client is gone by then: else the store would know of a
/// change and this process would not.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::spawn(work).await.map_err(|_| ApiError::Internal)?;
    Ok(done?)
}
