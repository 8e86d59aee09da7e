//! Machines: three nodes and two fronts on a Redis Cluster of three primaries and three replicas, with shoppers at
//! both fronts. Clocks are minutes apart if libfaketime is there.

use super::book_view::book_view;
use super::patience::{patience, until};
use super::process::{Addresses, Process, signal_to, start_at};
use super::proxy::Proxy;
use super::shop::{Counter, LARGE, Receipts, SMALL, Shop, probe};
use super::site::{ENROLLED, admit, terms};
use super::suite::Suite;
use super::views::{Allowed, Views, compare};
use crate::run::redis::{RedisCluster, RedisServer};
use anyhow::ensure;
use engine::store::{RedisOptions, RedisStore, Store};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NODES: [&str; 3] = ["a", "b", "c"];
const FRONTS: [&str; 2] = ["front-1", "front-2"];
/// By how many seconds the clock of each node is wrong.
const WRONG_BY: [i64; 3] = [0, 150, -150];
const KEYS: [&str; 4] = ["token.key", "operator.key", "payment.key", "platform.key"];
/// Where Debian's package has what makes a clock wrong.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A replica that is cut off for so long lacks orders of this time.
const LAGS: Duration = Duration::from_millis(1_500);
/// What a node had accepted and not confirmed is gone with it, or released.
const ALLOWED: Allowed = Allowed { reserved_gone: true, released: true, gaps: false };

/// One process and what it is started with.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) process: Process,
    name: &'static str,
    addresses: Addresses,
    variables: Vec<(&'static str, String)>,
    /// Between other nodes and this one.
    pub(super) between: Option<Proxy>,
}

/// All parts of a scenario. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Machines {
    folder: TempDir,
    binary: PathBuf,
    replicas: u32,
    pub(super) redis: RedisCluster,
    pub(super) nodes: Vec<Machine>,
    pub(super) fronts: Vec<Machine>,
    shops: Vec<Shop>,
    receipts: Receipts,
    probes: u64,
    pub(super) recovery: Duration,
}

