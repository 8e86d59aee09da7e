//! Faults of many machines: nodes, fronts and primaries that end or stand still, and networks that are cut.

use super::machines::Machines;
use super::process::signal_to;
use super::proxy::Weather;
use super::suite::{Outcome, Suite, Times};
use rustix::process::Signal;
use std::time::Duration;

/// Longer than a lease.
const STILL: Duration = Duration::from_secs(4);
/// In all ten faults a round, so over 300 in the whole suite.
const OFTEN: Times = Times { short: 1, long: 32 };

/// The node that sells is killed, stands still, and is told to end.
pub(super) async fn owners(suite: Suite) -> anyhow::Result<Outcome> {
    let mut machines = Machines::open(&suite).await?;
    for _ in 0..suite.times(OFTEN) {
        let owner = machines.owner().await?;
        machines.nodes[owner].process.kill();
        machines.recovered().await?;
        machines.start_again(false, owner).await?;

        let owner = machines.owner().await?;
        machines.nodes[owner].process.signal(Signal::STOP)?;
        tokio::time::sleep(STILL).await;
        machines.nodes[owner].process.signal(Signal::CONT)?;
        machines.recovered().await?;

        let owner = machines.owner().await?;
        machines.end(false, owner).await?;
        machines.recovered().await?;
        machines.start_again(false, owner).await?;
    }
    ended(machines, 3 * suite.times(OFTEN)).await
}

/// A front is killed; then every process is ended and started again, one after the other.
pub(super) async fn fronts(suite: Suite) -> anyhow::Result<Outcome> {
    let mut machines = Machines::open(&suite).await?;
    for round in 0..suite.times(OFTEN) {
        let front = usize::from(round % 2 == 1);
        machines.fronts[front].process.kill();
        machines.start_again(true, front).await?;
        machines.recovered().await?;

        for (is_front, nth) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1)] {
            machines.end(is_front, nth).await?;
            machines.start_again(is_front, nth).await?;
        }
        machines.recovered().await?;
    }
    ended(machines, 2 * suite.times(OFTEN)).await
}

/// The node that sells is cut off from Redis and not from fronts, and then the other way round.
pub(super) async fn cut_off(suite: Suite) -> anyhow::Result<Outcome> {
    let mut machines = Machines::open(&suite).await?;
    for _ in 0..suite.times(OFTEN) {
        let owner = machines.owner().await?;
        machines.lets_to_redis(owner, false);
        machines.until_another_than(owner).await?;
        machines.recovered().await?;
        machines.lets_to_redis(owner, true);
        machines.recovered().await?;

        let owner = machines.owner().await?;
        let between = machines.nodes[owner].between.as_ref().expect("nodes have one");
        between.weather(Weather::Swallowed);
        between.cut();
        tokio::time::sleep(STILL).await;
        let between = machines.nodes[owner].between.as_ref().expect("nodes have one");
        between.weather(Weather::Fair);
        between.cut();
        machines.recovered().await?;
    }
    ended(machines, 2 * suite.times(OFTEN)).await
}

/// The primary of the sale is killed, and another time stands still; its replica goes on. Then the replica stands still,
/// and the primary is killed with what it alone has.
pub(super) async fn primaries(suite: Suite) -> anyhow::Result<Outcome> {
    if suite.replicas == 0 {
        return unreplicated(suite).await;
    }
    let mut machines = Machines::open(&suite).await?;
    for _ in 0..suite.times(OFTEN) {
        let primary = machines.primary();
        machines.redis.nodes[primary].kill();
        machines.until_promoted(primary).await?;
        machines.start_redis_again(primary);
        machines.recovered().await?;

        let primary = machines.primary();
        let pid = machines.redis.nodes[primary].pid();
        signal_to(pid, Signal::STOP)?;
        let promoted = machines.until_promoted(primary).await;
        signal_to(pid, Signal::CONT)?;
        promoted?;
        machines.redis.until_well();
        machines.recovered().await?;

        machines.lose_a_primary().await?;
        machines.recovered().await?;
    }
    ended(machines, 3 * suite.times(OFTEN)).await
}

/// The last of these faults where no replica must have what is confirmed: what is lost is counted.
async fn unreplicated(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 10 }) {
        let mut machines = Machines::open(&suite).await?;
        machines.lose_a_primary().await?;
        outcome.views.merge(machines.close_as_it_is().await?);
        outcome.times += 1;
    }
    Ok(outcome)
}

async fn ended(machines: Machines, times: u64) -> anyhow::Result<Outcome> {
    let (views, recovery) = machines.close().await?;
    Ok(Outcome { times, views, recovery })
}
