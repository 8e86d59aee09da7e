//! Opening the store that the options name.

use crate::start::options::RedisArgs;
use anyhow::Context;
use engine::store::{RedbStore, RedisStore, Store, planted};
use std::path::Path;

/// Opens the store that the options name.
///
/// # Errors
/// One sentence that says why the store cannot be opened, and what to do.
pub async fn store(data: &Path, redis: &RedisArgs) -> anyhow::Result<Store> {
    let Some(options) = redis.options()? else {
        let store = RedbStore::open(&data.join("store.redb"))
            .with_context(|| format!("cannot open the store under {}", data.display()))?;
        return Ok(planted(store.into()));
    };
    let (store, warnings) = RedisStore::connect(&options).await?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(planted(store.into()))
}
