//! A site: a real redis-server, a proxy before it, the real `flashlane` behind that, and shoppers.

use super::book_view::book_view;
use super::patience::{patience, until};
use super::process::{Addresses, Process, start, start_at, url};
use super::proxy::Proxy;
use super::shop::{
    COUPON, Counter, LARGE, PRICE_CENTS, Receipts, SMALL, SMALL_MEMBERS, Shop, click_once, probe,
};
use super::views::{Allowed, Views, compare, limit};
use crate::run::redis::RedisServer;
use anyhow::{Context, ensure};
use engine::store::{JournalStore, RedisOptions, RedisStore, Store};
use membership::Tier;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where a site's process keeps its sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptIn {
    /// In the Redis behind the proxy.
    Redis,
    /// In the data folder.
    Journal,
}

/// So many of the shoppers have an account in the members' book.
pub(super) const ENROLLED: u64 = 30;
/// Points that each of them is given.
const POINTS: u64 = 10_000;

/// All the parts of one scenario. They end when it is dropped.
#[derive(Debug)]
pub struct Site {
    /// The folder that the other parts write into.
    folder: TempDir,
    /// The flashlane binary that is run.
    binary: PathBuf,
    /// The process keeps its sales in its data folder, and Redis stands idle.
    is_embedded: bool,
    /// The Redis behind the proxy.
    pub redis: RedisServer,
    /// The proxy between flashlane and Redis.
    pub proxy: Proxy,
    /// The process that sells.
    pub process: Process,
    /// The shoppers who click in this site, until their shop is closed.
    pub shop: Option<Shop>,
    /// What shoppers and probes of former shops were told.
    pub receipts: Receipts,
    probes: u64,
    /// How often a process ended itself as `kill -9` does, and was started again.
    pub crashes: u64,
    sells_few: bool,
    /// The longest that it took after a fault until a new order was confirmed.
    pub recovery: Duration,
}

impl Site {
    /// Opens a site: its Redis has these settings, its process has these environment variables.
    ///
    /// # Errors
    /// When a part of the site does not start.
    pub async fn open(
        binary: &Path,
        settings: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::with_sales(binary, settings, variables, &[LARGE, SMALL]).await
    }

    /// As `open` with no settings, or as `embedded` in a folder of the site's own.
    ///
    /// # Errors
    /// As `open`.
    pub async fn keeping(
        kept_in: KeptIn,
        binary: &Path,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        match kept_in {
            KeptIn::Redis => Self::open(binary, &[], variables).await,
            KeptIn::Journal => Self::embedded(binary, None, variables).await,
        }
    }

    /// Opens a site whose process keeps its sales in this data folder, or in one of the site's own.
    ///
    /// # Errors
    /// As `open`.
    pub async fn embedded(
        binary: &Path,
        data: Option<&Path>,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let site = Self::started(binary, &[], variables, Some(data)).await?;
        site.selling(&[LARGE, SMALL]).await
    }

    /// As `open`, with only some of the sales.
    ///
    /// # Errors
    /// As `open`.
    pub async fn with_sales(
        binary: &Path,
        settings: &[&str],
        variables: &[(&str, &str)],
        sales: &[&str],
    ) -> anyhow::Result<Self> {
        Self::started(binary, settings, variables, None).await?.selling(sales).await
    }

    /// A site without sales; `embedded` says whether it is embedded, and perhaps in which folder.
    async fn started(
        binary: &Path,
        settings: &[&str],
        variables: &[(&str, &str)],
        embedded: Option<Option<&Path>>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let redis_folder = folder.path().join("redis");
        std::fs::create_dir(&redis_folder)?;
        let redis = RedisServer::with(&redis_folder, settings);
        if settings.contains(&"--cluster-enabled") {
            redis.must("CLUSTER ADDSLOTSRANGE 0 16383");
            until("the cluster is well", || {
                redis.must("CLUSTER INFO").contains("cluster_state:ok")
            })
            .await?;
        }
        let proxy = Proxy::start(redis.address()).await?;
        if settings.contains(&"--cluster-enabled") {
            // The cluster names the proxy as its node.
            redis.must("CONFIG SET cluster-announce-ip 127.0.0.1");
            redis.must(&format!("CONFIG SET cluster-announce-port {}", proxy.address.port()));
        }
        let own = folder.path().join("flashlane");
        let data = embedded.flatten().map_or(own, Path::to_owned);
        let address = embedded.is_none().then_some(proxy.address);
        let (process, crashes) = start(binary, &data, address, variables).await?;
        Ok(Self {
            folder,
            binary: binary.to_owned(),
            is_embedded: embedded.is_some(),
            redis,
            proxy,
            process,
            shop: None,
            receipts: Receipts::default(),
            probes: 0,
            crashes,
            sells_few: false,
            recovery: Duration::ZERO,
        })
    }

