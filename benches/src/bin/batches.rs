//! `batches`: clicks that the platform's servers gather and send together, by the size of a batch: how many a second become
//! orders on disk, and how many hear that the sale is sold out. Members come at random. With `--passed-on` they are
//! batches of fronts, and the node that judges them is on Redis.

use anyhow::{Context, bail, ensure};
use benches::run::client::Client;
use benches::run::operator::Operator;
use benches::run::redis::RedisServer;
use benches::run::server::Server;
use benches::run::usage::Usage;
use benches::told::plot::{Line, by_size};
use benches::told::spread::Spread;
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use engine::rules::key::IdempotencyKey;
use engine::rules::units::Units;
use gateway::{PASSED_ON_CLICKS, PassedClick};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode, header};
use membership::Tier;
use memchr::memmem;
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Measures batches of clicks by their size
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; medians are reported
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clicks of a round
    #[arg(long, default_value_t = 300_000)]
    clicks: usize,
    /// Members, of whom each click has one at random
    #[arg(long, default_value_t = 768_000)]
    members: u32,
    /// Clicks of a batch
    #[arg(long, value_delimiter = ',', default_value = "64,512,4096,8189")]
    sizes: Vec<usize>,
    /// Connections, each with one batch on its way
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Speaks HTTP/2
    #[arg(long)]
    http2: bool,
    /// Sends what fronts pass on, to a node on a redis-server that is started for it; speaks HTTP/2
    #[arg(long)]
    passed_on: bool,
    /// Writes a plot to this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

/// What clicks of a round are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Each has an idempotency key.
    Keyed,
    /// Each is the first of its member in this process.
    New,
}

impl Kind {
    const ALL: [(Self, &str); 3] = [
        (Self::Plain, "confirmed"),
        (Self::Keyed, "confirmed, each click with a key"),
        (Self::New, "confirmed, members never seen before"),
    ];
}

const GONE: &str = "gone";

struct Site {
    options: Options,
    /// Where batches go.
    address: SocketAddr,
    _redis: Option<RedisServer>,
    authorization: HeaderValue,
    operator: Operator,
    /// So many members were made up so far who are nobody's.
    strangers: u32,
    sales: u32,
    server: Server,
}

/// What a round took.
struct Round {
    took: Duration,
    /// Of a batch, until its answer.
    median: Duration,
    /// Of the server's time on a core.
    cpu: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (rounds, sizes, svg) = (options.rounds, options.sizes.clone(), options.svg.clone());
    let data = tempfile::tempdir()?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| {} rounds of {} clicks, {} members, {} connections | clicks a batch | clicks/s | p50 of a batch | CPU us a click |",
        rounds, options.clicks, options.members, options.connections
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    let mut site = Site::open(options, data.path()).await?;
    site.seat_all().await?;
    let mut lines = Vec::new();
    // Each click that is passed on has a key.
    let kinds =
        Kind::ALL.into_iter().filter(|(kind, _)| !site.options.passed_on || *kind == Kind::Keyed);
    for (kind, name) in kinds.collect::<Vec<_>>() {
        let rates = site.table(name, &sizes, Some(kind)).await?;
        lines.push(Line { name: name.to_owned(), points: rates });
    }
    let points = site.table("sold out", &sizes, None).await?;
    lines.push(Line { name: "sold out".to_owned(), points });
    if let Some(path) = svg {
        std::fs::write(path, by_size(&lines, "clicks a batch", "clicks/s")?)?;
    }
    Ok(())
}

impl Site {
    /// The bodies of batches of so many clicks.
    fn bodies(&self, clicks: impl Iterator<Item = (Kind, u32)>, size: usize) -> Vec<Bytes> {
        let clicks: Vec<_> = clicks.collect();
        let batches = clicks.chunks(size).map(|batch| {
            if self.options.passed_on {
                let batch: Vec<_> = batch.iter().map(|(_, member)| passed(*member)).collect();
                return postcard::to_stdvec(&batch).expect("clicks are plain data").into();
            }
            let clicks = batch.iter().map(|(kind, member)| click(*kind, *member));
            format!("{{\"clicks\":[{}]}}", clicks.collect::<Vec<_>>().join(",")).into()
        });
        batches.collect()
    }

