//! Check: what must be right about a Redis before anything is confirmed to it.

use super::facts::Facts;
use super::keys::SaleKeys;
use super::library;
use super::link::Link;
use super::options::{Durability, RedisOptions};
use super::primary::{Failure, Primary};
use crate::store::StoreError;
use std::collections::HashMap;

fn unusable(sentence: impl Into<String>) -> StoreError {
    StoreError::Unusable(sentence.into())
}

/// Looks at what must be right about each primary before anything is confirmed to it, and loads the functions.
/// Returns the other concerns as warnings, a sentence each.
///
/// # Errors
/// [`StoreError::Unusable`] with what to do about it.
pub(super) async fn all(link: &Link, options: &RedisOptions) -> Result<Vec<String>, StoreError> {
    let (primaries, mut warnings) = (link.primaries(), Vec::new());
    let (mut short, mut fewest) = (0, u32::MAX);
    for primary in &primaries {
        let facts = primary.facts().await.map_err(explained)?;
        let replicas: u32 = facts.get("connected_slaves").parse().unwrap_or(0);
        short += usize::from(replicas < options.replicas);
        fewest = fewest.min(replicas);
        for warning in settings(primary, &facts, options).await? {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        rights(primary, options, matches!(link, Link::Cluster(_))).await?;
        functions(primary).await?;
    }
    let wanted = options.replicas;
    if short == primaries.len() {
        return Err(unusable(format!(
            "--redis-replicas asks for {wanted}, and a primary has {fewest}; add some, or ask for fewer"
        )));
    }
    if short > 0 {
        warnings.push(format!(
            "{short} primaries have fewer than the {wanted} replicas of --redis-replicas: nothing is confirmed there \
             until they have"
        ));
    }
    Ok(warnings)
}

/// Refuses a user that may not do what the options ask for.
async fn rights(
    primary: &Primary,
    options: &RedisOptions,
    is_cluster: bool,
) -> Result<(), StoreError> {
    let mut wait = redis::cmd("WAIT");
    wait.arg(0).arg(1);
    let needed =
        [("asking", redis::cmd("ASKING"), is_cluster), ("wait", wait, options.replicas > 0)];
    for (right, command, is_needed) in needed {
        if !is_needed {
            continue;
        }
        let mut connection = primary.unchecked().await.map_err(explained)?;
        let answer = command.query_async::<redis::Value>(&mut connection).await;
        if answer.is_err_and(|error| error.to_string().to_uppercase().contains("NOPERM")) {
            return Err(unusable(format!(
                "the user of --redis may not run {right}; docs/redis.md names the rights it needs"
            )));
        }
    }
    Ok(())
}

/// Refuses settings under which a confirmed order would be lost.
async fn settings(
    primary: &Primary,
    facts: &Facts,
    options: &RedisOptions,
) -> Result<Vec<String>, StoreError> {
    if facts.get("loading") == "1" {
        return Err(unusable("Redis is still loading its data; start again when it has"));
    }
    if let Some(fault) = facts.fault(options.durability) {
        return Err(unusable(fault));
    }
    if facts.get("role") != "master" {
        return Err(unusable("this Redis is a replica; give the address of its primary"));
    }
    if options.durability == Durability::Trusted {
        return Ok(vec![
            "--redis-durability trusted: orders count as kept because Redis took them; whether it keeps them \
             is not checked"
                .into(),
        ]);
    }
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("appendfsync");
    let fsync: Result<HashMap<String, String>, _> = primary.ask(&get, false).await;
    Ok(match fsync.ok().and_then(|config| config.get("appendfsync").cloned()) {
        Some(fsync) if fsync == "always" => Vec::new(),
        Some(fsync) => vec![format!(
            "Redis runs with `appendfsync {fsync}`: orders confirmed in the last moments before its \
             machine fails are lost; set `appendfsync always`"
        )],
        None => vec![
            "this user may not read `appendfsync`; see to it that it is `always`, or orders \
             confirmed just before the machine fails are lost"
                .into(),
        ],
    })
}

/// Loads the function library, or finds it loaded, and checks that the user may run every command
/// that the library runs.
async fn functions(primary: &Primary) -> Result<(), StoreError> {
    let loaded = primary.load().await;
    crate::fault::crash_point("loaded");
    // A user that may not load the library can still call what another user has loaded. No sale has
    // the name `_`.
    let mut call = library::bare_call("lacks");
    call.arg(&SaleKeys::tagged("_").all());
    let answer = primary.ask(&call, false).await.map_err(Failure::outcome);
    let lacking: Vec<String> = match (answer, loaded) {
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

/// What an answer means to a person who starts the process.
pub(super) fn explained(error: StoreError) -> StoreError {
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
