//! `latency`: how long a click waits for its answer at several parts of the most that the server takes, and how long
//! until its order is on disk. Clicks are due at a fixed rate, and a late answer counts from when its click was due.

use anyhow::{Context, ensure};
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Plan, SoFar};
use benches::run::operator::Operator;
use benches::run::server::Server;
use benches::told::plot::{Line, latencies};
use benches::told::tally::{Latency, PERCENTILES, Tally};
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures latency by load
#[derive(Debug, Parser)]
struct Options {
    /// Seconds at each load
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Writes a plot to this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

/// Of a hundred clicks of the most that the server takes.
const LOADS: [u64; 4] = [25, 50, 75, 90];
/// The load at which clicks also wait for the disk, and how many of a hundred do.
const HALF: u64 = 50;
const WAITING: u64 = 10;
const SALE: &str = "deep";

struct Site {
    server: Server,
    operator: Operator,
    clickers: Arc<[Clicker]>,
    connections: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let data = tempfile::tempdir()?;
    let server = Server::flashlane(data.path(), &[])?;
    let key = std::fs::read_to_string(data.path().join("operator.key"))?;
    let mut operator = Operator::new(server.operator.context("an operator listener")?, &key)?;
    operator.make_sale(&open_to_all(SALE, Lamps { stock: 10_000_000, limit: 65_535 })).await?;
    let (clickers, _) = clickers(data.path(), 50_000, &[92, 4, 2, 1, 1], 0)?;
    let mut site = Site { server, operator, clickers, connections: options.connections };

    // The first seconds warm up.
    site.clicks(None, 2, 0).await?;
    let start = Instant::now();
    let most = site.clicks(None, options.seconds, 0).await?;
    let most = orders(&most)?.0.len() * 1_000 / u64::try_from(start.elapsed().as_millis())?;
    let mut out = std::io::stdout();
    let names: Vec<&str> = PERCENTILES.iter().map(|(name, _)| *name).collect();
    writeln!(out, "| of the most, {most} clicks/s | clicks/s | {} |", names.join(" | "))?;
    writeln!(out, "| --- | --- |{}", " --- |".repeat(names.len()))?;
    let mut lines = Vec::new();
    let mut say = |name: String, rate: String, latency: &Latency| {
        let ms = |(_, p): &(&str, f64)| latency.0.value_at_percentile(*p) as f64 / 1e3;
        let ms: Vec<String> = PERCENTILES.iter().map(|p| format!("{:.2} ms", ms(p))).collect();
        lines.push(Line::by_nines(&name, latency));
        writeln!(out, "| {name} | {rate} | {} |", ms.join(" | "))
    };
    for load in LOADS {
        let rate = most * load / 100;
        let tally = site.clicks(Some(rate), options.seconds, 0).await?;
        say(format!("{load} %, judged"), rate.to_string(), &orders(&tally)?)?;
    }
    let rate = most * HALF / 100;
    let tally = site.clicks(Some(rate), options.seconds, WAITING).await?;
    let on_disk = tally.latencies.get("confirmed").context("clicks that waited")?;
    say(format!("{HALF} %, on disk"), format!("{}", rate * WAITING / 100), on_disk)?;
    if let Some(path) = &options.svg {
        std::fs::write(path, latencies(&lines)?)?;
    }
    Ok(())
}

impl Site {
    async fn clicks(
        &mut self,
        rate: Option<u64>,
        seconds: u64,
        wait_percent: u64,
    ) -> anyhow::Result<Tally> {
        let plan = Plan {
            rate,
            duration: Duration::from_secs(seconds),
            connections: self.connections,
            wait_percent,
            ..Plan::new(self.server.public, SALE, &self.clickers)
        };
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        ensure!(tally.unanswered == 0, "{:?}", tally.first_error);
        self.operator.settled(SALE, Duration::from_secs(60)).await?;
        Ok(tally)
    }
}

/// The latency of every click; each became an order.
fn orders(tally: &Tally) -> anyhow::Result<Latency> {
    let mut all = Latency::default();
    for (kind, latency) in &tally.latencies {
        ensure!(["accepted", "confirmed"].contains(&kind.as_str()), "clicks were told {kind}");
        all.0.add(&latency.0)?;
    }
    Ok(all)
}
