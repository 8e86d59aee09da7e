//! Processes that end or stand still: at named points, at random, or while another takes over.

use super::patience::{patience, until};
use super::process::{Process, signal_to};
use super::shop::{LARGE, SHOPPERS, SMALL, Shop};
use super::site::{KeptIn, Site};
use super::suite::{Outcome, Suite, Times};
use super::views::{Allowed, Views};
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// The points at which a process can end in the middle of a click, a batch, the making of a sale or
/// an operator's call, and at which arrival at the point it ends.
const POINTS: [(&str, u64); 22] = [
    ("loaded", 1),
    ("indexed", 1),
    ("created", 2),
    ("opened", 1),
    ("judged", 200),
    ("answering", 200),
    ("gathered", 200),
    ("held", 20),
    ("sending", 3_000),
    ("answered", 3_000),
    ("settling", 200),
    ("settled", 200),
    ("told", 200),
    ("changing", 40),
    ("changed", 40),
    ("switched", 3),
    ("topped_up", 3),
    ("draining", 1),
    ("posted", 200),
    ("fed", 20),
    ("erasing", 2),
    ("taken_out", 2),
];

pub(super) async fn points(suite: Suite) -> anyhow::Result<Outcome> {
    each_point(&suite, &POINTS, KeptIn::Redis).await
}

/// The process of a site ends at each point in turn, is started again, and everything goes on.
pub(super) async fn each_point(
    suite: &Suite,
    points: &[(&str, u64)],
    kept_in: KeptIn,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for round in 0..suite.times(Times { short: 1, long: 5 }) {
        for &(point, nth) in points {
            let nth = if nth > 3 { nth + round * 37 } else { nth };
            let crash = [("FLASHLANE_CRASH_AT", &*format!("{point}:{nth}"))];
            // A point that comes before the first order ends the process while the site is opened.
            let site = Site::keeping(kept_in, &suite.armed, &crash).await;
            let site = site.with_context(|| point.to_owned())?;
            let done = ends_at(site, point).await.with_context(|| point.to_owned())?;
            outcome.times += 1;
            outcome.views.merge(done.views);
            outcome.recovery = outcome.recovery.max(done.recovery);
        }
    }
    Ok(outcome)
}

/// Waits until the process of this site ends at the point that it was told, and goes on.
async fn ends_at(mut site: Site, point: &str) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let mut calls = 0;
    if !["loaded", "indexed", "created", "opened"].contains(&point) {
        if point == "draining" {
            site.process.signal(Signal::TERM)?;
        }
        while !site.process.has_ended() {
            ensure!(start.elapsed() < patience(), "this point was never passed");
            // A call that fails here is repeated below.
            operate(&site.process, calls).await.ok();
            calls += 1;
        }
        site.restart().await?;
    }
    ensure!(site.crashes == 1, "the process did not end at this point");
    site.recovered().await?;
    for call in 0..=calls {
        operate(&site.process, call).await?;
    }
    let mut operator = site.process.as_operator()?;
    let added = operator.report(LARGE).await?.stock - 5_000_000;
    ensure!(added == calls + 1, "{} top-ups added {added} units", calls + 1);
    let allowed = Allowed { reserved_gone: true, ..Allowed::default() };
    let views = site.close(allowed).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// Makes the calls of an operator with a lot to do: two switches, a top-up, and the erasing of a member.
async fn operate(process: &Process, call: u64) -> anyhow::Result<()> {
    let member = format!("gone-{call}");
    process.as_platform()?.enrol(&member, None).await?;
    let operator = &mut process.as_operator()?;
    operator.erase(&member).await?;
    operator.switch(SMALL, "pause").await?;
    operator.switch(SMALL, "resume").await?;
    operator.top_up(LARGE, &format!("top-up-{call}"), 1).await
}

