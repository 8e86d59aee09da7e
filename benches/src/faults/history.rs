//! Scenarios in which Redis comes back with less than it had acknowledged: as a replica that had
//! fallen behind, from a backup, or empty.

use super::patience::{patience, until};
use super::proxy::{Proxy, Trick, Weather};
use super::shop::{LARGE, SMALL};
use super::site::Site;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use crate::run::redis::RedisServer;
use anyhow::ensure;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) async fn lost(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 3 }) {
        for scene in [
            frozen_replica(&suite).await?,
            backups(&suite).await?,
            ended_in_the_middle(&suite).await?,
        ] {
            outcome.times += scene.times;
            outcome.views.merge(scene.views);
            outcome.recovery = outcome.recovery.max(scene.recovery);
        }
    }
    Ok(outcome)
}

/// Which Redis goes on after the one that sold was killed between two parts of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heir {
    /// The same one, started again.
    Itself,
    /// A replica that has the first part.
    WithThePart,
    /// A replica that has neither.
    WithoutIt,
}

pub(super) async fn parts(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 3 }) {
        for heir in [Heir::Itself, Heir::WithThePart, Heir::WithoutIt] {
            let scene = between_parts(&suite, heir).await?;
            outcome.times += scene.times;
            outcome.views.merge(scene.views);
            outcome.recovery = outcome.recovery.max(scene.recovery);
        }
    }
    Ok(outcome)
}

