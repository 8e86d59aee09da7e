//! `load`: drives a member drop, reports what came back, and audits it.

use anyhow::{Context, bail, ensure};
use benches::load::afterwards::{Actors, Lives, Mix};
use benches::load::book;
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Batches, Moment, Plan, SoFar};
use benches::run::operator::{ListedOrder, Operator, SaleReport};
use benches::run::platform::Platform;
use benches::told::audit::Audit;
use benches::told::report::{Report, Sample};
use benches::told::tally::Tally;
use clap::Parser;
use engine::store::{JournalOptions, JournalStore, RedisOptions, RedisStore, Store};
use hyper::header::HeaderValue;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use membership::Tier;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Drives a member drop with an open loop, reports accepted, confirmed and refused apart, and audits
///
/// Clicks are due at a fixed rate, and latency counts from when a click was due. At the end the
/// receipts are compared with the operator's list of orders and, with --verify-after-stopping, with
/// the store. Exits 1 and names the differences if there are any.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Options {
    /// The public addresses of the server, or of several nodes, on loopback; clicks are spread over them
    #[arg(long, default_value = "127.0.0.1:8080", value_delimiter = ',')]
    target: Vec<SocketAddr>,
    /// The server's operator address
    #[arg(long, default_value = "127.0.0.1:8081")]
    operator: SocketAddr,
    /// Folder of the server's keys
    #[arg(long, default_value = "./flashlane-data")]
    data: PathBuf,
    /// The sale to click in; it must not have orders yet
    #[arg(long, default_value = "drop")]
    sale: String,
    /// Make the sale with this many units first
    #[arg(long, value_name = "UNITS")]
    make: Option<u32>,
    /// Limits of a sale to make: regular, silver, gold, platinum, diamond
    #[arg(long, value_delimiter = ',', default_value = "1,1,2,2,3")]
    limits: Vec<u32>,
    /// Of a hundred members, how many have an account in the book; they pay with points and a coupon in part
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    enrolled: usize,
    /// The server's platform address; with --enrolled and --batch
    #[arg(long, default_value = "127.0.0.1:8082")]
    platform: SocketAddr,
    /// Milliseconds between the windows of a sale to make, diamond first
    #[arg(long, default_value_t = 1_000)]
    stagger_ms: u64,
    /// Members who click, in turn
    #[arg(long, default_value_t = 20_000)]
    members: usize,
    /// Members of each tier in a hundred: regular, silver, gold, platinum, diamond
    #[arg(long, value_delimiter = ',', default_value = "70,15,9,4,2")]
    tiers: Vec<usize>,
    /// Clicks a second, or `max`: each connection clicks again as soon as it is answered
    #[arg(long, default_value = "5000", value_parser = rate)]
    rate: Rate,
    /// Seconds for which clicks are sent
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// Send clicks in batches of so many, as a server of the platform does; 1 to 8,192
    #[arg(long, value_name = "CLICKS", value_parser = clap::value_parser!(u32).range(1..=8_192))]
    batch: Option<u32>,
    /// Units a click
    #[arg(long, default_value_t = 1)]
    units: u32,
    /// Of a hundred clicks, how many ask to wait for their confirmation
    #[arg(long, default_value_t = 10)]
    wait_percent: u64,
    /// Give each click an idempotency key
    #[arg(long)]
    keyed: bool,
    /// Of a hundred clicks, how many are sent twice; with --keyed
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    repeated: u64,
    /// Seconds within which orders of a sale to make are to be paid
    #[arg(long, default_value_t = 900)]
    pay_within_s: u64,
    #[command(flatten)]
    mix: Mix,
    /// A process is killed meanwhile: orders that were only reserved may be gone
    #[arg(long)]
    killed: bool,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// After the clicks, end the server with this process id and audit its store, too
    #[arg(long, value_name = "PID")]
    verify_after_stopping: Option<i32>,
    /// The Redis of the server whose store is audited; without it, the data folder has the store
    #[arg(long, value_name = "URL", requires = "verify_after_stopping")]
    redis: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Rate(Option<u64>);

fn rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse::<u64>()) {
        ("max", _) => Ok(Rate(None)),
        (_, Ok(rate)) if (1..=1_000_000).contains(&rate) => Ok(Rate(Some(rate))),
        _ => Err("1 to 1,000,000 clicks a second, or `max`".into()),
    }
}

