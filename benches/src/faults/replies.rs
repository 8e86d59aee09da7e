//! Scenarios for every error reply that changes nothing. A real Redis makes each one under load.

use super::patience::{patience, until};
use super::proxy::Trick;
use super::shop::LARGE;
use super::site::Site;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use crate::run::redis::RedisServer;
use anyhow::ensure;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Runs the commands that make Redis answer with this error, and then those that mend it.
async fn by(suite: Suite, code: &str, make: &[&str], mend: &[&str]) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 1, long: 3 });
    for _ in 0..times {
        let mut tries = 0;
        // It may be that only other calls meet the error, and no commit does.
        while !meets_a_commit(&mut site, code, make, mend).await? {
            tries += 1;
            ensure!(tries < 20, "no commit was answered with {code}");
        }
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// Makes the error, mends it, and waits until orders are confirmed again. Returns whether a commit was
/// sent while Redis answered with the error.
async fn meets_a_commit(
    site: &mut Site,
    code: &str,
    make: &[&str],
    mend: &[&str],
) -> anyhow::Result<bool> {
    site.proxy.forget_errors();
    make.iter().for_each(|command| drop(site.redis.must(command)));
    let commits = site.proxy.commits();
    site.until_error(code).await?;
    let start = Instant::now();
    while site.proxy.commits() == commits && start.elapsed() < Duration::from_millis(300) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let is_met = site.proxy.commits() > commits;
    mend.iter().for_each(|command| drop(site.redis.must(command)));
    site.recovered().await?;
    Ok(is_met)
}

pub(super) async fn readonly(suite: Suite) -> anyhow::Result<Outcome> {
    by(suite, "READONLY", &["REPLICAOF 127.0.0.1 1"], &["REPLICAOF NO ONE"]).await
}

pub(super) async fn masterdown(suite: Suite) -> anyhow::Result<Outcome> {
    let make = [
        "CONFIG SET replica-read-only no",
        "CONFIG SET replica-serve-stale-data no",
        "REPLICAOF 127.0.0.1 1",
    ];
    by(suite, "MASTERDOWN", &make, &["REPLICAOF NO ONE"]).await
}

pub(super) async fn noreplicas(suite: Suite) -> anyhow::Result<Outcome> {
    let (make, mend) =
        (["CONFIG SET min-replicas-to-write 1"], ["CONFIG SET min-replicas-to-write 0"]);
    by(suite, "NOREPLICAS", &make, &mend).await
}

pub(super) async fn oom(suite: Suite) -> anyhow::Result<Outcome> {
    by(suite, "OOM", &["CONFIG SET maxmemory 1"], &["CONFIG SET maxmemory 0"]).await
}

pub(super) async fn noperm(suite: Suite) -> anyhow::Result<Outcome> {
    by(suite, "NOPERM", &["ACL SETUSER default -fcall"], &["ACL SETUSER default +fcall"]).await
}

pub(super) async fn flush(suite: Suite) -> anyhow::Result<Outcome> {
    by(suite, "Function not found", &["FUNCTION FLUSH SYNC"], &[]).await
}

/// Redis withdraws a right that only the functions use. They check their rights before they write.
pub(super) async fn withdrawn(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 2, long: 6 });
    for time in 0..times {
        let right = if time % 2 == 0 { "hset" } else { "xadd" };
        site.redis.must(&format!("ACL SETUSER default -{right}"));
        let start = Instant::now();
        while !site.process.trouble(LARGE).await?.is_some_and(|why| why.contains("NOPERM")) {
            ensure!(start.elapsed() < patience(), "it does not say what it may not do");
        }
        site.redis.must(&format!("ACL SETUSER default +{right}"));
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// Snapshots fail, because a folder lies where Redis wants to write the file.
pub(super) async fn misconf(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let dump = site.redis.folder().join("dump.rdb");
    std::fs::create_dir(&dump)?;
    site.redis.must("CONFIG SET save \"3600 1\"");
    site.redis.must("BGSAVE");
    site.until_error("MISCONF").await?;
    std::fs::remove_dir(&dump)?;
    site.redis.must("CONFIG SET save \"\"");
    site.recovered().await?;
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// A script in Redis does not end by itself, until it is killed.
pub(super) async fn busy(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &["--busy-reply-threshold", "50"], &[]).await?;
    let times = suite.times(Times { short: 1, long: 3 });
    for _ in 0..times {
        site.proxy.forget_errors();
        let mut stream = TcpStream::connect(site.redis.address())?;
        stream.write_all(b"EVAL \"while true do end\" 0\r\n")?;
        site.until_error("BUSY").await?;
        site.redis.must("SCRIPT KILL");
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// Redis starts again and takes its time to read its log.
pub(super) async fn loading(suite: Suite) -> anyhow::Result<Outcome> {
    let slowly = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    let mut site = Site::open(&suite.binary, &slowly, &[]).await?;
    let times = suite.times(Times { short: 1, long: 3 });
    for _ in 0..times {
        site.proxy.forget_errors();
        // While Redis reads its log, it answers clients only once in 1,024 commands.
        site.until_orders(5_000).await?;
        site.redis.kill();
        site.redis.start_again();
        site.until_error("LOADING").await?;
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// No call of ours gets this reply, so the proxy puts another call in the place of a commit.
pub(super) async fn noscript(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let digest = "0".repeat(40);
    let call = format!("*3\r\n$7\r\nEVALSHA\r\n$40\r\n{digest}\r\n$1\r\n0\r\n");
    site.proxy.play(Trick::Replace(call.into_bytes()));
    site.until_error("NOSCRIPT").await?;
    site.recovered().await?;
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// A slot is taken away, given back, moved by half, moved as a whole, and served by another Redis.
pub(super) async fn cluster(suite: Suite) -> anyhow::Result<Outcome> {
    let settings = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"];
    let mut site = Site::with_sales(&suite.binary, &settings, &[], &[LARGE]).await?;
    let folder = tempfile::tempdir()?;
    let other = RedisServer::with(folder.path(), &settings);
    let slot = slot_of(&site.redis, "{large}");
    site.redis.must(&format!("CLUSTER DELSLOTS {slot}"));
    site.until_error("CLUSTERDOWN").await?;
    site.redis.must(&format!("CLUSTER ADDSLOTS {slot}"));
    site.recovered().await?;

    let (from, to) = (last_line(&site.redis, "CLUSTER MYID"), last_line(&other, "CLUSTER MYID"));
    let port = other.address().port();
    site.redis.must(&format!("CLUSTER MEET 127.0.0.1 {port} {}", other.bus_port()));
    let knows = |node: &RedisServer, id: &str| {
        node.must("CLUSTER NODES").contains(id)
            && node.must("CLUSTER INFO").contains("cluster_state:ok")
    };
    until("the nodes know each other", || knows(&site.redis, &to) && knows(&other, &from)).await?;
    begin_move(&site.redis, &other, &slot);
    // The sale has no top-ups, so one of its keys is in neither Redis.
    site.until_error("TRYAGAIN").await?;
    let rows = ["sale", "orders", "holders", "members", "outbox"]
        .map(|row| format!("flashlane:{{large}}:{row}"));
    let keys = rows.join(" ");
    site.redis.must(&format!("MIGRATE 127.0.0.1 {port} \"\" 0 5000 KEYS {keys}"));
    site.until_error("ASK").await?;
    end_move(&site.redis, &other, &slot);
    // From here on it is asked where the slot is, and loads the functions there.
    site.until_error("MOVED").await?;
    site.recovered().await?;
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

fn last_line(node: &RedisServer, command: &str) -> String {
    node.must(command).lines().last().unwrap_or_default().to_owned()
}

fn slot_of(node: &RedisServer, key: &str) -> String {
    last_line(node, &format!("CLUSTER KEYSLOT {key}")).replace(':', "")
}

fn begin_move(from: &RedisServer, to: &RedisServer, slot: &str) {
    let (from_id, to_id) = (last_line(from, "CLUSTER MYID"), last_line(to, "CLUSTER MYID"));
    to.must(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    from.must(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
}

fn end_move(from: &RedisServer, to: &RedisServer, slot: &str) {
    let to_id = last_line(to, "CLUSTER MYID");
    to.must(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    from.must(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
}
