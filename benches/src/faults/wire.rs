//! Scenarios in which the way between flashlane and Redis is cut, slow, narrow, silent or closed.

use super::patience::until;
use super::proxy::{Proxy, Trick, Weather};
use super::site::Site;
use super::spoils::reserved;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use crate::run::redis::RedisServer;
use crate::world::{Lamps, NOW, terms};
use anyhow::ensure;
use engine::rules::order::Status::Confirmed;
use engine::rules::terms::SaleId;
use engine::store::{Batch, RedisOptions, RedisStore, Store, StoreError, Verdict};
use std::time::Duration;

/// Cuts the connection after each byte of a request, up to the length of the longest request.
pub(super) async fn cut_requests(suite: Suite) -> anyhow::Result<Outcome> {
    cut(suite, Trick::CutRequest, |(request, _)| request).await
}

/// Cuts the connection after each byte of a reply, up to the length of the longest reply.
pub(super) async fn cut_replies(suite: Suite) -> anyhow::Result<Outcome> {
    cut(suite, Trick::CutReply, |(_, reply)| reply).await
}

/// Cuts the connection while orders are paid and cancelled.
pub(super) async fn cut_changes(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 12, long: 100 });
    for turn in 0..times {
        // The first cut lets no byte through.
        site.proxy.play(Trick::CutChange(usize::try_from(turn)? * 13));
        until("a change is cut", || site.proxy.played() > turn).await?;
    }
    site.recovered().await?;
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

async fn cut(
    suite: Suite,
    trick: fn(usize) -> Trick,
    longest: fn((usize, usize)) -> usize,
) -> anyhow::Result<Outcome> {
    let exact = each_byte(trick).await?;
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    // The short form skips bytes.
    let stride = usize::try_from(suite.times(Times { short: 13, long: 1 }))?;
    let mut outcome = Outcome::default();
    let (mut after, end) = (0, longest(site.proxy.longest()));
    while after <= end {
        site.proxy.play(trick(after));
        outcome.times += 1;
        let played = outcome.times;
        until("a commit is cut", || site.proxy.played() >= played).await?;
        let commits = site.proxy.commits();
        until("commits go on", || site.proxy.commits() > commits).await?;
        after += stride;
    }
    site.recovered().await?;
    outcome.views = site.close(Allowed::default()).await?;
    outcome.recovery = site.recovery;
    outcome.times += exact;
    Ok(outcome)
}

/// Sends batches of three orders and cuts each after one more byte of its request, or of its reply.
/// A batch is decided as a whole or not at all, and gets the one verdict when it is sent again.
/// Returns the number of cuts.
async fn each_byte(trick: fn(usize) -> Trick) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let redis = RedisServer::start(folder.path());
    let proxy = Proxy::start(redis.address()).await?;
    let (store, _) =
        RedisStore::connect(&RedisOptions::new(format!("redis://{}", proxy.address))).await?;
    let store = Store::from(store);
    let sale: SaleId = "bytes".parse()?;
    store.opening.create(&terms(sale.as_str(), Lamps { stock: 1_000_000, limit: 60_000 })).await?;
    let epoch = store.opening.open(&sale).await?.epoch;
    // All order numbers have the same length, so that all batches have the same length.
    let mut number = 100_000;
    for after in 0.. {
        let orders = (0..3).map(|i| reserved(number + i, "ann", 1)).collect();
        number += 3;
        let batch = Batch { sale: sale.clone(), epoch, at: NOW, pay_by: NOW, orders };
        let (request, reply) = proxy.longest();
        proxy.play(trick(after));
        let (cuts, is_whole) = match trick(0) {
            Trick::CutReply(_) => (reply, after >= reply),
            _ => (request, after >= request),
        };
        if after > 0 && is_whole {
            let audit = store.reading.audit().await?;
            ensure!(audit.is_clean(), "{audit:?}");
            let confirmed = audit.sales.first().map(|sale| sale.tallies.sum(Confirmed).orders);
            ensure!(
                confirmed == Some(3 * after as u64),
                "{after} batches made {confirmed:?} orders"
            );
            return Ok(cuts as u64);
        }
        let cut = store.selling.commit(&batch).await;
        let is_unknown =
            matches!(&cut, Err(broken) if matches!(broken.error, StoreError::Unknown(_)));
        ensure!(is_unknown, "cut after byte {after}: {cut:?}");
        let verdicts = store.selling.commit(&batch).await?;
        ensure!(verdicts == [Verdict::Stored(Confirmed, NOW); 3], "byte {after}: {verdicts:?}");
    }
    unreachable!("a request ends")
}

async fn under(suite: Suite, weather: Weather, lasts: Option<Duration>) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 1, long: 3 });
    for _ in 0..times {
        site.proxy.weather(weather);
        match lasts {
            // No order gets through, so the scenario waits for a fixed time.
            Some(lasts) => tokio::time::sleep(lasts).await,
            None => site.until_orders(100).await?,
        }
        site.proxy.weather(Weather::Fair);
        site.recovered().await?;
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

pub(super) async fn slow(suite: Suite) -> anyhow::Result<Outcome> {
    under(suite, Weather::Slow(Duration::from_millis(100)), None).await
}

pub(super) async fn sliced(suite: Suite) -> anyhow::Result<Outcome> {
    under(suite, Weather::Sliced(1), None).await
}

pub(super) async fn throttled(suite: Suite) -> anyhow::Result<Outcome> {
    under(suite, Weather::Throttled(64), None).await
}

pub(super) async fn swallowed(suite: Suite) -> anyhow::Result<Outcome> {
    under(suite, Weather::Swallowed, Some(Duration::from_secs(3))).await
}

pub(super) async fn refused(suite: Suite) -> anyhow::Result<Outcome> {
    under(suite, Weather::Refused, Some(Duration::from_secs(1))).await
}
