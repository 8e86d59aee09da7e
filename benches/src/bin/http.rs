//! `http`: measures `flashlane serve` beside a bare axum route in one run, and how fast the server
//! confirms to its own disk and to Redis.
//!
//! Rounds of the two alternate, so that whatever else the machine does hits both alike. Each ratio
//! compares two rounds that follow one another.

use anyhow::{Context, ensure};
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Plan, SoFar};
use benches::load::rounds::Rounds;
use benches::run::client::Client;
use benches::run::disk;
use benches::run::operator::Operator;
use benches::run::redis::RedisServer;
use benches::run::server::Server;
use benches::told::spread::Spread;
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, header};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures the gateway beside a bare axum route, and durable confirmation to disk and to Redis
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    rounds: Rounds,
}

struct World<'a> {
    options: &'a Rounds,
    data: &'a Path,
    server: Server,
    operator: Operator,
    clickers: Arc<[Clicker]>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse().rounds;
    let data = tempfile::tempdir()?;
    // Said before anything is measured.
    disk::written(data.path())?;
    let server = Server::flashlane(data.path(), &[])?;
    let mut world = World::new(&options, server, data.path())?;
    let mut out = std::io::stdout();
    let Rounds { rounds, seconds, connections } = options;
    writeln!(
        out,
        "| {rounds} rounds of {seconds} s, {connections} connections | Flashlane | bare route | ratio |"
    )?;
    writeln!(out, "| --- | --- | --- | --- |")?;

    world.make("gone", Lamps { stock: 1, limit: 1 }).await?;
    world.click("gone").await?;
    let sold_out = world.beside_bare("gone").await?;
    writeln!(out, "| sold out, clicks/s | {sold_out} |")?;

    world.make("deep", Lamps { stock: 10_000_000, limit: 65_535 }).await?;
    let accepted = world.beside_bare("deep").await?;
    writeln!(out, "| accepted, clicks/s, each order also put on disk | {accepted} |")?;

    let waited = world.waited_beside_accepted().await?;
    writeln!(out, "| confirmed on disk, orders/s | {} | | |", world.confirmed_rates().await?)?;
    drop(world);

    let redis_folder = tempfile::tempdir()?;
    let redis = RedisServer::start(redis_folder.path());
    let server = Server::flashlane(data.path(), &["--redis", &redis.url()])?;
    let mut world = World::new(&options, server, data.path())?;
    writeln!(out, "| confirmed to Redis, orders/s | {} | | |", world.confirmed_rates().await?)?;
    writeln!(out)?;
    writeln!(
        out,
        "| with `Prefer: wait`, in the same rounds | clicks/s | accepted, clicks/s | ratio | bytes on disk a click |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    let Waited { waited, accepted, ratios, bytes } = waited;
    let (waited, accepted) = (Spread::of(waited, 0), Spread::of(accepted, 0));
    let (ratio, bytes) = (Spread::of(ratios, 3), Spread::of(bytes, 0));
    writeln!(out, "| answered when on disk | {waited} | {accepted} | {ratio} | {bytes} |")?;
    Ok(())
}

/// Rounds of clicks whose answer is the confirmation, each behind a round of clicks that are answered when they
/// are accepted.
#[derive(Default)]
struct Waited {
    waited: Vec<f64>,
    accepted: Vec<f64>,
    ratios: Vec<f64>,
    /// What the disk wrote for each click that waited.
    bytes: Vec<f64>,
}

impl<'a> World<'a> {
    fn new(options: &'a Rounds, server: Server, data: &'a Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(data.join("operator.key"))?;
        let address = server.operator.context("flashlane says where operators connect")?;
        let operator = Operator::new(address, &key)?;
        let (clickers, _) = clickers(data, 20_000, &[92, 4, 2, 1, 1], 0)?;
        Ok(Self { options, data, server, operator, clickers })
    }

    async fn make(&mut self, id: &str, lamps: Lamps) -> anyhow::Result<()> {
        self.operator.make_sale(&open_to_all(id, lamps)).await.map(drop)
    }

