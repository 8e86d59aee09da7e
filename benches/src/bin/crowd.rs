//! `crowd`: measures what is left of the server's throughput beside thousands of open streams, and
//! under ten times too many clicks.

use anyhow::{Context, ensure};
use benches::faults::proxy::{Proxy, Weather};
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Plan, SoFar};
use benches::load::slow;
use benches::load::streams::Streams;
use benches::run::operator::Operator;
use benches::run::redis::RedisServer;
use benches::run::server::Server;
use benches::told::tally::Tally;
use clap::Parser;
use membership::Tier;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Measures click throughput beside open event streams, and what is left of it under overload
///
/// Confirmation is the bottleneck: Redis answers slowly here, so that one machine can offer ten
/// times the clicks that it confirms. Slow clients are connected as well.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of each comparison; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Event streams to keep open
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Keep-alive connections that click
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    ensure!(files > options.streams as u64 + 1_000, "raise ulimit -n: {files} files may be open");
    say(&format!("| {} rounds of {} s | | ratio |", options.rounds, options.seconds))?;
    say("| --- | --- | --- |")?;
    beside_streams(&options).await?;
    overload(&options).await
}

/// Returns the median of the values, the least and the most.
fn median(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

struct Site {
    server: Server,
    operator: Operator,
    clickers: Arc<[Clicker]>,
    sales: u64,
}

impl Site {
    fn start(data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let server = Server::flashlane(data, more)?;
        let key = std::fs::read_to_string(data.join("operator.key"))?;
        let operator = Operator::new(server.operator.context("an operator listener")?, &key)?;
        // All tiers have equally many members, so that what is shed of each can be compared.
        let (clickers, _) = clickers(data, 50_000, &[20, 20, 20, 20, 20], 0)?;
        Ok(Self { server, operator, clickers, sales: 0 })
    }

    async fn sale(&mut self) -> anyhow::Result<String> {
        self.sales += 1;
        let id = format!("crowd-{}", self.sales);
        let (open, close) = ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
        let of_each = |value: serde_json::Value| -> BTreeMap<&str, serde_json::Value> {
            Tier::ALL.iter().map(|tier| (tier.as_str(), value.clone())).collect()
        };
        let sale = json!({
            "id": id, "title": "A lamp", "price_cents": 1, "currency": "CNY", "stock": 10_000_000,
            "windows": of_each(json!(open)), "limits": of_each(json!(60_000)),
            "closes_at": close, "pay_within_s": 86_400,
        });
        self.operator.make_sale(&sale).await?;
        Ok(id)
    }

    async fn clicks(&self, sale: &str, rate: Option<u64>, options: &Options) -> Tally {
        let plan = Plan {
            rate,
            duration: Duration::from_secs(options.seconds),
            connections: options.connections,
            receipts: rate.is_some(),
            ..Plan::new(self.server.public, sale, &self.clickers)
        };
        drive(plan, Arc::new(SoFar::default())).await
    }
}

fn accepted(tally: &Tally) -> u64 {
    ["accepted", "confirmed"].iter().map(|o| tally.latencies.get(*o).map_or(0, |l| l.0.len())).sum()
}

/// Compares accepted clicks a second with and without streams, in turns. Every click changes the
/// stock, so the server always has something to tell the streams.
async fn beside_streams(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let streams = options.streams.to_string();
    let more = ["--member-rate", "0", "--anonymous-streams-max", &streams];
    let mut site = Site::start(data.path(), &more)?;
    let (mut ratios, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let sale = site.sale().await?;
        let rate = |tally: &Tally| accepted(tally) as f64 / options.seconds as f64;
        let without = rate(&site.clicks(&sale, None, options).await);
        let mut streams = Streams::open(site.server.public, &sale, options.streams).await?;
        let told = streams.events();
        let with = rate(&site.clicks(&sale, None, options).await);
        let told = (streams.events() - told) as f64 / options.seconds as f64;
        ensure!(streams.still_open() == options.streams, "streams were lost");
        let (n, ratio) = (options.streams, with / without);
        say(&format!(
            "round {round}: {without:.0} accepted/s without streams, {with:.0} with {n}, which are told \
             {told:.0} events/s together: {ratio:.2}"
        ))?;
        ratios.push(ratio);
        alone.push(without);
        beside.push(with);
    }
    let (ratio, least, most) = median(&mut ratios);
    let ((without, ..), (with, ..)) = (median(&mut alone), median(&mut beside));
    say(&format!(
        "| accepted clicks/s with {} open streams of the sale, beside none | {with:.0} beside {without:.0} \
         | {ratio:.2} ({least:.2} to {most:.2}) |",
        options.streams
    ))
}

/// Compares what the store confirms a second at its peak with what it confirms when it is offered
/// ten times that.
async fn overload(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let redis = RedisServer::start(data.path());
    let proxy = Proxy::start(redis.address()).await?;
    let url = format!("redis://{}", proxy.address);
    let store = data.path().join("store");
    let args = ["--redis", &url, "--member-rate", "0", "--confirm-within", "2s"];
    let mut site = Site::start(&store, &args)?;
    proxy.weather(Weather::Slow(Duration::from_millis(100)));

    let mut peaks = Vec::new();
    let mut goodputs = Vec::new();
    for round in 0..options.rounds {
        // The rate rises until the store confirms no more. The most that it confirmed is the peak.
        let mut peak = 0;
        let mut offered = 1_000;
        loop {
            let (confirmed, _) = confirmed_at(&mut site, offered, options).await?;
            let grew = confirmed * 100 > peak * 105;
            peak = peak.max(confirmed);
            if !grew {
                break;
            }
            offered = offered * 3 / 2;
        }
        let ten = 10 * peak;
        let before = site.server.resident_bytes()?;
        let slow_ones = options.connections.div_ceil(20);
        let slow = slow::clients(site.server.public, slow_ones, &site.clickers[0], "crowd-1");
        let (goodput, tally) = confirmed_at(&mut site, ten, options).await?;
        drop(slow);
        let after = site.server.resident_bytes()?;
        let shed = Tier::ALL.map(|tier| {
            let busy = tally.refused.get(&tier).and_then(|codes| codes.get("busy"));
            let clicks = tally.clicks.get(&tier).copied().unwrap_or(0).max(1);
            format!("{tier} {:.0} %", 100.0 * busy.copied().unwrap_or(0) as f64 / clicks as f64)
        });
        let ratio = goodput as f64 / peak.max(1) as f64;
        let p99 = tally.latencies.get("accepted").map_or(0, |l| l.0.value_at_quantile(0.99));
        say(&format!(
            "round {round}: peak {peak} confirmed/s; offered {ten} clicks/s and {slow_ones} slow clients: \
             {goodput} confirmed/s ({:.2}), accepted p99 {:.1} ms, shed: {}; memory {} to {} MiB",
            ratio,
            p99 as f64 / 1_000.0,
            shed.join(", "),
            before >> 20,
            after >> 20,
        ))?;
        peaks.push(peak as f64);
        goodputs.push(ratio);
    }
    let (ratio, least, most) = median(&mut goodputs);
    let (peak, ..) = median(&mut peaks);
    say(&format!(
        "| confirmed/s when ten times the {peak:.0}/s is offered that a distant Redis confirms | {:.0} \
         | {ratio:.2} ({least:.2} to {most:.2}) |",
        ratio * peak
    ))
}

/// Offers clicks at this rate. Returns the orders confirmed a second, from the first click until
/// the clicks are over.
async fn confirmed_at(
    site: &mut Site,
    rate: u64,
    options: &Options,
) -> anyhow::Result<(u64, Tally)> {
    let sale = site.sale().await?;
    let tally = site.clicks(&sale, Some(rate), options).await;
    let report = site.operator.report(&sale).await?;
    let confirmed = report.confirmed / options.seconds;
    site.operator.settled(&sale, Duration::from_secs(30)).await?;
    site.operator.switch(&sale, "close").await?;
    Ok((confirmed, tally))
}
