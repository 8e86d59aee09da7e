//! Facts: what a Redis says of itself, and whether it keeps what it confirms.

use super::meaning::meaning;
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;

/// The oldest version that has functions, and with them transactions that replicas and the log see
/// whole.
const OLDEST: (u32, u32) = (7, 0);

/// What Redis says of itself.
pub(super) struct Facts(String);

impl Facts {
    pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, StoreError> {
        // INFO is asked for without sections: older versions do not take several.
        let info = redis::cmd("INFO").query_async(connection).await;
        info.map(Self).map_err(|error| meaning(&error))
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let mut facts = self.0.lines().filter_map(|line| line.split_once(':'));
        facts.find(|(fact, _)| *fact == name).map_or("", |(_, value)| value)
    }

    /// Why a confirmed order could be lost, or not be confirmed at all.
    pub(super) fn fault(&self) -> Option<String> {
        let version = self.get("redis_version");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let policy = self.get("maxmemory_policy");
        if (major, minor) < OLDEST {
            Some(format!("Redis is version {version}; 7.0 or later is needed, for functions"))
        } else if self.get("aof_enabled") != "1" {
            Some(
                "Redis keeps no append-only file, so a confirmed order could be lost; set \
                 `appendonly yes` and `appendfsync always`"
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

/// Refuses a Redis that does not keep what it confirms.
pub(super) async fn keeps_orders(connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
    let facts = Facts::ask(connection).await?;
    match facts.fault() {
        // While Redis loads its data, its log is off; it then refuses every call by itself.
        Some(fault) if facts.get("loading") != "1" => Err(StoreError::Refused(fault)),
        _ => Ok(()),
    }
}
