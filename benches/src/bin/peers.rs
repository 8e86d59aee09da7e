//! `peers`: Flashlane beside what people build instead, under the same promise and in one run.
//!
//! Rounds of all of them alternate, so that whatever else the machine does hits all alike. Each ratio compares
//! two rounds that follow one another closely.

use anyhow::{Context, ensure};
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Plan, SoFar};
use benches::run::caller::Caller;
use benches::run::disk;
use benches::run::operator::Operator;
use benches::run::postgres::Postgres;
use benches::run::redis::RedisServer;
use benches::run::server::Server;
use benches::run::usage::Usage;
use benches::told::tally::Latency;
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use hyper::Method;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures Flashlane beside a mutex, a Redis script a click, and transactions of PostgreSQL
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; medians are reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Members, who click in turn, in an order that was shuffled once
    #[arg(long, default_value_t = 20_000)]
    members: usize,
}

/// When a click is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// When it is judged; its order is on its way to the disk.
    Judged,
    /// When its order is on disk.
    OnDisk,
}

/// One of those who are compared.
struct One<'a> {
    name: &'static str,
    promise: Promise,
    server: &'a Server,
    /// The process of its store, if that is another one.
    store: Option<u32>,
    /// Flashlane's operator; a peer has none.
    operator: Option<Operator>,
    rounds: Vec<Round>,
}

/// What one round came to.
struct Round {
    answered: f64,
    confirmed: f64,
    latency: Latency,
    clicks: f64,
    server: Usage,
    store: Usage,
    /// Bytes that the disk has written meanwhile.
    written: u64,
}

const SALE: &str = "lamp";
/// How long what was accepted may take to come to disk.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    // Said before anything is measured.
    disk::written(folder.path())?;
    // The user that PostgreSQL runs as must come through to its own folder.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(folder.path(), mode)?;
    let path = |name: &str| folder.path().join(name);
    for name in ["own", "own-on-redis", "redis", "script-redis"] {
        std::fs::create_dir(path(name))?;
    }
    let (redis, script_redis) =
        (RedisServer::start(&path("redis")), RedisServer::start(&path("script-redis")));
    let (transactions, gathered) =
        (Postgres::start(&path("transactions"))?, Postgres::start(&path("gathered"))?);

    let own = Server::flashlane(&path("own"), &[])?;
    // Both know members by the same key.
    std::fs::copy(path("own/token.key"), path("own-on-redis/token.key"))?;
    let own_on_redis = Server::flashlane(&path("own-on-redis"), &["--redis", &redis.url()])?;
    let key = path("own/token.key");
    let peer = |kind: &str, store: &str| {
        let key = key.to_str().context("a plain folder name")?;
        Server::start("peer", &["--kind", kind, "--token-key", key, "--store", store])
    };
    let mutex = peer("mutex", path("mutex.redb").to_str().context("a plain folder name")?)?;
    let script = peer("script", &script_redis.url())?;
    let transaction = peer("transaction", &transactions.connection())?;
    let gather = peer("gathered", &gathered.connection())?;

    let sale = open_to_all(SALE, Lamps { stock: 10_000_000, limit: 65_535 });
    operator(&own, &path("own"))?.make_sale(&sale).await?;
    operator(&own_on_redis, &path("own-on-redis"))?.make_sale(&sale).await?;
    let own_operator = || operator(&own, &path("own")).map(Some);
    let redis_operator = || operator(&own_on_redis, &path("own-on-redis")).map(Some);
    let one = |name, promise, server, store, operator| One {
        name,
        promise,
        server,
        store,
        operator,
        rounds: Vec::new(),
    };
    let (judged, on_disk) = (Promise::Judged, Promise::OnDisk);
    let on_redis = Some(redis.pid());
    let mut all = [
        one("Flashlane, embedded", judged, &own, None, own_operator()?),
        one("a mutex and a batch writer to redb", judged, &mutex, None, None),
        one("Flashlane on Redis", judged, &own_on_redis, on_redis, redis_operator()?),
        one("Flashlane, embedded", on_disk, &own, None, own_operator()?),
        one("Flashlane on Redis", on_disk, &own_on_redis, on_redis, redis_operator()?),
        one("a Redis script a click", on_disk, &script, Some(script_redis.pid()), None),
        one(
            "a transaction a click (PostgreSQL)",
            on_disk,
            &transaction,
            Some(transactions.pid()),
            None,
        ),
        one("up to 256 clicks a transaction", on_disk, &gather, Some(gathered.pid()), None),
    ];
    let (members, _) = clickers(&path("own"), options.members, &[92, 4, 2, 1, 1], 0)?;
    measure(&options, folder.path(), &mut all, &members).await?;
    report(&options, &all)
}

