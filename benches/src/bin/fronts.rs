//! `fronts`: what it costs that a click comes to a front and not to the node that sells: how many a second, the
//! processor time of each process, and how long a click waits at half of the most. Front, node, Redis and generator
//! share the machine. Rounds of the two ways alternate.

use anyhow::{Context, ensure};
use benches::load::drive::drive;
use benches::load::members::{Clicker, clickers};
use benches::load::plan::{Plan, SoFar};
use benches::load::rounds::Rounds;
use benches::run::operator::Operator;
use benches::run::redis::RedisServer;
use benches::run::server::Server;
use benches::run::usage::Usage;
use benches::told::spread::Spread;
use benches::told::tally::{Latency, Tally};
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures clicks at a front beside clicks at the node that sells
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    rounds: Rounds,
}

const KEYS: [&str; 3] = ["token.key", "operator.key", "payment.key"];
const GONE: &str = "gone";
const DEEP: &str = "deep";

struct Site {
    options: Rounds,
    node: Server,
    front: Server,
    operator: Operator,
    clickers: Arc<[Clicker]>,
    _redis: RedisServer,
}

/// What a round of one way took.
struct Round {
    per_s: u64,
    /// Microseconds a click of each process.
    node_us: f64,
    front_us: f64,
    p50_ms: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::open(Options::parse().rounds, folder.path()).await?;
    let mut out = std::io::stdout();
    let Rounds { rounds, seconds, connections } = site.options;
    writeln!(
        out,
        "| {rounds} rounds of {seconds} s, {connections} connections | clicks/s at the node | at a front | ratio | us a click: node alone | node behind a front | front |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    let sold_out = site.beside(GONE, None).await?;
    writeln!(out, "| sold out | {} |", sold_out.row())?;
    let accepted = site.beside(DEEP, None).await?;
    writeln!(out, "| accepted | {} |", accepted.row())?;
    writeln!(out)?;
    writeln!(
        out,
        "| at half of what a front takes | clicks/s | p50 at the node | at a front | more |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    for (sale, name, most) in [(GONE, "sold out", &sold_out), (DEEP, "accepted", &accepted)] {
        let mut most: Vec<u64> = most.front.iter().map(|round| round.per_s).collect();
        most.sort_unstable();
        let rate = most[most.len() / 2] / 2;
        let half = site.beside(sale, Some(rate)).await?;
        let ms =
            |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.p50_ms).collect(), 2);
        let more =
            half.node.iter().zip(&half.front).map(|(node, front)| front.p50_ms - node.p50_ms);
        let (node, front) = (ms(&half.node), ms(&half.front));
        let more = Spread::of(more.collect(), 2);
        writeln!(out, "| {name} | {rate} | {node} ms | {front} ms | {more} ms |")?;
    }
    Ok(())
}

/// Rounds of both ways; those of one place in the lists followed one another.
struct Beside {
    node: Vec<Round>,
    front: Vec<Round>,
}

impl Beside {
    fn row(&self) -> String {
        let all = |rounds: &[Round], of: fn(&Round) -> f64, digits| {
            Spread::of(rounds.iter().map(of).collect(), digits)
        };
        let ratios = self
            .node
            .iter()
            .zip(&self.front)
            .map(|(node, front)| front.per_s as f64 / node.per_s as f64);
        format!(
            "{} | {} | {} | {} | {} | {}",
            all(&self.node, |round| round.per_s as f64, 0),
            all(&self.front, |round| round.per_s as f64, 0),
            Spread::of(ratios.collect(), 2),
            all(&self.node, |round| round.node_us, 1),
            all(&self.front, |round| round.node_us, 1),
            all(&self.front, |round| round.front_us, 1),
        )
    }
}

impl Site {
    async fn open(options: Rounds, folder: &Path) -> anyhow::Result<Self> {
        let redis = RedisServer::start(folder);
        let (at_node, at_front) = (folder.join("node"), folder.join("front"));
        std::fs::create_dir(&at_node)?;
        std::fs::create_dir(&at_front)?;
        let key = folder.join("node.key");
        std::fs::write(&key, "the-nodes-of-a-bench\n")?;
        let (url, key) = (redis.url(), key.to_str().context("a plain folder name")?.to_owned());
        let shared = ["--redis", &url, "--node-key", &key, "--member-rate", "0"];
        let listens = ["--node-listen", "127.0.0.1:0", "--node-id", "node"];
        let node = Server::flashlane(&at_node, &[&shared[..], &listens].concat())?;
        for key in KEYS {
            std::fs::copy(at_node.join(key), at_front.join(key))?;
        }
        let front = Server::flashlane(&at_front, &[&shared[..], &["--owns", "none"]].concat())?;
        let key = std::fs::read_to_string(at_node.join("operator.key"))?;
        let mut operator = Operator::new(node.operator.context("an operator listener")?, &key)?;
        for (sale, lamps) in [
            (GONE, Lamps { stock: 1, limit: 1 }),
            (DEEP, Lamps { stock: 10_000_000, limit: 65_535 }),
        ] {
            operator.make_sale(&open_to_all(sale, lamps)).await?;
        }
        let (clickers, _) = clickers(&at_node, 50_000, &[92, 4, 2, 1, 1], 0)?;
        let site = Self { options, node, front, operator, clickers, _redis: redis };
        // Every member is known, and the one unit is gone.
        for target in [site.node.public, site.front.public] {
            site.clicks(target, GONE, None).await?;
        }
        Ok(site)
    }

    async fn beside(&mut self, sale: &str, rate: Option<u64>) -> anyhow::Result<Beside> {
        let (mut node, mut front) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            node.push(self.round(self.node.public, sale, rate).await?);
            front.push(self.round(self.front.public, sale, rate).await?);
        }
        Ok(Beside { node, front })
    }

    async fn round(
        &mut self,
        target: SocketAddr,
        sale: &str,
        rate: Option<u64>,
    ) -> anyhow::Result<Round> {
        let used = |server: &Server| Usage::of(server.pid());
        let (node, front) = (used(&self.node)?, used(&self.front)?);
        let start = Instant::now();
        let tally = self.clicks(target, sale, rate).await?;
        let took_ms = u64::try_from(start.elapsed().as_millis())?;
        let mut all = Latency::default();
        for (kind, latency) in &tally.latencies {
            let is_it = match sale {
                GONE => kind == "sold_out",
                _ => ["accepted", "confirmed"].contains(&kind.as_str()),
            };
            ensure!(is_it, "clicks on {sale} were told {kind}");
            all.0.add(&latency.0)?;
        }
        self.operator.settled(sale, Duration::from_secs(60)).await?;
        let (node, front) = (used(&self.node)? - node, used(&self.front)? - front);
        let clicks = all.0.len();
        let us = |used: Usage| used.cpu.as_secs_f64() * 1e6 / clicks as f64;
        Ok(Round {
            per_s: clicks * 1_000 / took_ms.max(1),
            node_us: us(node),
            front_us: us(front),
            p50_ms: all.0.value_at_quantile(0.5) as f64 / 1e3,
        })
    }

    async fn clicks(
        &self,
        target: SocketAddr,
        sale: &str,
        rate: Option<u64>,
    ) -> anyhow::Result<Tally> {
        let plan = Plan {
            rate,
            duration: Duration::from_secs(self.options.seconds),
            connections: self.options.connections,
            ..Plan::new(target, sale, &self.clickers)
        };
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        ensure!(tally.unanswered == 0, "{:?}", tally.first_error);
        Ok(tally)
    }
}
