//! `faults`: breaks the real binary and the real redis-server, and says what became of the orders.

use anyhow::{Context, ensure};
use benches::faults::scenarios::{SCENARIOS, Scenario};
use benches::faults::suite::{Outcome, Suite};
use clap::Parser;
use futures_util::StreamExt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Breaks the real binary and the real redis-server under load, and compares what clients were told
/// with what the store and its outbox hold
///
/// Exits 3 and names the problem if an order was lost, sold twice or left behind.
#[derive(Debug, Parser)]
struct Options {
    /// Every fault as often as the table of docs/measured.md says; much longer
    #[arg(long)]
    long: bool,
    /// Only these scenarios; `--list` names them
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Name the scenarios and do nothing
    #[arg(long)]
    list: bool,
    /// `flashlane` as users have it; the one beside this program if not given
    #[arg(long)]
    binary: Option<PathBuf>,
    /// `flashlane` built with the feature `faults`
    #[arg(long)]
    armed: Option<PathBuf>,
    /// `flashlane` of an earlier version: the scenario `versions` runs, too
    #[arg(long)]
    before: Option<PathBuf>,
    /// How many replicas must have what is confirmed on many machines; with 0 a fail-over loses orders, and this program says so
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// Scenarios that run at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = std::io::stdout();
    if options.list {
        for (name, fault, _) in SCENARIOS {
            writeln!(out, "{name:14} {fault}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let beside = std::env::current_exe()?.with_file_name("flashlane");
    let binary = options.binary.unwrap_or(beside);
    let armed =
        options.armed.context("--armed names a flashlane built with --features engine/faults")?;
    for path in [&binary, &armed].into_iter().chain(&options.before) {
        ensure!(path.exists(), "there is no {}; build it first", path.display());
    }
    for name in &options.only {
        ensure!(SCENARIOS.iter().any(|(n, ..)| n == name), "--list names no scenario {name}");
    }
    let suite = Suite {
        binary,
        armed,
        before: options.before,
        replicas: options.replicas,
        is_long: options.long,
    };
    let has_before = suite.before.is_some();
    let chosen = |(name, ..): &Scenario| match options.only.is_empty() {
        true => has_before || *name != "versions",
        false => options.only.iter().any(|n| n == name),
    };
    let chosen = SCENARIOS.iter().zip(0..).filter(|(scenario, _)| chosen(scenario));
    let running = chosen.map(|(scenario, nth)| run(*scenario, nth, suite.clone()));
    let mut running = futures_util::stream::iter(running).buffer_unordered(options.jobs);
    let mut rows = Vec::new();
    while let Some(row) = running.next().await {
        writeln!(std::io::stderr(), "{}", row.progress)?;
        rows.push(row);
    }
    rows.sort_by_key(|row| row.nth);
    writeln!(
        out,
        "| fault | times | accepted | confirmed | lost | duplicated | oversold | recovered within |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for row in &rows {
        writeln!(out, "{}", row.line)?;
    }
    let broken: Vec<_> = rows.iter().flat_map(|row| &row.broken).collect();
    for problem in &broken {
        writeln!(out, "BROKEN {problem}")?;
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

struct Row {
    nth: usize,
    line: String,
    progress: String,
    broken: Vec<String>,
}

async fn run((name, fault, make): Scenario, nth: usize, suite: Suite) -> Row {
    let start = Instant::now();
    // Each scenario is a task of its own, so a panic breaks this scenario and no other.
    let made = tokio::spawn(make(suite)).await.map_err(anyhow::Error::from).flatten();
    let took_s = start.elapsed().as_secs_f64();
    let (outcome, failure) = match made {
        Ok(outcome) => (outcome, None),
        Err(error) => (Outcome::default(), Some(format!("{name}: {error:#}"))),
    };
    let Outcome { times, views, recovery } = outcome;
    let line = format!(
        "| {fault} | {times} | {} | {} | {} | {} | {} | {:.2} s |",
        views.accepted,
        views.confirmed,
        views.lost,
        views.duplicated,
        views.oversold,
        recovery.as_secs_f64()
    );
    let mut broken: Vec<_> = failure.into_iter().collect();
    broken.extend(views.problems.iter().map(|problem| format!("{name}: {problem}")));
    if views.lost + views.duplicated + views.oversold > 0 {
        broken.push(format!(
            "{name}: {} lost, {} duplicated, {} oversold",
            views.lost, views.duplicated, views.oversold
        ));
    }
    let state = if broken.is_empty() { "well" } else { "BROKEN" };
    let progress = format!("{name:14} {state:6} {took_s:5.1} s  {times} times");
    Row { nth, line, progress, broken }
}
