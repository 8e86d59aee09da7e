//! Link: the way to Redis, whether it is one, one that Sentinels watch, or a cluster.

use super::address::Way;
use super::cluster::Cluster;
use super::options::RedisOptions;
use super::primary::{Failure, Manner, Place, Primary};
use super::sentinels::Sentinels;
use crate::store::StoreError;
use redis::{Cmd, FromRedisValue};
use std::sync::Arc;

#[derive(Debug)]
pub(super) enum Link {
    One(Arc<Primary>),
    Cluster(Arc<Cluster>),
}

impl Link {
    /// Finds out what is at the addresses of the options.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it, or what Redis answers.
    pub(super) async fn find(options: &RedisOptions) -> Result<Self, StoreError> {
        let (way, addresses) = Way::read("--redis", &options.url, options.tls_roots.as_deref())?;
        let manner = Manner::new(options, way.clone())?;
        if let Some(name) = options.sentinel.clone() {
            // Each of them in its turn has a part of a call's time.
            let part = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
            let patience = options.deadline / part.saturating_add(1);
            let sentinels = Sentinels::new(&way, addresses, name, patience);
            return Ok(Self::One(Arc::new(Primary::new(
                Place::Watched(Box::new(sentinels)),
                manner,
            ))));
        }
        let mut answer = Err(StoreError::Unusable("--redis names no address".into()));
        for address in &addresses {
            let primary = Primary::new(Place::At(address.clone()), manner.clone());
            match primary.facts().await {
                Ok(facts) if facts.get("cluster_enabled") == "1" => {
                    return Ok(Self::Cluster(Cluster::find(manner, addresses).await?));
                }
                Ok(_) => {
                    answer = Ok(Self::One(Arc::new(primary)));
                    break;
                }
                // Another one may lead to the cluster.
                Err(error) => answer = Err(error),
            }
        }
        match answer {
            Ok(_) if addresses.len() > 1 => Err(StoreError::Unusable(
                "--redis names several addresses, and they are not those of a cluster's nodes; name one, or \
                 say with --redis-sentinel what Sentinels at these addresses call the primary"
                    .into(),
            )),
            answer => answer,
        }
    }

    /// Sends one command and returns its answer.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        match self {
            Self::One(primary) => primary.ask(command, false).await.map_err(Failure::outcome),
            Self::Cluster(cluster) => cluster.ask(command).await,
        }
    }

    /// The primaries, as far as they are known.
    pub(super) fn primaries(&self) -> Vec<Arc<Primary>> {
        match self {
            Self::One(primary) => vec![Arc::clone(primary)],
            Self::Cluster(cluster) => cluster.primaries(),
        }
    }
}