    /// Makes the sales, and lets the shoppers in.
    async fn selling(mut self, sales: &[&str]) -> anyhow::Result<Self> {
        self.sells_few = sales.contains(&SMALL);
        for sale in sales {
            self.make(sale).await?;
        }
        self.enrol().await?;
        self.shop = Some(Shop::open(&self.counter("a")?));
        self.until_orders(50).await?;
        Ok(self)
    }

    /// Makes a sale. A process that ends meanwhile is started again and asked again.
    async fn make(&mut self, sale: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let made = self.process.as_operator()?.make_sale(&terms(sale)).await;
            match made {
                Ok(_) => return Ok(()),
                Err(error) if error.to_string().contains("sale_exists") => return Ok(()),
                Err(error) if start.elapsed() > patience() => return Err(error),
                Err(_) if self.process.has_ended() => self.restart().await?,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Enrols some of the shoppers, most of them by another one's referral code. The others buy all the
    /// same.
    async fn enrol(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let (mut code, mut nth) = (None, 0);
        while nth < ENROLLED {
            let member = format!("many-{nth}");
            match admit(&self.process, &member, code.as_deref()).await {
                Ok(own) => {
                    code.get_or_insert(own);
                    nth += 1;
                }
                Err(error) if start.elapsed() > patience() => return Err(error),
                Err(_) if self.process.has_ended() => self.restart().await?,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        Ok(())
    }

    /// Returns the counter at which shoppers of this site click.
    ///
    /// # Errors
    /// When the token key cannot be read.
    pub fn counter(&self, name: &str) -> anyhow::Result<Counter> {
        let key = std::fs::read(self.process.data.join("token.key"))?;
        let (public, name) = (self.process.public, name.into());
        let payment_key = std::fs::read_to_string(self.process.data.join("payment.key"))?;
        let payment_key = payment_key.trim().into();
        Ok(Counter { public, key: key.into(), payment_key, name, sells_few: self.sells_few })
    }

    /// Starts the process anew at the same addresses. If it still runs, it is ended first.
    ///
    /// # Errors
    /// When the new process does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.crashes += u64::from(self.process.was_killed());
        self.process.kill();
        let Process { public, operator, platform, .. } = self.process;
        let redis = (!self.is_embedded).then(|| url(self.proxy.address));
        let addresses = Addresses { redis, public, operator, platform, more: Vec::new() };
        let data = self.process.data.clone();
        (self.process, _) = start_at(&self.binary, &data, &[], addresses).await?;
        Ok(())
    }

    /// Starts another process on the same Redis, to which it connects without the proxy.
    ///
    /// # Errors
    /// When the process does not start.
    pub async fn rival(&self) -> anyhow::Result<Process> {
        let data = self.folder.path().join("rival");
        std::fs::create_dir_all(&data)?;
        // The rival accepts the same members' tokens and the same provider's payments.
        for key in ["token.key", "payment.key"] {
            std::fs::copy(self.process.data.join(key), data.join(key))?;
        }
        Ok(start(&self.binary, &data, Some(self.redis.address()), &[]).await?.0)
    }

    /// Returns a counter at another process of this site.
    ///
    /// # Errors
    /// When the token key cannot be read.
    pub fn counter_at(&self, process: &Process, name: &str) -> anyhow::Result<Counter> {
        Ok(Counter { public: process.public, ..self.counter(name)? })
    }

    /// Waits until the shoppers were told of this many more orders.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until_orders(&self, more: u64) -> anyhow::Result<()> {
        let shop = self.shop.as_ref().context("the shop is open")?;
        let enough = shop.orders() + more;
        until("the shoppers get orders", || shop.orders() >= enough).await
    }

    /// Waits until Redis has answered with this error.
    ///
    /// # Errors
    /// When Redis does not answer with it in time.
    pub async fn until_error(&self, code: &str) -> anyhow::Result<()> {
        let seen = || self.proxy.errors().iter().any(|error| error.starts_with(code));
        until(&format!("Redis answers with {code}"), seen).await
    }

    /// Measures how long it takes after a fault until a new order is confirmed.
    ///
    /// # Errors
    /// When no new order is confirmed in time.
    pub async fn recovered(&mut self) -> anyhow::Result<()> {
        self.probes += 1;
        let counter = self.counter("p")?;
        let took = probe(&counter, self.probes, &mut self.receipts).await;
        let took = took.context("no new order was confirmed after the fault")?;
        self.recovery = self.recovery.max(took);
        self.until_ready().await
    }

    /// Makes a click that must be accepted at once, confirmed or not.
    ///
    /// # Errors
    /// When the click is not accepted.
    pub async fn accepts(&mut self) -> anyhow::Result<()> {
        self.probes += 1;
        let counter = self.counter("p")?;
        let is_accepted = click_once(&counter, self.probes, &mut self.receipts).await;
        ensure!(is_accepted, "a click was not accepted");
        Ok(())
    }

    /// Makes this many clicks that are accepted at once and wait for the store.
    ///
    /// # Errors
    /// When a click is not accepted.
    pub async fn orders_without_waiting(&mut self, orders: u64) -> anyhow::Result<()> {
        for _ in 0..orders {
            self.accepts().await?;
        }
        Ok(())
    }

    /// Waits until the process says that it confirms orders of every sale again.
    async fn until_ready(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        while let Err(why) = self.process.ready().await? {
            ensure!(start.elapsed() < patience(), "it is not ready in the end: {why}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Closes the shop, waits until every order has its verdict, and compares the three views.
    ///
    /// # Errors
    /// When an order gets no verdict in time, or a view cannot be read.
    pub async fn close(&mut self, allowed: Allowed) -> anyhow::Result<Views> {
        if let Some(shop) = self.shop.take() {
            self.receipts.merge(shop.close().await);
        }
        let mut operator = self.process.as_operator()?;
        let mut reports = BTreeMap::new();
        for sale in [LARGE, SMALL] {
            if let Ok(report) = operator.report(sale).await {
                let settled = operator.settled(sale, patience()).await;
                settled.with_context(|| format!("{report:?}"))?;
                reports.insert(sale, operator.report(sale).await?);
            }
        }
        self.until_ready().await?;
        let differences = operator.book(patience()).await?.differences;
        let store = self.at_rest().await?;
        let mut views = compare(&*store.reading, &self.receipts, allowed).await?;
        views.problems.extend(differences.into_iter().map(|told| format!("book: {told}")));
        views.problems.extend(book_view(&store, allowed.gaps).await?);
        let sold: u64 = reports.values().map(|report| report.confirmed + report.paid).sum();
        let sum: u64 = reports.values().map(|report| report.stock - report.left).sum();
        if sold != sum {
            views.problems.push(format!("the operator is told of {sold} units sold, and of {sum}"));
        }
        Ok(views)
    }

    /// The store, for reading. The process of an embedded site ends first.
    async fn at_rest(&mut self) -> anyhow::Result<Store> {
        if !self.is_embedded {
            let (store, _) = RedisStore::connect(&RedisOptions::new(self.redis.url())).await?;
            return Ok(Store::from(Arc::new(store)));
        }
        self.process.signal(Signal::TERM)?;
        let process = &mut self.process;
        let start = Instant::now();
        while !process.has_ended() {
            ensure!(start.elapsed() < patience(), "the process does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(JournalStore::read(&self.process.data)?)
    }
}

/// Enrols a shopper, once, with points and a coupon if they can be given; returns their own code.
pub(super) async fn admit(
    process: &Process,
    member: &str,
    code: Option<&str>,
) -> anyhow::Result<String> {
    let account = process.as_platform()?.enrol(member, code).await?;
    let mut operator = process.as_operator()?;
    // Err: a shopper without either pays with money.
    operator.adjust(member, "given", "points", POINTS).await.ok();
    operator.issue(member, COUPON, "welcome").await.ok();
    Ok(account.referral_code)
}

/// The terms of a sale that every tier may buy in. The members of the small sale want more units
/// together than there are.
pub(super) fn terms(sale: &str) -> Value {
    let open = "2020-01-01T00:00:00Z";
    let for_all = |value: Value| -> BTreeMap<_, _> {
        Tier::ALL.iter().map(|tier| (tier.as_str(), value.clone())).collect()
    };
    let stock = if sale == SMALL { SMALL_MEMBERS * 2 } else { 5_000_000 };
    json!({
        "id": sale, "title": sale, "price_cents": PRICE_CENTS, "currency": "CNY", "stock": stock,
        "windows": for_all(json!(open)), "limits": for_all(json!(limit(sale))),
        "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900,
        "points_share_max": 50, "coupons": ["welcome"],
    })
}