    async fn open(options: Options, data: &Path) -> anyhow::Result<Self> {
        let key = |name: &str| std::fs::read_to_string(data.join(name));
        let redis = options.passed_on.then(|| RedisServer::start(data));
        let (server, address, authorization);
        if let Some(redis) = &redis {
            let node_key = data.join("node.key");
            std::fs::write(&node_key, "the-nodes-of-a-bench\n")?;
            let (url, file) = (redis.url(), node_key.to_str().context("a plain folder name")?);
            let args = ["--redis", &url, "--node-listen", "127.0.0.1:0", "--node-key", file];
            server = Server::flashlane(data, &[&args[..], &["--member-rate", "0"]].concat())?;
            address = server.node.context("a node listener")?;
            authorization = "Bearer the-nodes-of-a-bench".to_owned();
        } else {
            server = Server::flashlane(data, &["--platform-listen", "127.0.0.1:0"])?;
            address = server.platform.context("a platform listener")?;
            authorization = format!("Bearer {}", key("platform.key")?.trim());
        }
        let operator = server.operator.context("an operator listener")?;
        let mut operator = Operator::new(operator, &key("operator.key")?)?;
        operator.make_sale(&open_to_all(GONE, Lamps { stock: 1, limit: 1 })).await?;
        let authorization = authorization.try_into()?;
        let (strangers, sales) = (0, 0);
        let _redis = redis;
        Ok(Self { options, address, _redis, authorization, operator, strangers, sales, server })
    }

    /// Has each member click once, as viewers of a room are known before they buy. Takes the one unit of the sale
    /// that is sold out from then on.
    async fn seat_all(&mut self) -> anyhow::Result<()> {
        let mut members: Vec<u32> = (0..self.options.members).collect();
        fastrand::shuffle(&mut members);
        let bodies = self.bodies(members.into_iter().map(|member| (Kind::Plain, member)), 4_096);
        self.send(GONE, bodies).await?;
        Ok(())
    }

    /// Writes a row for each size; returns the medians.
    async fn table(
        &mut self,
        name: &str,
        sizes: &[usize],
        kind: Option<Kind>,
    ) -> anyhow::Result<Vec<(f64, f64)>> {
        let mut points = Vec::new();
        for size in sizes {
            let (mut rates, mut medians, mut used) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..self.options.rounds {
                let round = self.round(*size, kind).await?;
                rates.push(self.options.clicks as f64 / round.took.as_secs_f64());
                medians.push(round.median.as_secs_f64() * 1e3);
                used.push(round.cpu.as_secs_f64() * 1e6 / self.options.clicks as f64);
            }
            let (rates, ms, us) =
                (Spread::of(rates, 0), Spread::of(medians, 2).median, Spread::of(used, 2).median);
            writeln!(std::io::stdout(), "| {name} | {size} | {rates} | {ms:.2} ms | {us:.2} |")?;
            points.push((*size as f64, rates.median));
        }
        Ok(points)
    }

    /// Sends a round. Where clicks become orders it ends when the last one is on disk.
    async fn round(&mut self, size: usize, kind: Option<Kind>) -> anyhow::Result<Round> {
        let clicks = self.options.clicks;
        let members = self.options.members;
        let first = members + self.strangers;
        if kind == Some(Kind::New) {
            self.strangers += u32::try_from(clicks)?;
        }
        let clicks_of = (0..u32::try_from(clicks)?).map(|nth| match kind {
            Some(Kind::New) => (Kind::New, first + nth),
            Some(kind) => (kind, fastrand::u32(..members)),
            None => (Kind::Plain, fastrand::u32(..members)),
        });
        let bodies = self.bodies(clicks_of, size);
        let used = |site: &Self| Usage::of(site.server.pid());
        let Some(_) = kind else {
            let before = used(self)?;
            let (took, median, orders) = self.send(GONE, bodies).await?;
            ensure!(orders == 0, "{orders} orders of a sale that was sold out");
            return Ok(Round { took, median, cpu: (used(self)? - before).cpu });
        };
        self.sales += 1;
        let id = format!("round-{}", self.sales);
        let lamps = Lamps { stock: u32::try_from(clicks)?, limit: 65_535 };
        self.operator.make_sale(&open_to_all(&id, lamps)).await?;
        let (before, start) = (used(self)?, Instant::now());
        let (_, median, orders) = self.send(&id, bodies).await?;
        ensure!(orders == clicks, "{orders} orders of {clicks} clicks");
        let report = self.operator.settled(&id, Duration::from_secs(60)).await?;
        let took = start.elapsed();
        ensure!(report.confirmed == clicks as u64, "{} are on disk", report.confirmed);
        Ok(Round { took, median, cpu: (used(self)? - before).cpu })
    }

