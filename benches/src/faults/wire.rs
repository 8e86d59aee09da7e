//! The way between flashlane and Redis: cut, slow, narrow, silent or closed.

use super::proxy::{Trick, Weather};
use super::site::{Site, until};
use super::views::Allowed;
use super::{Outcome, Suite};
use std::time::Duration;

/// After each byte of a request, until no request is as long.
pub(super) async fn cut_requests(suite: Suite) -> anyhow::Result<Outcome> {
    cut(suite, Trick::CutRequest, |(request, _)| request).await
}

/// After each byte of a reply, until no reply is as long.
pub(super) async fn cut_replies(suite: Suite) -> anyhow::Result<Outcome> {
    cut(suite, Trick::CutReply, |(_, reply)| reply).await
}

async fn cut(
    suite: Suite,
    trick: fn(usize) -> Trick,
    longest: fn((usize, usize)) -> usize,
) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    // The short form leaves bytes out, each time others.
    let stride = usize::try_from(suite.times(13, 1))?;
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
    Ok(outcome)
}

async fn under(suite: Suite, weather: Weather, lasts: Option<Duration>) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(1, 3);
    for _ in 0..times {
        site.proxy.weather(weather);
        match lasts {
            // Nothing gets through: it lasts as long as it lasts.
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