/// Redis answers for the first part of a batch, is killed, and never hears of the second.
async fn between_parts(suite: &Suite, heir: Heir) -> anyhow::Result<Outcome> {
    let settings = ["--repl-diskless-sync-delay", "0"];
    let mut site = Site::with_sales(&suite.binary, &settings, &[], &[LARGE]).await?;
    let folder = tempfile::tempdir()?;
    let (link, mut replica) = replica_of(&site, folder.path()).await?;
    site.until_orders(50).await?;
    // Orders gather until a batch needs several calls.
    site.proxy.weather(Weather::Refused);
    site.orders_without_waiting(ORDERS_OF_SEVERAL_CALLS).await?;
    if heir == Heir::WithoutIt {
        link.weather(Weather::Swallowed);
    }
    let orders = |redis: &RedisServer| -> anyhow::Result<u64> {
        let told = redis.must("HLEN flashlane:{large}:orders");
        Ok(told.trim_start_matches(':').trim().parse()?)
    };
    let (played, before) = (site.proxy.played(), orders(&site.redis)?);
    site.proxy.play(Trick::OnePart);
    site.proxy.weather(Weather::Fair);
    until("one part is answered", || site.proxy.played() > played).await?;
    let after = orders(&site.redis)?;
    let came = after - before;
    ensure!((128..ORDERS_OF_SEVERAL_CALLS).contains(&came), "{came} orders are no part of a batch");
    if heir == Heir::WithThePart {
        until("the replica has it", || orders(&replica).is_ok_and(|has| has == after)).await?;
    }
    site.redis.kill();
    if heir == Heir::Itself {
        site.redis.start_again();
    } else {
        replica.must("REPLICAOF NO ONE");
        std::mem::swap(&mut site.redis, &mut replica);
    }
    site.proxy.lead_to(site.redis.address());
    if heir == Heir::WithoutIt {
        alarmed(&site).await?;
        resume_sales(&site, &[LARGE]).await?;
    }
    site.recovered().await?;
    let views = site.close(ALLOWED).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// More orders than go into two calls of the store.
const ORDERS_OF_SEVERAL_CALLS: u64 = 300;

const ALLOWED: Allowed = Allowed { reserved_gone: false, released: false, gaps: true };

/// Starts a replica of the site's Redis, and the link between the two.
async fn replica_of(site: &Site, folder: &Path) -> anyhow::Result<(Proxy, RedisServer)> {
    let link = Proxy::start(site.redis.address()).await?;
    let port = link.address.port().to_string();
    let replica = RedisServer::with(folder, &["--replicaof", "127.0.0.1", &port]);
    until("the replica follows", || {
        replica.must("INFO replication").contains("master_link_status:up")
    })
    .await?;
    Ok((link, replica))
}

/// The primary fails, and the replica that takes its place had not heard of the last orders.
async fn frozen_replica(suite: &Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &["--repl-diskless-sync-delay", "0"], &[]).await?;
    let folder = tempfile::tempdir()?;
    let (link, mut replica) = replica_of(&site, folder.path()).await?;
    site.until_orders(50).await?;
    link.weather(Weather::Swallowed);
    site.until_orders(200).await?;
    site.redis.kill();
    replica.must("REPLICAOF NO ONE");
    std::mem::swap(&mut site.redis, &mut replica);
    site.proxy.lead_to(site.redis.address());
    alarmed(&site).await?;
    resume(&site).await?;
    site.recovered().await?;
    let views = site.close(ALLOWED).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// Redis is started again from an old copy of its data. Later everything in Redis is deleted, and
/// it is started again from another copy.
async fn backups(suite: &Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let (log, copy) = (site.redis.folder().join("appendonlydir"), site.redis.folder().join("copy"));
    copy_folder(&log, &copy)?;
    site.until_orders(200).await?;
    put_in_place(&mut site, &copy, &log)?;
    alarmed(&site).await?;
    resume(&site).await?;
    site.recovered().await?;

    copy_folder(&log, &copy)?;
    site.until_orders(100).await?;
    site.redis.must("FLUSHALL");
    alarmed(&site).await?;
    let refused = site.process.as_operator()?.switch(LARGE, "resume").await;
    ensure!(refused.is_err(), "a sale that is gone was resumed");
    put_in_place(&mut site, &copy, &log)?;
    resume(&site).await?;
    site.recovered().await?;
    let views = site.close(ALLOWED).await?;
    Ok(Outcome { times: 2, views, recovery: site.recovery })
}

/// The process ends after it has put the orders back and before it has said so.
async fn ended_in_the_middle(suite: &Suite) -> anyhow::Result<Outcome> {
    let crash = [("FLASHLANE_CRASH_AT", "put_back")];
    let mut site = Site::with_sales(&suite.armed, &[], &crash, &[LARGE]).await?;
    let (log, copy) = (site.redis.folder().join("appendonlydir"), site.redis.folder().join("copy"));
    copy_folder(&log, &copy)?;
    site.until_orders(200).await?;
    put_in_place(&mut site, &copy, &log)?;
    alarmed(&site).await?;
    let refused = site.process.as_operator()?.switch(LARGE, "resume").await;
    ensure!(refused.is_err(), "it did not end at this point");
    until("it ends at this point", || site.process.was_killed()).await?;
    site.restart().await?;
    site.recovered().await?;
    let allowed = Allowed { reserved_gone: true, ..ALLOWED };
    let views = site.close(allowed).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(to).ok();
    fs::create_dir(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

fn put_in_place(site: &mut Site, copy: &Path, log: &Path) -> anyhow::Result<()> {
    site.redis.kill();
    copy_folder(copy, log)?;
    site.redis.start_again();
    Ok(())
}

/// Waits until the operator is alarmed that the history was lost. By then the sale is stopped.
async fn alarmed(site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    while !site
        .process
        .as_operator()?
        .metrics()
        .await?
        .contains(&format!("flashlane_history_lost{{sale=\"{LARGE}\"}} 1"))
    {
        ensure!(start.elapsed() < patience(), "nothing alarms the operator");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Resumes both sales, as an operator who has looked into the loss. One of the two may have lost
/// nothing.
async fn resume(site: &Site) -> anyhow::Result<()> {
    resume_sales(site, &[LARGE, SMALL]).await
}

async fn resume_sales(site: &Site, sales: &[&str]) -> anyhow::Result<()> {
    let start = Instant::now();
    for sale in sales {
        while let Err(why) = site.process.as_operator()?.switch(sale, "resume").await {
            ensure!(start.elapsed() < patience(), "{sale} cannot be resumed: {why}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
