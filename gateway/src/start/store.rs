//! Opening the store that the options name.

use crate::start::options::RedisArgs;
use anyhow::Context;
use engine::store::{
    JournalOptions, JournalStore, Leasing, RedisOptions, RedisStore, Store, StoreError, Upgraded,
    planted, planted_leasing,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens the store that the options name, and its leases if nodes can share it.
///
/// # Errors
/// One sentence that says why the store cannot be opened, and what to do.
pub(crate) async fn store(
    data: &Path,
    redis: &RedisArgs,
    outbox_keep: Duration,
) -> anyhow::Result<(Store, Option<Arc<dyn Leasing>>)> {
    let Some(options) = redis.options()? else {
        let store =
            JournalStore::open(data, JournalOptions { outbox_keep, ..JournalOptions::default() });
        return Ok((planted(store.context("the store cannot be opened")?.into()), None));
    };
    let redis = connect(&RedisOptions { outbox_keep, ..options }).await?;
    let leasing = planted_leasing(Arc::clone(&redis) as Arc<dyn Leasing>);
    Ok((planted(redis.into()), Some(leasing)))
}

/// Takes the sales of an older version in Redis over. Returns a line for each.
///
/// # Errors
/// One sentence that says why not, and what to do.
pub async fn upgrade(redis: &RedisArgs) -> anyhow::Result<Vec<String>> {
    let options = redis.options()?;
    let options = options.context(
        "name the Redis with --redis URL; the embedded store is taken over by the next `serve`",
    )?;
    let (store, _) = RedisStore::connect(&options).await?;
    let upgraded = store.upgrade().await?;
    let line = |one: &Upgraded| format!("{}: {} orders taken over", one.sale, one.orders);
    Ok(upgraded.iter().map(line).collect())
}

/// Opens the store that the options name, which must be there, for reading alone.
///
/// # Errors
/// One sentence that says why nothing can be read, and what to do.
pub async fn stored(data: &Path, redis: &RedisArgs) -> anyhow::Result<Store> {
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
    Ok(planted(connect(&options).await?.into()))
}

async fn connect(options: &RedisOptions) -> anyhow::Result<Arc<RedisStore>> {
    let (store, warnings) = RedisStore::connect(options).await?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(store))
}