impl Options {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.target
                .iter()
                .chain([&self.operator, &self.platform])
                .all(|to| to.ip().is_loopback()),
            "load is sent to loopback addresses only"
        );
        ensure!(self.limits.len() == 5, "--limits takes five numbers, regular first");
        ensure!((1..=600).contains(&self.seconds), "--seconds takes 1 to 600");
        ensure!((1..=10_000).contains(&self.connections), "--connections takes 1 to 10,000");
        let is_plain = self.repeated == 0 && self.enrolled == 0 && !self.mix.is_some();
        ensure!(self.batch.is_none() || is_plain, "--batch sends clicks, and nothing follows them");
        Ok(())
    }

    fn batches(&self) -> anyhow::Result<Option<Batches>> {
        let Some(size) = self.batch else { return Ok(None) };
        let key = read(&self.data.join("platform.key"))?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", key.trim()))?;
        Ok(Some(Batches { target: self.platform, authorization, size }))
    }

    fn plan(
        &self,
        clickers: Arc<[Clicker]>,
        batches: Option<Batches>,
        tell: mpsc::UnboundedSender<Moment>,
    ) -> Plan {
        Plan {
            batches,
            targets: self.target.as_slice().into(),
            sale: self.sale.clone(),
            clickers,
            rate: self.rate.0,
            duration: Duration::from_secs(self.seconds),
            connections: self.connections,
            units: self.units,
            wait_percent: self.wait_percent,
            keyed: self.keyed,
            repeated_percent: self.repeated,
            moments: self.mix.is_some().then_some(tell),
            receipts: true,
        }
    }
}

