//! Facts: what a Redis says of itself, and whether it keeps what it confirms.

use super::meaning::meaning;
use super::options::Durability;
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;
use std::time::Duration;

/// The oldest version that has functions, and with them transactions that replicas and the log see
/// whole.
const OLDEST: (u32, u32) = (7, 0);

/// What Redis says of itself.
pub(super) struct Facts(String);

impl Facts {
    /// What it says within this time.
    pub(super) async fn ask(
        connection: &mut MultiplexedConnection,
        within: Duration,
    ) -> Result<Self, StoreError> {
        // INFO is asked for without sections: older versions do not take several.
        let info = redis::cmd("INFO");
        match tokio::time::timeout(within, info.query_async(connection)).await {
            Ok(info) => info.map(Self).map_err(|error| meaning(&error)),
            Err(_) => {
                Err(StoreError::Refused(format!("it says nothing of itself within {within:?}")))
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let mut facts = self.0.lines().filter_map(|line| line.split_once(':'));
        facts.find(|(fact, _)| *fact == name).map_or("", |(_, value)| value)
    }

    /// Why a confirmed order could be lost, or not be confirmed at all.
    pub(super) fn fault(&self, durability: Durability) -> Option<String> {
        let version = self.get("redis_version");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let policy = self.get("maxmemory_policy");
        if (major, minor) < OLDEST {
            Some(format!("Redis is version {version}; 7.0 or later is needed, for functions"))
        } else if durability == Durability::Checked && self.get("aof_enabled") != "1" {
            Some(
                "Redis keeps no append-only file, so a confirmed order could be lost; set \
                 `appendonly yes` and `appendfsync always`, or, for a service that keeps what is written in \
                 its own way, say `--redis-durability trusted`"
                    .into(),
            )
        } else if policy.starts_with("allkeys") {
            Some(format!(
                "Redis evicts orders when its memory is full (maxmemory-policy {policy}); set \
                 `maxmemory-policy noeviction`"
            ))
        } else {
            None
        }
    }
}

/// Refuses a Redis that does not keep what it confirms, and a replica if only a primary will do.
pub(super) async fn keeps_orders(
    connection: &mut MultiplexedConnection,
    within: Duration,
    durability: Durability,
    is_primary: bool,
) -> Result<(), StoreError> {
    let facts = Facts::ask(connection, within).await?;
    match facts.fault(durability) {
        // While Redis loads its data, its log is off; it then refuses every call by itself.
        Some(fault) if facts.get("loading") != "1" => Err(StoreError::Refused(fault)),
        _ if is_primary && facts.get("role") != "master" => {
            Err(StoreError::Refused("READONLY: what the Sentinels name is a replica yet".into()))
        }
        _ => Ok(()),
    }
}