impl Machines {
    /// Starts everything, makes the sales and lets the shoppers in.
    pub(super) async fn open(suite: &Suite) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let redis = RedisCluster::start(folder.path(), 3);
        std::fs::write(folder.path().join("node.key"), "the-nodes-of-a-scenario\n")?;
        redis.nodes.iter().for_each(let_all_in);
        let mut machines = Self {
            folder,
            binary: suite.binary.clone(),
            replicas: suite.replicas,
            redis,
            nodes: Vec::new(),
            fronts: Vec::new(),
            shops: Vec::new(),
            receipts: Receipts::default(),
            probes: 0,
            recovery: Duration::ZERO,
        };
        for (name, wrong_by) in NODES.into_iter().zip(WRONG_BY) {
            let node = machines.node(name, wrong_by).await?;
            machines.nodes.push(node);
        }
        for name in FRONTS {
            let more = vec!["--owns".into(), "none".into()];
            let front = machines.started(name, more, Vec::new(), None).await?;
            machines.fronts.push(front);
        }
        machines.sell().await?;
        Ok(machines)
    }

    async fn node(&self, name: &'static str, wrong_by: i64) -> anyhow::Result<Machine> {
        let listens = SocketAddr::from(([127, 0, 0, 1], RedisServer::free_port()));
        let between = Proxy::start(listens).await?;
        let reached = between.address.to_string();
        let more = ["--node-listen", &listens.to_string(), "--node-address", &reached];
        let mut variables = Vec::new();
        if wrong_by != 0 && Path::new(FAKETIME).exists() {
            variables.push(("LD_PRELOAD", FAKETIME.to_owned()));
            variables.push(("FAKETIME", format!("{wrong_by:+}s")));
            variables.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
        }
        let more = more.into_iter().map(str::to_owned).collect();
        self.started(name, more, variables, Some(between)).await
    }

    async fn started(
        &self,
        name: &'static str,
        mut more: Vec<String>,
        variables: Vec<(&'static str, String)>,
        between: Option<Proxy>,
    ) -> anyhow::Result<Machine> {
        let user = format!("redis://{name}:{name}@");
        let redis = self.redis.urls().replace("redis://", &user);
        let key = self.folder.path().join("node.key").to_string_lossy().into_owned();
        let replicas = self.replicas.to_string();
        more.extend(["--node-key".into(), key, "--redis-replicas".into(), replicas]);
        let addresses = Addresses { more, ..Addresses::free(Some(redis)) };
        let data = self.folder.path().join(name);
        std::fs::create_dir_all(&data)?;
        if let Some(first) = self.nodes.first() {
            for key in KEYS {
                std::fs::copy(first.process.data.join(key), data.join(key))?;
            }
        }
        let given: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
        let (process, _) = start_at(&self.binary, &data, &given, addresses.clone()).await?;
        Ok(Machine { process, name, addresses, variables, between })
    }

    async fn sell(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        for sale in [LARGE, SMALL] {
            while let Err(error) =
                self.nodes[0].process.as_operator()?.make_sale(&terms(sale)).await
            {
                ensure!(start.elapsed() < patience(), "{sale} could not be made: {error:#}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let mut code = None;
        for nth in 0..ENROLLED {
            // At every node in turn: the book is the same.
            let at = &self.nodes[usize::try_from(nth)? % NODES.len()].process;
            let own = admit(at, &format!("many-{nth}"), code.as_deref()).await?;
            code.get_or_insert(own);
        }
        for (nth, front) in self.fronts.iter().enumerate() {
            self.shops.push(Shop::open(&counter(&front.process, &format!("s{nth}"))?));
        }
        self.until_orders(50).await
    }

    /// Waits until the shoppers of each front were told of this many more orders.
    pub(super) async fn until_orders(&self, more: u64) -> anyhow::Result<()> {
        let enough: Vec<u64> = self.shops.iter().map(|shop| shop.orders() + more).collect();
        let has = || self.shops.iter().zip(&enough).all(|(shop, enough)| shop.orders() >= *enough);
        until("the shoppers of both fronts get orders", has).await
    }

    /// Which node sells the large sale, as its number.
    pub(super) async fn owner(&self) -> anyhow::Result<usize> {
        let start = Instant::now();
        loop {
            // Err: the sale is on its way.
            let report = self.fronts[0].process.as_operator()?.report(LARGE).await;
            let name = report.ok().and_then(|report| report.node);
            if let Some(nth) = name.and_then(|name| NODES.iter().position(|node| *node == name)) {
                return Ok(nth);
            }
            ensure!(start.elapsed() < patience(), "nobody says which node sells the sale");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until another node sells the large sale.
    pub(super) async fn until_another_than(&self, node: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.owner().await? == node {
            ensure!(start.elapsed() < patience(), "no other node takes the sale over");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Starts a process again that has ended, at the same addresses.
    pub(super) async fn start_again(&mut self, is_front: bool, nth: usize) -> anyhow::Result<()> {
        let machines = if is_front { &mut self.fronts } else { &mut self.nodes };
        let machine = &mut machines[nth];
        machine.process.kill();
        let given: Vec<_> =
            machine.variables.iter().map(|(name, value)| (*name, &**value)).collect();
        let (binary, data) = (&self.binary, machine.process.data.clone());
        (machine.process, _) = start_at(binary, &data, &given, machine.addresses.clone()).await?;
        Ok(())
    }

    /// Tells a process to end, and waits until it has.
    pub(super) async fn end(&mut self, is_front: bool, nth: usize) -> anyhow::Result<()> {
        let machines = if is_front { &mut self.fronts } else { &mut self.nodes };
        let process = &mut machines[nth].process;
        process.signal(Signal::TERM)?;
        until("the process ends", || process.has_ended()).await
    }

    /// Lets a node speak to Redis, or not.
    pub(super) fn lets_to_redis(&self, nth: usize, may: bool) {
        let name = self.nodes[nth].name;
        for node in &self.redis.nodes {
            node.ask(&format!("ACL SETUSER {name} {}", if may { "on" } else { "off" }));
            if !may {
                node.ask(&format!("CLIENT KILL USER {name}"));
            }
        }
    }

    /// Starts a Redis that was killed again, and waits until the cluster is well.
    pub(super) fn start_redis_again(&mut self, nth: usize) {
        self.redis.nodes[nth].start_again();
        let_all_in(&self.redis.nodes[nth]);
        self.redis.until_well();
    }

    /// Waits until another Redis than this one serves the large sale.
    pub(super) async fn until_promoted(&self, beside: usize) -> anyhow::Result<()> {
        let key = format!("flashlane:{{{LARGE}}}:sale");
        let promoted = || self.redis.serving_beside(&key, beside).is_some();
        until("a replica takes over", promoted).await
    }

    /// The replica of the large sale's primary is cut off and stands still; then the primary is killed with what it
    /// alone has, and the replica takes over.
    pub(super) async fn lose_a_primary(&mut self) -> anyhow::Result<()> {
        let primary = self.primary();
        let replica = self.redis.partner_of(primary).pid();
        signal_to(replica, Signal::STOP)?;
        self.redis.nodes[primary].must("CLIENT KILL TYPE replica");
        tokio::time::sleep(LAGS).await;
        self.redis.nodes[primary].kill();
        signal_to(replica, Signal::CONT)?;
        self.until_promoted(primary).await?;
        self.start_redis_again(primary);
        Ok(())
    }

    /// Which Redis has the large sale.
    pub(super) fn primary(&self) -> usize {
        self.redis.serving(&format!("flashlane:{{{LARGE}}}:sale"))
    }

    /// Measures how long it takes until a new order is confirmed at each front.
    pub(super) async fn recovered(&mut self) -> anyhow::Result<()> {
        for front in &self.fronts {
            self.probes += 1;
            let counter = counter(&front.process, "p")?;
            let took = probe(&counter, self.probes, &mut self.receipts).await;
            let Some(took) = took else { anyhow::bail!("{}", self.told().await) };
            self.recovery = self.recovery.max(took);
        }
        self.until_orders(5).await
    }

    /// What the processes say of themselves, for when no new order is confirmed.
    async fn told(&self) -> String {
        let mut told = "no new order was confirmed after the fault".to_owned();
        for Machine { process, name, .. } in self.nodes.iter().chain(&self.fronts) {
            let ready = process.ready().await;
            let log = std::fs::read_to_string(process.data.join("log")).unwrap_or_default();
            let last = log.lines().last().unwrap_or_default();
            told += &format!("; {name}: {ready:?}, its log ends with: {last}");
        }
        told
    }

    /// Closes the shops and compares what clients were told with the store, though no sale goes on.
    pub(super) async fn close_as_it_is(mut self) -> anyhow::Result<Views> {
        for shop in self.shops.drain(..) {
            self.receipts.merge(shop.close_within(LAGS).await);
        }
        let store = self.store().await?;
        compare(&*store.reading, &self.receipts, ALLOWED).await
    }

    async fn store(&self) -> anyhow::Result<Store> {
        let options = RedisOptions::new(self.redis.urls());
        Ok(Store::from(Arc::new(RedisStore::connect(&options).await?.0)))
    }

    /// Closes the shops, waits until every order has its verdict, and compares the three views.
    pub(super) async fn close(mut self) -> anyhow::Result<(Views, Duration)> {
        for shop in self.shops.drain(..) {
            self.receipts.merge(shop.close().await);
        }
        let mut operator = self.fronts[1].process.as_operator()?;
        for sale in [LARGE, SMALL] {
            operator.settled(sale, patience()).await?;
        }
        let mut differences = Vec::new();
        for node in &self.nodes {
            let follows = node.process.as_operator()?.book(patience()).await?;
            differences.extend(follows.differences);
        }
        let store = self.store().await?;
        let mut views = compare(&*store.reading, &self.receipts, ALLOWED).await?;
        views.problems.extend(differences.into_iter().map(|told| format!("book: {told}")));
        views.problems.extend(until_book_agrees(&store).await?);
        Ok((views, self.recovery))
    }
}

/// Waits until the book agrees with the orders; what differs in the end. A sale that is on its way from one node to
/// another is behind at neither.
async fn until_book_agrees(store: &Store) -> anyhow::Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let differences = book_view(store, false).await?;
        if differences.is_empty() || start.elapsed() >= patience() {
            return Ok(differences);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the users of all processes. A Redis that is started again knows of none.
fn let_all_in(node: &RedisServer) {
    for name in NODES.iter().chain(&FRONTS) {
        node.must(&format!("ACL SETUSER {name} on >{name} ~* &* +@all"));
    }
}

fn counter(process: &Process, name: &str) -> anyhow::Result<Counter> {
    let key = std::fs::read(process.data.join("token.key"))?;
    let payment_key = std::fs::read_to_string(process.data.join("payment.key"))?;
    Ok(Counter {
        public: process.public,
        key: key.into(),
        payment_key: payment_key.trim().into(),
        name: name.into(),
        sells_few: true,
    })
}