/// What came of the clicks and of what followed them.
struct Run {
    started_at: Timestamp,
    tally: Tally,
    lives: Lives,
    samples: Vec<Sample>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    options.check()?;
    let (clickers, members) =
        clickers(&options.data, options.members, &options.tiers, options.enrolled)?;
    let key = read(&options.data.join("operator.key"))?;
    let mut operator = Operator::new(options.operator, &key)?;
    let mut book = match options.enrolled {
        0 => None,
        _ => {
            let key = read(&options.data.join("platform.key"))?;
            let mut platform = Platform::new(options.platform, key.trim())?;
            let before = book::enrol(&mut platform, &mut operator, &clickers).await;
            Some((platform, before.context("the members could not be enrolled")?))
        }
    };
    if let Some(units) = options.make {
        let sale = sale_to_make(&options, units)?;
        operator.make_sale(&sale).await.context("the sale could not be made")?;
    }
    let run = run(&options, &mut operator, clickers).await?;
    let sale = operator.settled(&options.sale, Duration::from_secs(60)).await?;
    let listed = operator.orders(&options.sale).await?;
    let mut audit = audit(&options, &run, &listed, &sale);
    if let Some((platform, before)) = &mut book {
        let (members, differences) =
            book::compare(platform, &mut operator, before, &listed).await?;
        audit.book(members, differences);
    }
    if let Some(pid) = options.verify_after_stopping {
        verify_store(&options, pid, &listed, &mut audit).await?;
    }
    let Run { started_at, tally, lives, samples } = run;
    let report = Report {
        command: std::env::args().skip(1).fold("load".into(), |line, arg| line + " " + &arg),
        started_at,
        rate: options.rate.0,
        accepted: tally.receipts.len() as u64,
        confirmed: listed.iter().filter(|order| order.was_confirmed()).count() as u64,
        refused: tally.refusals(),
        unanswered: tally.unanswered,
        lives: lives.counts,
        latency: tally.latencies.iter().map(|(o, l)| (o.clone(), l.summary())).collect(),
        tiers: Report::stories(&tally, &members, &listed, &sale, started_at),
        samples: with_end(samples, &sale),
        sale,
        audit,
    };
    say(&options, &report, &tally, &listed)?;
    Ok(if report.audit.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the clicks, and follows their orders to the end.
async fn run(
    options: &Options,
    operator: &mut Operator,
    clickers: Arc<[Clicker]>,
) -> anyhow::Result<Run> {
    let before = operator.report(&options.sale).await?;
    ensure!(before.left == before.stock, "the sale {} has orders already", options.sale);
    let Options { target, data, sale, mix, .. } = options;
    let clicking = Arc::clone(&clickers);
    let actors = Arc::new(Actors::new(target[0], data, sale, clickers, *mix)?);
    let (tell, told) = mpsc::unbounded_channel();
    let acting = tokio::spawn(Arc::clone(&actors).act(told));

    let started_at = Timestamp::now();
    let so_far = Arc::new(SoFar::default());
    let driving =
        tokio::spawn(drive(options.plan(clicking, options.batches()?, tell), Arc::clone(&so_far)));
    let samples = watch(options, operator, &so_far, || driving.is_finished()).await?;
    let tally = driving.await?;
    let mut lives = acting.await?;
    if mix.is_some() {
        let patience = Duration::from_secs(60 + 10 * options.pay_within_s);
        actors.end(operator, &mut lives, patience).await?;
    }
    Ok(Run { started_at, tally, lives, samples })
}

/// Compares the receipts with the operator's list.
fn audit(options: &Options, run: &Run, listed: &[ListedOrder], sale: &SaleReport) -> Audit {
    let mut audit = Audit { reserved_may_go: options.killed, ..Audit::default() };
    audit.orders(&run.tally, listed, sale, &run.lives.joined);
    if options.mix.is_some() {
        audit.lives(&run.lives, listed, sale);
    }
    audit
}

/// Ends the server and compares its store with the operator's list.
async fn verify_store(
    options: &Options,
    pid: i32,
    listed: &[ListedOrder],
    audit: &mut Audit,
) -> anyhow::Result<()> {
    stop(pid).await?;
    let store: Store = match &options.redis {
        Some(url) => RedisStore::connect(&RedisOptions::new(url)).await?.0.into(),
        None => JournalStore::open(&options.data, JournalOptions::default())?.into(),
    };
    let stored = store.reading.audit().await?;
    let stored = stored.sales.iter().find(|stored| stored.sale.as_str() == options.sale);
    audit.store(stored, listed);
    Ok(())
}

/// Prints the report, and writes the files that were asked for.
fn say(
    options: &Options,
    report: &Report,
    tally: &Tally,
    listed: &[ListedOrder],
) -> anyhow::Result<()> {
    write!(std::io::stdout(), "{}", report.text())?;
    if let Some(path) = &options.json {
        write(path, &serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &options.html {
        write(path, &report.html(tally, listed)?)?;
        writeln!(std::io::stdout(), "\nreport {}", path.display())?;
    }
    if let Some(error) = &tally.first_error {
        writeln!(std::io::stderr(), "first click without an answer: {error}")?;
    }
    Ok(())
}

fn sale_to_make(options: &Options, units: u32) -> anyhow::Result<serde_json::Value> {
    let now_ms = Timestamp::now().as_millisecond();
    let at = |ms: u64| -> anyhow::Result<String> {
        Ok(Timestamp::from_millisecond(now_ms + i64::try_from(ms)?)?.to_string())
    };
    let lead_ms = 500;
    let mut windows = BTreeMap::new();
    for (tier, nth) in Tier::ALL.into_iter().rev().zip(0..) {
        windows.insert(tier.as_str(), at(lead_ms + nth * options.stagger_ms)?);
    }
    let limits: BTreeMap<_, _> =
        Tier::ALL.iter().map(|tier| tier.as_str()).zip(&options.limits).collect();
    Ok(json!({
        "id": options.sale, "title": "A lamp that only members get", "price_cents": 19_900,
        "currency": "CNY", "stock": units, "windows": windows, "limits": limits,
        "closes_at": at(3_600_000)?, "pay_within_s": options.pay_within_s,
        "points_share_max": 50, "coupons": ["welcome"],
    }))
}

/// Follows the sale and shows progress until the clicks are over.
async fn watch(
    options: &Options,
    operator: &mut Operator,
    so_far: &SoFar,
    is_over: impl Fn() -> bool,
) -> anyhow::Result<Vec<Sample>> {
    let bar = ProgressBar::with_draw_target(
        Some(options.seconds * 10),
        ProgressDrawTarget::stderr_with_hz(10),
    );
    bar.set_style(ProgressStyle::with_template("{bar:30} {elapsed} {msg}")?);
    let (start, mut samples) = (Instant::now(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !is_over() {
        tick.tick().await;
        let SaleReport { left, reserved, confirmed, .. } = operator.report(&options.sale).await?;
        samples.push(Sample { at_s: start.elapsed().as_secs_f64(), left, reserved, confirmed });
        // Ordering: Relaxed, these counts are only displayed.
        let accepted = so_far.accepted.load(Ordering::Relaxed);
        let refused = so_far.refused.load(Ordering::Relaxed);
        bar.set_position(u64::try_from(start.elapsed().as_millis() / 100)?);
        bar.set_message(format!("{left} left, {accepted} accepted, {refused} refused"));
    }
    bar.finish_and_clear();
    Ok(samples)
}

fn with_end(mut samples: Vec<Sample>, sale: &SaleReport) -> Vec<Sample> {
    if let Some(last) = samples.last().copied() {
        let SaleReport { left, reserved, confirmed, .. } = *sale;
        samples.push(Sample { at_s: last.at_s + 0.1, left, reserved, confirmed });
    }
    samples
}

/// Asks the server to end and waits until it has ended, because only then can its store be read.
async fn stop(pid: i32) -> anyhow::Result<()> {
    let server = Pid::from_raw(pid).context("--verify-after-stopping takes a process id")?;
    kill_process(server, Signal::TERM).context("the server could not be told to stop")?;
    let start = Instant::now();
    while test_kill_process(server).is_ok() && !is_zombie(pid) {
        if start.elapsed() > Duration::from_secs(60) {
            bail!("the server did not stop within 60 s");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Whether the process has ended and its parent has not noticed yet.
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| {
        format!("cannot read {}; name the server's folder with --data", path.display())
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