    /// Sends batches on all connections. Returns how long that took, the median of a batch, and how many clicks became
    /// orders; the others heard `sold_out`.
    async fn send(
        &self,
        sale: &str,
        bodies: Vec<Bytes>,
    ) -> anyhow::Result<(Duration, Duration, usize)> {
        let path = match self.options.passed_on {
            true => format!("{PASSED_ON_CLICKS}/{sale}"),
            false => format!("/v1/sales/{sale}/clicks"),
        };
        let left = Arc::new(Mutex::new(bodies));
        let start = Instant::now();
        let connections = (0..self.options.connections).map(|_| {
            let (path, left, authorization) =
                (path.clone(), Arc::clone(&left), self.authorization.clone());
            let speaks_http2 = self.options.http2 || self.options.passed_on;
            let mut client = match speaks_http2 {
                true => Client::http2(self.address),
                false => Client::new(self.address),
            };
            tokio::spawn(async move {
                let (mut took, mut orders) = (Vec::new(), 0);
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(body) = next else { break };
                    let request = if speaks_http2 {
                        Request::post(format!("http://flashlane{path}"))
                    } else {
                        Request::post(&path).header(header::HOST, "flashlane")
                    };
                    let request = request
                        .header(header::CONTENT_TYPE, "application/json")
                        .header(header::AUTHORIZATION, &authorization)
                        .body(Full::new(body))?;
                    let sent = Instant::now();
                    let (status, body) = client.send(request).await?;
                    took.push(sent.elapsed());
                    ensure!(status == StatusCode::OK, "{status} {}", body.escape_ascii());
                    let refused = memmem::find_iter(&body, b"\"code\"").count();
                    if refused != memmem::find_iter(&body, b"\"sold_out\"").count() {
                        bail!("another refusal than sold_out: {}", body.escape_ascii());
                    }
                    orders += memmem::find_iter(&body, b"\"order_id\"").count();
                }
                Ok((took, orders))
            })
        });
        let connections: Vec<_> = connections.collect();
        let (mut took, mut orders) = (Vec::new(), 0);
        for connection in connections {
            let (of_batches, of_orders) = connection.await??;
            took.extend(of_batches);
            orders += of_orders;
        }
        let whole = start.elapsed();
        took.sort();
        Ok((whole, took[took.len() / 2], orders))
    }
}

/// A click as a front passes it on.
fn passed(member: u32) -> PassedClick {
    let member = format!("member-{member:07}").parse().expect("a member id");
    let key = IdempotencyKey(NonZeroU64::MIN | fastrand::u64(..));
    let (tier, units) = (Some(Tier::Regular), Units(1));
    PassedClick { member, tier, is_minor: false, units, key, points: 0, coupon: None }
}

/// A click as JSON. A member's id has 14 characters, a key 36, as those that programs make.
fn click(kind: Kind, member: u32) -> String {
    let key = match kind {
        Kind::Keyed => format!(",\"key\":\"{:036x}\"", fastrand::u128(..)),
        Kind::Plain | Kind::New => String::new(),
    };
    format!("{{\"member\":\"member-{member:07}\",\"tier\":\"regular\",\"units\":1{key}}}")
}
