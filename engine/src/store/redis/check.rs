//! Check: what must be right about a Redis before anything is confirmed to it.

use super::facts::Facts;
use super::keys::SaleKeys;
use super::library;
use super::link::Link;
use crate::store::StoreError;
use std::collections::HashMap;

fn unusable(sentence: impl Into<String>) -> StoreError {
    StoreError::Unusable(sentence.into())
}

/// Refuses settings under which a confirmed order would be lost. Returns the other concerns as
/// warnings, a sentence each.
pub(super) async fn settings(link: &Link) -> Result<Vec<String>, StoreError> {
    let mut connection = link.unchecked().await.map_err(explained)?;
    let facts = Facts::ask(&mut connection).await.map_err(explained)?;
    if facts.get("loading") == "1" {
        return Err(unusable("Redis is still loading its data; start again when it has"));
    }
    if let Some(fault) = facts.fault() {
        return Err(unusable(fault));
    }
    if facts.get("role") != "master" {
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
    if facts.get("cluster_enabled") == "1" {
        warnings.push(
            "this Redis is a node of a cluster; sales whose slots other nodes serve cannot be sold"
                .into(),
        );
    }
    Ok(warnings)
}

/// Loads the function library, or finds it loaded, and checks that the user may run every command
/// that the library runs.
pub(super) async fn functions(link: &Link) -> Result<(), StoreError> {
    let loaded = link.load().await;
    crate::fault::crash_point("loaded");
    // A user that may not load the library can still call what another user has loaded. No sale has
    // the name `_`.
    let mut call = library::bare_call("lacks");
    call.arg(&SaleKeys::tagged("_").all());
    let lacking: Vec<String> = match (link.ask(&call).await, loaded) {
        (Ok(lacking), _) => lacking,
        (Err(_), Err(StoreError::Refused(why))) => {
            return Err(unusable(format!(
                "the function library is not in Redis and could not be loaded ({why}); name a user \
                 who may run FUNCTION LOAD with --redis-loader"
            )));
        }
        (Err(error), _) => return Err(explained(error)),
    };
    match &lacking[3..] {
        [] => Ok(()),
        rights => Err(unusable(format!(
            "the user of --redis may not run {}; docs/redis.md names the rights it needs",
            rights.join(", ")
        ))),
    }
}

fn explained(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused(why) | StoreError::Unknown(why) => unusable(advice(&why)),
        error => error,
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
