//! `soak`: sells one sale after the other for a long time, and looks whether the server takes more of anything.

use anyhow::{Context, ensure};
use benches::load::afterwards::refund;
use benches::run::client::Client;
use benches::run::operator::Operator;
use benches::run::server::Server;
use benches::told::plot::{Line, over_time};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::DirEntry;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Opens, sells, pays and archives one sale after the other, each audited by `load`; old ones are deleted
///
/// Prints what the server takes as time goes on, and exits 1 if it takes more in the last quarter than it
/// did in the second.
#[derive(Debug, Parser)]
struct Options {
    /// For how long, 10 s to 48 h, in seconds
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(10..=172_800))]
    seconds: u64,
    /// Units of each sale
    #[arg(long, default_value_t = 2_000)]
    units: u32,
    /// Members who click in each sale
    #[arg(long, default_value_t = 20_000)]
    members: u32,
    /// Write a plot to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// So long after it is over, a sale is archived.
const ARCHIVE_AFTER: &str = "2s";
/// Fewer sales than these are not compared, however long they took.
const SALES_MIN: u64 = KEPT + 8;
/// So many sales stay in the archive; the one before them is deleted.
const KEPT: u64 = 5;
/// How long an archived sale may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rows of the table.
const ROWS: usize = 12;

/// What a server takes. Names and units, in the order of `Sample::taken`.
const TAKEN: [&str; 4] = ["memory, MiB", "descriptors", "threads", "disk, MiB"];
/// How much more the last quarter may take than the second: a part, and as much in any case. Memory has what
/// its allocator keeps, the disk has segments of 64 MiB that come and go.
const MORE: [(f64, f64); 4] = [(0.10, 8.0), (0.0, 8.0), (0.0, 4.0), (0.10, 80.0)];

/// Until so many seconds the allocator still takes what it will keep: more than this is a leak all the same.
const WARM_S: f64 = 600.0;
const COLD_MIB: f64 = 64.0;