pub(super) async fn kills(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let mut rng = fastrand::Rng::with_seed(7);
    let times = suite.times(Times { short: 15, long: 200 });
    for round in 0..times {
        site.until_orders(rng.u64(1..60)).await?;
        site.restart().await?;
        site.recovered().await?;
        // More units, for the members of the small sale who still want some.
        site.process.as_operator()?.top_up(SMALL, &format!("round-{round}"), 2).await?;
    }
    let allowed = Allowed { reserved_gone: true, ..Allowed::default() };
    let views = site.close(allowed).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

pub(super) async fn redis_kills(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let mut rng = fastrand::Rng::with_seed(8);
    let times = suite.times(Times { short: 10, long: 100 });
    for _ in 0..times {
        // A commit has gone through the proxy, and its answer may still be on its way.
        let commits = site.proxy.commits() + rng.u64(1..40);
        until("commits go on", || site.proxy.commits() >= commits).await?;
        site.redis.kill();
        site.redis.start_again();
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

pub(super) async fn redis_stopped(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 1, long: 5 });
    for _ in 0..times {
        signal_to(site.redis.pid(), Signal::STOP)?;
        stand_still(Duration::from_secs(3)).await;
        signal_to(site.redis.pid(), Signal::CONT)?;
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

pub(super) async fn stopped(suite: Suite) -> anyhow::Result<Outcome> {
    stopped_in(Site::open(&suite.binary, &[], &[]).await?, &suite).await
}

/// The process of this site is stopped for a while and goes on.
pub(super) async fn stopped_in(mut site: Site, suite: &Suite) -> anyhow::Result<Outcome> {
    let times = suite.times(Times { short: 1, long: 5 });
    for _ in 0..times {
        site.process.signal(Signal::STOP)?;
        stand_still(Duration::from_secs(4)).await;
        site.process.signal(Signal::CONT)?;
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// Waits while a fault lasts.
pub(super) async fn stand_still(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Both processes believe that they sell; the store takes the orders of only one.
/// Another process waits, and sells when the first one was killed.
pub(super) async fn rival(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 2, long: 10 }) {
        let mut site = Site::open(&suite.binary, &[], &[]).await?;
        let rival = site.rival().await?;
        // It takes nothing from a process that lives.
        site.until_orders(50).await?;
        site.process.kill();
        let first = site.shop.take().context("the first shop")?;
        site.receipts.merge(first.close_within(Duration::from_millis(200)).await);
        let at_rival = Shop::open(&site.counter_at(&rival, "r")?);
        site.process = rival;
        site.shop = Some(at_rival);
        site.until_orders(50).await?;
        site.recovered().await?;
        let allowed = Allowed { reserved_gone: true, ..Allowed::default() };
        outcome.views.merge(site.close(allowed).await?);
        outcome.times += 1;
        outcome.recovery = outcome.recovery.max(site.recovery);
    }
    Ok(outcome)
}

/// Waits until the first process answers for the sales no more.
async fn fenced(site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    while site.process.as_operator()?.report(LARGE).await.is_ok() {
        ensure!(start.elapsed() < patience(), "the first process does not notice");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Puts the rival in the place of the first process for the rest of the scenario.
async fn hand_over(site: &mut Site, rival: Process, at_rival: Shop) -> anyhow::Result<Views> {
    let mut first = std::mem::replace(&mut site.process, rival);
    site.shop = Some(at_rival);
    site.until_orders(50).await?;
    site.recovered().await?;
    ensure!(!first.has_ended(), "a process that is replaced goes on answering");
    let allowed = Allowed { released: true, ..Allowed::default() };
    site.close(allowed).await
}

/// No member clicks, so the first process must find out by itself that it was replaced.
pub(super) async fn rival_idle(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let shop = site.shop.take().context("a shop")?;
    site.receipts.merge(shop.close().await);
    site.process.signal(Signal::STOP)?;
    let rival = site.rival().await?;
    let at_rival = Shop::open(&site.counter_at(&rival, "r")?);
    let enough = at_rival.orders() + 10;
    until("the rival sells", || at_rival.orders() >= enough).await?;
    site.process.signal(Signal::CONT)?;
    fenced(&site).await?;
    let views = hand_over(&mut site, rival, at_rival).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// A process is stopped while accepted orders wait in its queue, another process sells, and the first one goes on.
pub(super) async fn replaced(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 5 }) {
        let mut site = Site::open(&suite.binary, &[], &[]).await?;
        // Behind a batch that Redis does not answer, orders wait that the next owner knows nothing of.
        signal_to(site.redis.pid(), Signal::STOP)?;
        site.orders_without_waiting(SHOPPERS).await?;
        site.process.signal(Signal::STOP)?;
        signal_to(site.redis.pid(), Signal::CONT)?;
        let rival = site.rival().await?;
        let at_rival = Shop::open(&site.counter_at(&rival, "r")?);
        stand_still(super::patience::CONFIRM_WITHIN + Duration::from_millis(500)).await;
        let before = site.shop.as_ref().map(Shop::orders);
        site.process.signal(Signal::CONT)?;
        fenced(&site).await?;
        let first = site.shop.take().context("the first shop")?;
        // Answers may have been on their way when it was stopped: at most one for each shopper.
        let after = first.orders();
        ensure!(
            after <= before.unwrap_or(0) + SHOPPERS,
            "it sold on: {before:?} to {after} orders"
        );
        site.receipts.merge(first.close_within(Duration::from_millis(200)).await);
        outcome.views.merge(hand_over(&mut site, rival, at_rival).await?);
        outcome.times += 1;
        outcome.recovery = outcome.recovery.max(site.recovery);
    }
    Ok(outcome)
}

/// Redis is away: clicks are accepted at first and refused as `busy` later. When Redis is back,
/// every accepted order is confirmed.
pub(super) async fn away(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 1, long: 3 });
    for _ in 0..times {
        site.redis.kill();
        for _ in 0..5 {
            site.accepts().await.context("orders wait in the queue")?;
        }
        let start = Instant::now();
        loop {
            let not_ready = site.process.ready().await?.is_err();
            let metrics = site.process.as_operator()?.metrics().await?;
            let refused = metrics.lines().find_map(|line| {
                line.strip_prefix("flashlane_refused_total{sale=\"large\",code=\"busy\"} ")
            });
            let is_busy = refused.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0) > 0;
            let is_told = metrics.contains("flashlane_store_trouble{sale=\"large\"} 1");
            if not_ready && is_busy && is_told {
                break;
            }
            ensure!(start.elapsed() < patience(), "it does not say that Redis is away");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.redis.start_again();
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}
