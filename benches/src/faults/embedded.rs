//! The embedded store: processes that end or stand still, a disk that is full, and a second process on
//! the same folder.

use super::crashes::{each_point, stand_still, stopped_in};
use super::shop::LARGE;
use super::site::{KeptIn, Site};
use super::spoils::SmallDisk;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use anyhow::ensure;
use std::time::Duration;

/// As for Redis, and the points in the way of a block to the disk.
const POINTS: [(&str, u64); 18] = [
    ("created", 2),
    ("judged", 200),
    ("answering", 200),
    ("gathered", 200),
    ("held", 20),
    ("appended", 300),
    ("synced", 300),
    ("settling", 200),
    ("settled", 100),
    ("told", 100),
    ("changing", 40),
    ("changed", 40),
    ("switched", 3),
    ("topped_up", 3),
    ("draining", 1),
    ("fed", 20),
    ("erasing", 2),
    ("taken_out", 2),
];

pub(super) async fn points(suite: Suite) -> anyhow::Result<Outcome> {
    each_point(&suite, &POINTS, KeptIn::Journal).await
}

pub(super) async fn kills(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::embedded(&suite.binary, None, &[]).await?;
    let mut rng = fastrand::Rng::with_seed(17);
    let times = suite.times(Times { short: 15, long: 200 });
    for _ in 0..times {
        site.until_orders(rng.u64(1..60)).await?;
        site.restart().await?;
        site.recovered().await?;
    }
    let allowed = Allowed { reserved_gone: true, ..Allowed::default() };
    let views = site.close(allowed).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

pub(super) async fn stopped(suite: Suite) -> anyhow::Result<Outcome> {
    stopped_in(Site::embedded(&suite.binary, None, &[]).await?, &suite).await
}

/// Clicks wait while the disk is full, and all of them are confirmed when there is room.
pub(super) async fn disk_full(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 3 }) {
        let disk = SmallDisk::new("256k")?;
        let mut site = Site::embedded(&suite.binary, Some(disk.path()), &[]).await?;
        let start = std::time::Instant::now();
        // The other sale may be the first one to find no room.
        while site.process.ready().await?.is_ok()
            || !site.process.trouble(LARGE).await?.is_some_and(|why| why.contains("free space"))
        {
            ensure!(
                start.elapsed() < Duration::from_secs(60),
                "it does not say that the disk is full"
            );
            stand_still(Duration::from_millis(5)).await;
        }
        disk.grow("256m")?;
        site.recovered().await?;
        outcome.times += 1;
        outcome.views.merge(site.close(Allowed::default()).await?);
        outcome.recovery = outcome.recovery.max(site.recovery);
    }
    Ok(outcome)
}

/// A second process on the folder ends and says why; the first one sells on.
pub(super) async fn second(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::embedded(&suite.binary, None, &[]).await?;
    let times = suite.times(Times { short: 2, long: 10 });
    for _ in 0..times {
        let data = site.process.data.clone();
        let output = std::process::Command::new(&suite.binary)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--operator-listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(&data)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && said.contains("another process uses"), "{said}");
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}