/// What there was after one sale.
struct Sample {
    at_s: f64,
    sales: u64,
    taken: [f64; 4],
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let data = tempfile::tempdir()?;
    let more = ["--archive-after", ARCHIVE_AFTER, "--outbox-keep", "10s"];
    let server = Server::flashlane(data.path(), &more)?;
    let key = std::fs::read_to_string(data.path().join("operator.key"))?;
    let mut operator = Operator::new(server.operator.context("an operator listener")?, &key)?;
    let (start, mut samples) = (Instant::now(), Vec::new());
    let bar = ProgressBar::new(options.seconds);
    bar.set_style(ProgressStyle::with_template("{bar:30} {elapsed} {msg}")?);
    for nth in 0_u64.. {
        sell(&options, &server, data.path(), nth)?;
        operator.switch(&name(nth), "close").await?;
        give_back(&mut operator, &server, data.path(), &name(nth)).await?;
        if let Some(old) = nth.checked_sub(KEPT) {
            delete(&mut operator, &name(old)).await?;
        }
        let sample = Sample {
            at_s: start.elapsed().as_secs_f64(),
            sales: nth + 1,
            taken: taken(&server, data.path())?,
        };
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{} sales, {:.1} MiB", nth + 1, sample.taken[0]));
        samples.push(sample);
        if start.elapsed().as_secs() >= options.seconds && nth >= SALES_MIN {
            break;
        }
    }
    bar.finish_and_clear();
    // Until the first one is deleted, there is more of everything.
    let samples = samples.split_off(usize::try_from(KEPT)?);
    tell(&samples)?;
    if let Some(path) = &options.svg {
        std::fs::write(path, plot(&samples)?)?;
    }
    let grown = grown(&samples);
    for what in &grown {
        writeln!(std::io::stderr(), "soak: {what}")?;
    }
    Ok(if grown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn name(nth: u64) -> String {
    format!("soak-{nth}")
}

/// Has `load` make a sale, sell and pay it, and audit it.
fn sell(options: &Options, server: &Server, data: &Path, nth: u64) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("where this program is")?;
    let load = own.parent().context("a program lies in a folder")?.join("load");
    let operator = server.operator.context("an operator listener")?;
    let text = |number: u32| number.to_string();
    let args: [(&str, &str); 14] = [
        ("--target", &server.public.to_string()),
        ("--operator", &operator.to_string()),
        ("--data", data.to_str().context("a plain folder name")?),
        ("--sale", &name(nth)),
        ("--make", &text(options.units)),
        ("--members", &text(options.members)),
        ("--stagger-ms", "50"),
        ("--rate", "5000"),
        ("--seconds", "1"),
        ("--pay-within-s", "1"),
        ("--paid", "60"),
        ("--cancelled", "20"),
        ("--returned", "10"),
        ("--waiting", "5"),
    ];
    let mut load = Command::new(load);
    load.arg("--keyed").args(args.iter().flat_map(|(name, value)| [name, value]));
    let ended = load.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    let said = [ended.stdout, ended.stderr].concat();
    ensure!(ended.status.success(), "{}: {}", name(nth), String::from_utf8_lossy(&said));
    Ok(())
}

/// Gives back the money that is owed: of payments that came when the order was over.
async fn give_back(
    operator: &mut Operator,
    server: &Server,
    data: &Path,
    sale: &str,
) -> anyhow::Result<()> {
    let key = std::fs::read_to_string(data.join("payment.key"))?;
    let mut client = Client::new(server.public);
    let orders = operator.orders(sale).await?;
    for order in orders.iter().filter(|order| order.status == "refund_due") {
        let request = refund(key.trim(), &order.order_id, order.due_cents);
        let (status, _) = client.send(request).await?;
        ensure!(status.is_success(), "a refund of {} was answered with {status}", order.order_id);
    }
    Ok(())
}

/// Waits until a sale is archived, and deletes it.
async fn delete(operator: &mut Operator, sale: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while !operator.report(sale).await?.archived {
        ensure!(start.elapsed() < PATIENCE, "{sale} is over and is not archived");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    operator.delete_sale(sale).await
}

fn taken(server: &Server, data: &Path) -> anyhow::Result<[f64; 4]> {
    Ok([
        mib(server.resident_bytes()?),
        count(server.descriptors()?),
        count(server.threads()?),
        mib(on_disk(data)?),
    ])
}

/// Bytes that a folder takes on its disk. Files may go while they are counted.
fn on_disk(folder: &Path) -> anyhow::Result<u64> {
    let of = |file: DirEntry| -> anyhow::Result<u64> {
        match file.metadata() {
            Ok(found) if found.is_dir() => on_disk(&file.path()),
            Ok(found) => Ok(found.blocks() * 512),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    };
    std::fs::read_dir(folder)?.map(|file| of(file?)).sum()
}

/// Samples of a quarter, from 0 to 3.
fn quarter(samples: &[Sample], nth: usize) -> &[Sample] {
    &samples[samples.len() * nth / 4..samples.len() * (nth + 1) / 4]
}

/// The most of a measure in these samples.
fn most(samples: &[Sample], measure: usize) -> f64 {
    samples.iter().map(|sample| sample.taken[measure]).fold(0.0, f64::max)
}

/// What the server took more of in the end, a sentence each.
fn grown(samples: &[Sample]) -> Vec<String> {
    let (second, last) = (quarter(samples, 1), quarter(samples, 3));
    let more = (0..TAKEN.len()).filter_map(|measure| {
        let (was, is) = (most(second, measure), most(last, measure));
        let (part, mut at_least) = MORE[measure];
        if measure == 0 && samples.last().is_none_or(|sample| sample.at_s < WARM_S) {
            at_least = COLD_MIB;
        }
        let name = TAKEN[measure];
        (is > was + (was * part).max(at_least))
            .then(|| format!("{name}: {was:.1} in the second quarter, {is:.1} in the last"))
    });
    more.collect()
}

fn tell(samples: &[Sample]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "| after, min | sales | {} |", TAKEN.join(" | "))?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    for row in 0..ROWS.min(samples.len()) {
        let part = &samples[samples.len() * row / ROWS..samples.len() * (row + 1) / ROWS];
        let Some(last) = part.last() else { continue };
        let cells = (0..TAKEN.len()).map(|measure| match measure {
            1 | 2 => format!("{:.0}", most(part, measure)),
            _ => format!("{:.1}", most(part, measure)),
        });
        let cells: Vec<_> = cells.collect();
        writeln!(out, "| {:.1} | {} | {} |", last.at_s / 60.0, last.sales, cells.join(" | "))?;
    }
    Ok(())
}

/// All measures in one picture: each as a part of the most that the second quarter took.
fn plot(samples: &[Sample]) -> anyhow::Result<String> {
    let line = |measure: usize| {
        let base = most(quarter(samples, 1), measure);
        let point = |sample: &Sample| (sample.at_s / 60.0, sample.taken[measure] / base * 100.0);
        Line { name: TAKEN[measure].to_owned(), points: samples.iter().map(point).collect() }
    };
    let lines: Vec<_> = (0..TAKEN.len()).map(line).collect();
    over_time(&lines, "minutes", "% of the most in the second quarter")
}

#[expect(clippy::cast_precision_loss, reason = "a figure that is read")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "a figure that is read")]
fn count(of: u64) -> f64 {
    of as f64
}