/// Rounds of all of them in turn. The first one warms up: sessions, tables, files.
async fn measure(
    options: &Options,
    folder: &Path,
    all: &mut [One<'_>],
    members: &Arc<[Clicker]>,
) -> anyhow::Result<()> {
    for round in 0..=options.rounds {
        for one in &mut *all {
            let measured = one.round(options, folder, members).await?;
            if round > 0 {
                one.rounds.push(measured);
            }
        }
    }
    Ok(())
}

fn operator(server: &Server, data: &Path) -> anyhow::Result<Operator> {
    let key = std::fs::read_to_string(data.join("operator.key"))?;
    Operator::new(server.operator.context("an operator listener")?, &key)
}

impl One<'_> {
    fn used(&self) -> anyhow::Result<(Usage, Usage)> {
        let store = self.store.map(Usage::of).transpose()?.unwrap_or_default();
        Ok((Usage::of(self.server.pid())?, store))
    }

    async fn round(
        &mut self,
        options: &Options,
        folder: &Path,
        members: &Arc<[Clicker]>,
    ) -> anyhow::Result<Round> {
        let plan = Plan {
            duration: Duration::from_secs(options.seconds),
            connections: options.connections,
            wait_percent: if self.promise == Promise::OnDisk { 100 } else { 0 },
            ..Plan::new(self.server.public, SALE, members)
        };
        let (before, written, start) = (self.used()?, disk::written(folder)?, Instant::now());
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        let answered_in = start.elapsed().as_secs_f64();
        ensure!(tally.unanswered == 0, "{}: {:?}", self.name, tally.first_error);
        let mut latency = Latency::default();
        for (kind, told) in &tally.latencies {
            let keeps =
                kind == "confirmed" || (kind == "accepted" && self.promise == Promise::Judged);
            ensure!(keeps, "{} answers {kind}", self.name);
            latency.0.add(&told.0)?;
        }
        let clicks = latency.0.len() as f64;
        self.settled().await?;
        let confirmed = clicks / start.elapsed().as_secs_f64();
        let after = self.used()?;
        let (server, store) = (after.0 - before.0, after.1 - before.1);
        let written = disk::written(folder)? - written;
        let answered = clicks / answered_in;
        Ok(Round { answered, confirmed, latency, clicks, server, store, written })
    }

    /// Waits until every order is on disk.
    async fn settled(&mut self) -> anyhow::Result<()> {
        if let Some(operator) = &mut self.operator {
            return operator.settled(SALE, PATIENCE).await.map(drop);
        }
        let (mut caller, start) = (Caller::new(self.server.public, "none")?, Instant::now());
        while caller.call::<u64>(Method::GET, "/waiting", None).await? > 0 {
            ensure!(start.elapsed() < PATIENCE, "{} still writes after {PATIENCE:?}", self.name);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// The median of a figure over the rounds.
    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut all: Vec<f64> = self.rounds.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// How this one fared beside another, round by round: median, least, most.
    fn beside(&self, other: &Self) -> String {
        let pairs = self.rounds.iter().zip(&other.rounds);
        let mut ratios: Vec<f64> = pairs.map(|(own, base)| own.answered / base.answered).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        format!("{:.2} ({least:.2} to {most:.2})", ratios[ratios.len() / 2])
    }

    fn row(&self, base: &Self) -> String {
        let percentile = |p: f64| {
            let ms = self.median(|round| round.latency.0.value_at_percentile(p) as f64 / 1e3);
            if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
        };
        let us = |of: fn(&Round) -> Usage| {
            self.median(|round| of(round).cpu.as_secs_f64() * 1e6 / round.clicks)
        };
        let store =
            self.store.map_or("in it".into(), |_| format!("{:.1}", us(|round| round.store)));
        let written = self.median(|round| round.written as f64 / round.clicks);
        let last = self.rounds.last().expect("at least one round");
        let mib = (last.server.resident + last.store.resident) >> 20;
        format!(
            "| {} | {:.0} | {} | {:.0} | {} | {} | {} | {:.1} | {store} | {written:.0} | {mib} |",
            self.name,
            self.median(|round| round.answered),
            self.beside(base),
            self.median(|round| round.confirmed),
            percentile(50.0),
            percentile(99.0),
            percentile(99.9),
            us(|round| round.server),
        )
    }
}

fn report(options: &Options, all: &[One<'_>]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let Options { rounds, seconds, connections, members } = options;
    let said =
        format!("{rounds} rounds of {seconds} s, {connections} connections, {members} members");
    writeln!(
        out,
        "| {said} | accepted/s | beside its base | confirmed/s | p50, ms | p99 | p99.9 | CPU us a click | of its store | bytes on disk a click | MiB of memory |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for (promise, words, base) in [
        (Promise::Judged, "answered when judged", "a mutex and a batch writer to redb"),
        (Promise::OnDisk, "answered when on disk", "a Redis script a click"),
    ] {
        let base = all.iter().find(|one| one.name == base).context("the base is among them")?;
        writeln!(out, "| **{words}**, base: {} | | | | | | | | | | |", base.name)?;
        for one in all.iter().filter(|one| one.promise == promise) {
            writeln!(out, "{}", one.row(base))?;
        }
    }
    let judged = all.iter().find(|one| one.store.is_some() && one.promise == Promise::Judged);
    let script = all.iter().find(|one| one.name == "a Redis script a click");
    let (judged, script) = judged.zip(script).context("both are among them")?;
    let beside = judged.beside(script);
    writeln!(
        out,
        "| Flashlane on Redis, answered when judged, beside {} | | {beside} | | | | | | | | |",
        script.name
    )?;
    Ok(())
}
