//! Pages: the accounts of a bucket, some at a time.

use crate::store::{BookStore, Bucket, StoreError};
use futures_util::stream::{self, Stream};
use membership::account::Membership;

/// Accounts that are read at a time.
const PAGE: usize = 500;

/// All accounts of a bucket with their indexes, by index.
pub(super) fn pages(
    store: &dyn BookStore,
    bucket: Bucket,
) -> impl Stream<Item = Result<Vec<(u32, Membership)>, StoreError>> {
    Box::pin(stream::try_unfold(0, move |from| async move {
        let page = store.accounts(bucket, from, PAGE).await?;
        let next = page.last().map(|(last, _)| last + 1);
        Ok(next.map(|next| (page, next)))
    }))
}
