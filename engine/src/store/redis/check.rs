//! What must be right about a Redis before anything is confirmed to it.

use super::library;
use super::link::Link;
use crate::store::StoreError;
use std::collections::HashMap;

/// Functions, and with them transactions that replicas and the log see whole.
const OLDEST: (u32, u32) = (7, 0);

fn unusable(sentence: impl Into<String>) -> StoreError {
    StoreError::Unusable(sentence.into())
}

/// Refuses settings under which a confirmed order would be lost; gives the rest as sentences.
pub(super) async fn settings(link: &Link) -> Result<Vec<String>, StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("server").arg("persistence").arg("memory").arg("cluster").arg("replication");
    let text: String = link.ask(&info).await.map_err(|error| match error {
        StoreError::Refused(why) | StoreError::Unknown(why) => unusable(advice(&why)),
        error => error,
    })?;
    let facts: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
    let fact = |name: &str| facts.get(name).copied().unwrap_or("");

    let version = fact("redis_version");
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < OLDEST {
        return Err(unusable(format!(
            "Redis is version {version}; 7.0 or later is needed, for functions"
        )));
    }
    if fact("aof_enabled") != "1" {
        return Err(unusable(
            "Redis keeps no append-only file, so a confirmed order could be lost; set \
             `appendonly yes` and `appendfsync always`",
        ));
    }
    let policy = fact("maxmemory_policy");
    if policy.starts_with("allkeys") {
        return Err(unusable(format!(
            "Redis evicts orders when its memory is full (maxmemory-policy {policy}); set \
             `maxmemory-policy noeviction`"
        )));
    }
    if fact("role") != "master" {
        return Err(unusable("this Redis is a replica; give the address of its primary"));
    }

    let mut warnings = Vec::new();
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("appendfsync");
    let fsync: Result<HashMap<String, String>, _> = link.ask(&get).await;
    match fsync.ok().and_then(|config| config.get("appendfsync").cloned()) {
        Some(fsync) if fsync == "always" => {}
        Some(fsync) => warnings.push(format!(
            "Redis runs with `appendfsync {fsync}`: orders confirmed in the last moments before its \
             machine fails are lost; set `appendfsync always`"
        )),
        None => warnings.push(
            "this user may not read `appendfsync`; see to it that it is `always`, or orders \
             confirmed just before the machine fails are lost"
                .into(),
        ),
    }
    if fact("cluster_enabled") == "1" {
        warnings.push(
            "this Redis is a node of a cluster; sales whose slots other nodes serve cannot be sold"
                .into(),
        );
    }
    Ok(warnings)
}

/// Loads the library, or finds it loaded.
pub(super) async fn functions(link: &Link) -> Result<(), StoreError> {
    let loaded = link.load().await;
    crate::fault::crash_point("loaded");
    let Err(StoreError::Refused(why)) = loaded else { return loaded };
    // A user who may not load can still call what another has loaded. No sale has this name.
    let nothing = ["sale", "orders", "holders", "outbox", "top_ups"]
        .map(|key| format!("flashlane:{{_}}:{key}"));
    let call = library::call("hold", &nothing);
    match link.ask::<Vec<String>>(&call).await {
        Ok(_) => Ok(()),
        Err(_) => Err(unusable(format!(
            "the function library is not in Redis and could not be loaded ({why}); name a user who \
             may run FUNCTION LOAD with --redis-loader"
        ))),
    }
}

fn advice(why: &str) -> String {
    let wrong_user =
        ["WRONGPASS", "NOAUTH", "wrong password"].iter().any(|word| why.contains(word));
    if wrong_user {
        format!("Redis does not accept the user or the password of --redis ({why})")
    } else if why.contains("NOPERM") {
        format!("the user of --redis may not run what Flashlane needs ({why}); see docs/redis.md")
    } else {
        format!("cannot reach Redis ({why}); is it running, and is the address of --redis right?")
    }
}
