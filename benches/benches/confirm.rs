//! What confirmation costs: durable commits of several batch sizes, beside one order a commit; and
//! the same commits without a disk.

use benches::run::redis::RedisServer;
use benches::world::{Lamps, NOW, terms};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::OpenSale;
use engine::clock::Clock;
use engine::confirm::{Confirmer, Progress};
use engine::roster::Roster;
use engine::rules::money::Money;
use engine::rules::terms::{Cents, SaleId};
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{
    Batch, JournalOptions, JournalStore, MemoryStore, RedisOptions, RedisStore, ReservedOrder,
    Selling, Store,
};
use membership::Tier;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

fn batch(epoch: u64, first: u64, orders: u64) -> Batch {
    let reserved = |number: u64| ReservedOrder {
        number,
        member: format!("viewer-{:06}", number % 1_000_000).parse().expect("a member id"),
        tier: Tier::Gold,
        units: Units(1),
        reserved_at: NOW,
        money: Money::list(Cents(19_900), Units(1)),
        key: None,
        is_offer: false,
    };
    let orders: Arc<[ReservedOrder]> = (first..first + orders).map(reserved).collect();
    Batch { sale: "bench".parse().expect("a sale id"), epoch, at: NOW, pay_by: NOW, orders }
}

/// Commits `iters` batches one after the other and returns their time. Making them is not timed.
async fn commit(
    store: &dyn Selling,
    epoch: u64,
    next: &mut u64,
    orders: u64,
    iters: u64,
) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..iters {
        let batch = batch(epoch, *next, orders);
        *next += orders;
        let start = Instant::now();
        store.commit(&batch).await.expect("the store takes all");
        spent += start.elapsed();
    }
    spent
}

fn confirm(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("confirm");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    let folder = tempfile::tempdir().expect("a folder");
    let journal = JournalStore::open(folder.path(), JournalOptions::default()).expect("a store");
    let stores: [(&str, Store); 2] =
        [("journal", journal.into()), ("memory", MemoryStore::default().into())];
    for (name, store) in stores {
        runtime.block_on(async {
            store
                .opening
                .create(&terms("bench", Lamps { stock: 10_000_000, limit: 65_535 }))
                .await
                .expect("a sale");
            store.opening.open(&"bench".parse().expect("a sale id")).await.expect("an epoch");
        });
        let mut next = 1;
        // `base`: one order a commit.
        for (case, orders) in [("base", 1), ("64", 64), ("512", 512), ("4096", 4_096)] {
            group.throughput(Throughput::Elements(orders));
            group.bench_function(BenchmarkId::new(name, case), |b| {
                b.iter_custom(|iters| {
                    runtime.block_on(commit(&*store.selling, 1, &mut next, orders, iters))
                });
            });
        }
    }
    group.finish();
}

/// Measures a real redis-server that puts every write on disk before it answers: one order a call
/// on one connection, batches sent with nothing of ours around them, and the confirmer of a sale.
fn confirm_redis(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let server = RedisServer::start(folder.path());
    let options = RedisOptions::new(server.url());
    let (redis, _) = runtime.block_on(RedisStore::connect(&options)).expect("a store");
    let redis = Arc::new(redis);
    let store = Store::from(Arc::clone(&redis));
    let id: SaleId = "bench".parse().expect("a sale id");
    let epoch = runtime.block_on(async {
        store
            .opening
            .create(&terms("bench", Lamps { stock: 10_000_000, limit: 65_535 }))
            .await
            .expect("a sale");
        store.opening.open(&id).await.expect("an epoch").epoch
    });
    let mut next = 1;
    let mut group = c.benchmark_group("redis");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(1));
    group.bench_function("base: one order a call", |b| {
        b.iter_custom(|iters| {
            runtime.block_on(commit(&*store.selling, epoch, &mut next, 1, iters))
        });
    });
    let orders = store.selling.batch_orders_max() as u64;
    group.throughput(Throughput::Elements(orders));
    group.bench_function("raw batches", |b| {
        b.iter_custom(|iters| {
            runtime.block_on(raw(&server, &redis, epoch, &mut next, orders, iters))
        });
    });
    let mut sale = runtime.block_on(OneSale::open(&store, &id));
    group.bench_function("confirmer", |b| {
        b.iter_custom(|iters| runtime.block_on(sale.confirm(orders * iters)));
    });
    group.finish();
}

/// Writes the store's own calls to a socket, as bytes that were made before, with as many calls on
/// their way as the store allows itself. The answers are counted and thrown away.
async fn raw(
    server: &RedisServer,
    store: &RedisStore,
    epoch: u64,
    next: &mut u64,
    orders: u64,
    iters: u64,
) -> Duration {
    let mut stream = TcpStream::connect(server.address()).await.expect("redis-server");
    stream.set_nodelay(true).expect("a socket");
    let mut spent = Duration::ZERO;
    for _ in 0..iters {
        let batch = batch(epoch, *next, orders);
        *next += orders;
        let bytes = store.commit_bytes(&batch);
        let start = Instant::now();
        stream.write_all(&bytes).await.expect("a socket");
        let (mut confirmed, mut part) = (0, vec![0; 1 << 18]);
        let mut tail = Vec::new();
        while confirmed < orders {
            let n = stream.read(&mut part).await.expect("a socket");
            tail.extend_from_slice(&part[..n]);
            assert!(n > 0 && !tail.starts_with(b"-"), "{}", String::from_utf8_lossy(&tail));
            confirmed = tail.windows(9).filter(|word| *word == b"confirmed").count() as u64;
        }
        spent += start.elapsed();
    }
    spent
}

/// A sale and its confirmer, both driven by this bench.
struct OneSale {
    open: Arc<OpenSale>,
    roster: Arc<Roster>,
    confirmer: Confirmer,
    clicks: u64,
    _running: watch::Sender<bool>,
}

impl OneSale {
    async fn open(store: &Store, id: &SaleId) -> Self {
        let opened = store.opening.open(id).await.expect("an epoch");
        let (running, stopping) = watch::channel(false);
        let roster = Arc::new(Roster::new());
        let open = Arc::new(
            OpenSale::resume(
                opened,
                engine::sale::ORDERS_PER_MEMBER,
                &roster,
                Arc::default(),
                stopping,
            )
            .expect("room for all"),
        );
        let (clock, calm) = (Clock::by_hand(NOW), Duration::from_secs(3_600));
        let confirmer = Confirmer::new(Arc::clone(&open), Arc::clone(&roster), store, clock, calm);
        Self { open, roster, confirmer, clicks: 0, _running: running }
    }

    /// Returns the time from `orders` clicks on the queue to their verdicts on the board.
    async fn confirm(&mut self, orders: u64) -> Duration {
        for _ in 0..orders {
            self.clicks += 1;
            let name = format!("viewer-{:06}", self.clicks % 1_000_000);
            let seat = self.roster.seat(&name).expect("a seat");
            let click = Click { seat, tier: Tier::Gold, units: Units(1), key: None };
            self.open.sale.buy(NOW, click).expect("there is enough");
        }
        let start = Instant::now();
        let mut settled = 0;
        while settled < orders {
            let progress = self.confirmer.make_progress().await;
            let Progress::Settled(more) = progress else { panic!("the store takes all") };
            settled += more as u64;
        }
        start.elapsed()
    }
}

criterion_group!(benches, confirm, confirm_redis);
criterion_main!(benches);
