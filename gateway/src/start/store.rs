//! Opening the store that the options name.

use crate::start::options::RedisArgs;
use anyhow::Context;
use engine::store::{
    JournalOptions, JournalStore, Reading, RedisOptions, RedisStore, Store, StoreError, planted,
};
use std::path::Path;
use std::sync::Arc;

/// Opens the store that the options name.
///
/// # Errors
/// One sentence that says why the store cannot be opened, and what to do.
pub(crate) async fn store(data: &Path, redis: &RedisArgs) -> anyhow::Result<Store> {
    let Some(options) = redis.options()? else {
        let store = JournalStore::open(data, JournalOptions::default());
        return Ok(planted(store.context("the store cannot be opened")?.into()));
    };
    connect(&options).await
}

/// Opens the store that the options name, which must be there, for reading alone.
///
/// # Errors
/// One sentence that says why nothing can be read, and what to do.
pub async fn stored(data: &Path, redis: &RedisArgs) -> anyhow::Result<Arc<dyn Reading>> {
    let Some(options) = redis.options()? else {
        return JournalStore::read(data).map_err(|error| {
            let what = match &error {
                StoreError::Unusable(_) => {
                    "there is no store to verify; name its folder with --data, or a Redis with \
                     --redis"
                }
                _ => "the store cannot be verified",
            };
            anyhow::Error::new(error).context(what)
        });
    };
    Ok(connect(&options).await?.reading)
}

async fn connect(options: &RedisOptions) -> anyhow::Result<Store> {
    let (store, warnings) = RedisStore::connect(options).await?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(planted(store.into()))
}
