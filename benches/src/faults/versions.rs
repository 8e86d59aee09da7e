//! Two versions at once on one Redis: the one before knows of no nodes and takes every sale when it starts.

use super::patience::{patience, until};
use super::process::{Addresses, Process, start_at, url};
use super::shop::LARGE;
use super::site::Site;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The version before sells; this one starts beside it and takes the sales over. Then this one stands in its place,
/// and the version before starts once more and takes them: they come back, and everything adds up.
pub(super) async fn together(suite: Suite) -> anyhow::Result<Outcome> {
    let before = suite.before.as_deref().context("--before names an earlier flashlane")?;
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 10 }) {
        let done = upgraded(&suite.binary, before).await?;
        outcome.times += done.times;
        outcome.views.merge(done.views);
        outcome.recovery = outcome.recovery.max(done.recovery);
    }
    Ok(outcome)
}

async fn upgraded(binary: &Path, before: &Path) -> anyhow::Result<Outcome> {
    let mut site = Site::open(before, &[], &[]).await?;
    let home = site.process.data.parent().context("a folder of the site")?.to_owned();
    let key = home.join("node.key");
    std::fs::write(&key, "the-nodes-of-a-scenario\n")?;
    let options = |name: &str| {
        let key = key.to_string_lossy();
        ["--node-id", name, "--node-listen", "127.0.0.1:0", "--node-key", &key]
            .map(str::to_owned)
            .to_vec()
    };
    let redis = url(site.proxy.address);

    let beside = Addresses { more: options("beside"), ..Addresses::free(Some(redis.clone())) };
    let mut beside = start_at(binary, &data_of(&site, &home, "beside")?, &[], beside).await?.0;
    until_it_sells(&beside).await?;

    site.process.kill();
    let Process { public, operator, platform, .. } = site.process;
    let more = options("first");
    let addresses = Addresses { redis: Some(redis.clone()), public, operator, platform, more };
    let data = site.process.data.clone();
    site.process = start_at(binary, &data, &[], addresses).await?.0;
    site.recovered().await?;
    site.until_orders(20).await?;

    let late = data_of(&site, &home, "late")?;
    let mut late = start_at(before, &late, &[], Addresses::free(Some(redis))).await?.0;
    site.recovered().await?;
    site.until_orders(20).await?;
    late.kill();
    beside.signal(Signal::TERM)?;
    until("the process beside it ends", || beside.has_ended()).await?;
    site.recovered().await?;
    let allowed = Allowed { reserved_gone: true, released: true, gaps: false };
    let views = site.close(allowed).await?;
    Ok(Outcome { times: 3, views, recovery: site.recovery })
}

/// A folder for one more process, with the keys of the first one.
fn data_of(site: &Site, home: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let data = home.join(name);
    std::fs::create_dir_all(&data)?;
    for key in ["token.key", "payment.key", "operator.key", "platform.key"] {
        std::fs::copy(site.process.data.join(key), data.join(key))?;
    }
    Ok(data)
}

/// Waits until this process sells the large sale.
async fn until_it_sells(process: &Process) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        // Err: the sale is on its way.
        let report = process.as_operator()?.report(LARGE).await;
        if report.is_ok_and(|report| report.node.as_deref() == Some("beside")) {
            return Ok(());
        }
        ensure!(start.elapsed() < patience(), "the version beside takes no sale over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