    /// Sends one click and returns its whole answer, as arguments for a `bare` that repeats it.
    async fn click(&self, sale: &str) -> anyhow::Result<Vec<String>> {
        let body = Full::new(Bytes::from_static(b"{\"units\":1}"));
        let request = Request::post(format!("/v1/sales/{sale}/orders"))
            .header(header::HOST, "flashlane")
            .header(header::AUTHORIZATION, &self.clickers[0].authorization)
            .body(body)?;
        let (status, body) = Client::new(self.server.public).send(request).await?;
        let body = String::from_utf8(body.to_vec())?;
        let is_accepted = status.is_success();
        let kind = if is_accepted { "application/json" } else { "application/problem+json" };
        let mut args = vec!["--status".into(), status.as_u16().to_string(), "--body".into(), body];
        args.extend(["--content-type".into(), kind.into()]);
        if is_accepted {
            args.extend(["--location".into(), format!("/v1/orders/{sale}.1.1000000")]);
        }
        Ok(args)
    }

    async fn beside_bare(&mut self, sale: &str) -> anyhow::Result<String> {
        let answer = self.click(sale).await?;
        let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
        let bare = Server::start("bare", &answer)?;
        let (mut bare_rates, mut own_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let bare_rate = self.answered_rate(bare.public, sale).await?;
            let own_rate = self.answered_rate(self.server.public, sale).await?;
            self.operator.settled(sale, Duration::from_secs(60)).await?;
            ratios.push(own_rate / bare_rate);
            bare_rates.push(bare_rate);
            own_rates.push(own_rate);
        }
        let (own, bare) = (Spread::of(own_rates, 0), Spread::of(bare_rates, 0));
        Ok(format!("{own} | {bare} | {}", Spread::of(ratios, 3)))
    }

    async fn waited_beside_accepted(&mut self) -> anyhow::Result<Waited> {
        let mut all = Waited::default();
        for _ in 0..self.options.rounds {
            let plan = self.plan(self.server.public, "deep");
            let own = self.rate(plan.clone()).await?;
            self.operator.settled("deep", Duration::from_secs(60)).await?;
            let (before, start) = (disk::written(self.data)?, Instant::now());
            let waits = self.rate(Plan { wait_percent: 100, ..plan }).await?;
            let clicks = waits * start.elapsed().as_secs_f64();
            all.bytes.push((disk::written(self.data)? - before) as f64 / clicks);
            all.ratios.push(waits / own);
            all.waited.push(waits);
            all.accepted.push(own);
        }
        Ok(all)
    }

    async fn answered_rate(&self, target: SocketAddr, sale: &str) -> anyhow::Result<f64> {
        self.rate(self.plan(target, sale)).await
    }

    async fn rate(&self, plan: Plan) -> anyhow::Result<f64> {
        let start = Instant::now();
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        ensure!(tally.unanswered == 0, "{:?}", tally.first_error);
        let answered: u64 = tally.latencies.values().map(|latency| latency.0.len()).sum();
        // An order may be confirmed by the time it is answered.
        let is_order = |kind: &String| ["accepted", "confirmed"].contains(&kind.as_str());
        let is_one_kind = tally.latencies.len() == 1 || tally.latencies.keys().all(is_order);
        ensure!(is_one_kind, "one kind of answer, not {:?}", tally.latencies.keys());
        Ok(answered as f64 / start.elapsed().as_secs_f64())
    }

    async fn confirmed_rates(&mut self) -> anyhow::Result<Spread> {
        let mut rates = Vec::new();
        for round in 0..self.options.rounds {
            rates.push(self.confirmed_rate(&format!("disk-{round}")).await?);
        }
        Ok(Spread::of(rates, 0))
    }

    /// Returns the orders confirmed a second, from the first click until the last order is on disk.
    async fn confirmed_rate(&mut self, sale: &str) -> anyhow::Result<f64> {
        self.make(sale, Lamps { stock: 10_000_000, limit: 65_535 }).await?;
        let start = Instant::now();
        let plan = self.plan(self.server.public, sale);
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        ensure!(tally.unanswered == 0, "{:?}", tally.first_error);
        let report = self.operator.settled(sale, Duration::from_secs(60)).await?;
        Ok(report.confirmed as f64 / start.elapsed().as_secs_f64())
    }

    fn plan(&self, target: SocketAddr, sale: &str) -> Plan {
        Plan {
            duration: Duration::from_secs(self.options.seconds),
            connections: self.options.connections,
            ..Plan::new(target, sale, &self.clickers)
        }
    }
}
