//! What confirmation costs: durable commits of several sizes, beside as many bytes to a bare file.

use benches::run::redis::RedisServer;
use benches::world::{Lamps, NOW, terms};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::OpenSale;
use engine::clock::Clock;
use engine::confirm::{Confirmer, Progress};
use engine::members::Book;
use engine::roster::Roster;
use engine::rules::cents::Cents;
use engine::rules::money::Money;
use engine::rules::seat::Seat;
use engine::rules::terms::SaleId;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{
    Batch, JournalOptions, JournalStore, MemoryStore, RedisOptions, RedisStore, ReservedOrder,
    Store,
};
use membership::{MemberId, Tier};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Members of the platform; each batch takes any of them.
const MEMBERS: u64 = 1_000_000;
/// Orders that the store has before anything is measured.
const GROWN: u64 = 600_000;

/// A member at random, with an id of 14 characters.
fn member() -> MemberId {
    format!("member-{:07}", fastrand::u64(..MEMBERS)).parse().expect("a member id")
}

fn batch(sale: &SaleId, epoch: u64, first: u64, orders: u64) -> Batch {
    let reserved = |number: u64| ReservedOrder {
        number,
        member: member(),
        tier: Tier::Gold,
        units: Units(1),
        reserved_at: NOW,
        money: Money::list(Cents(19_900), Units(1)),
        key: None,
        is_offer: false,
        refused: None,
    };
    let orders: Arc<[ReservedOrder]> = (first..first + orders).map(reserved).collect();
    let pay_by = NOW + Duration::from_secs(900);
    Batch { sale: sale.clone(), epoch, at: NOW, pay_by, orders }
}

/// A large sale in a store, opened.
struct Lamp {
    store: Store,
    sale: SaleId,
    epoch: u64,
    /// The number of the next order.
    next: u64,
}

impl Lamp {
    async fn new(store: &Store, name: &str) -> Self {
        let lamps = Lamps { stock: 10_000_000, limit: 65_535 };
        store.opening.create(&terms(name, lamps)).await.expect("a sale");
        let sale = name.parse().expect("a sale id");
        let epoch = store.opening.open(&sale).await.expect("an epoch").epoch;
        Self { store: store.clone(), sale, epoch, next: 1 }
    }

    /// As `new`, with many orders that were committed before.
    async fn grown(store: &Store, name: &str) -> Self {
        let mut lamp = Self::new(store, name).await;
        while lamp.next < GROWN {
            lamp.commit(8_189, 1).await;
        }
        lamp
    }

    fn batch(&mut self, orders: u64) -> Batch {
        self.next += orders;
        batch(&self.sale, self.epoch, self.next - orders, orders)
    }

    /// Commits `iters` batches one after the other and returns their time. Making them is not timed.
    async fn commit(&mut self, orders: u64, iters: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..iters {
            let batch = self.batch(orders);
            let start = Instant::now();
            self.store.selling.commit(&batch).await.expect("the store takes all");
            spent += start.elapsed();
        }
        spent
    }
}

/// Bytes of all blocks in a journal's folder, without the room behind them.
fn block_bytes_in(folder: &Path) -> usize {
    let files =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let segments = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    let bytes = segments.map(|path| std::fs::read(path).expect("a segment"));
    bytes.map(|bytes| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)).sum()
}

/// Writes so many bytes to a growing file, makes them durable, and returns the time of `iters` times.
fn bare(file: &mut File, bytes: usize, iters: u64) -> Duration {
    let block: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(bytes).collect();
    let start = Instant::now();
    for _ in 0..iters {
        file.write_all(&block).expect("a disk");
        file.sync_data().expect("a disk");
    }
    start.elapsed()
}

/// Durable commits of several sizes to the journal, beside as many bytes to a bare file; the same
/// commits without a disk; and clicks with all that follows until their verdicts.
fn confirm(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("commit");
    // Short, because a disk that writes gigabytes on end is slowed down by whoever lends it.
    group.sample_size(20).measurement_time(Duration::from_millis(600));
    group.warm_up_time(Duration::from_millis(200));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let journal = JournalStore::open(folder.path(), JournalOptions::default()).expect("a store");
    let (journal, memory): (Store, Store) = (journal.into(), MemoryStore::default().into());
    let mut bare_file = File::create(folder.path().join("bare")).expect("a file");
    for orders in [1, 64, 512, 4_096, 8_189] {
        let mut lamp = runtime.block_on(Lamp::grown(&journal, &format!("journal-{orders}")));
        let before = block_bytes_in(folder.path());
        runtime.block_on(lamp.commit(orders, 10));
        let bytes = (block_bytes_in(folder.path()) - before) / 10;
        group.throughput(Throughput::Elements(orders));
        group.bench_function(BenchmarkId::new("base", orders), |b| {
            b.iter_custom(|iters| bare(&mut bare_file, bytes, iters));
        });
        group.bench_function(BenchmarkId::new("journal", orders), |b| {
            b.iter_custom(|iters| runtime.block_on(lamp.commit(orders, iters)));
        });
    }
    for orders in [1, 4_096] {
        let mut lamp = runtime.block_on(Lamp::grown(&memory, &format!("memory-{orders}")));
        group.throughput(Throughput::Elements(orders));
        group.bench_function(BenchmarkId::new("memory", orders), |b| {
            b.iter_custom(|iters| runtime.block_on(lamp.commit(orders, iters)));
        });
    }
    let lamp = runtime.block_on(Lamp::grown(&journal, "clicks"));
    let mut sale = runtime.block_on(OneSale::open(&journal, &lamp.sale));
    for orders in [64, 512, 4_096] {
        group.throughput(Throughput::Elements(orders));
        group.bench_function(BenchmarkId::new("click to disk", orders), |b| {
            b.iter_custom(|iters| {
                runtime.block_on(async {
                    let mut spent = Duration::ZERO;
                    for _ in 0..iters {
                        let seats = sale.seats(orders);
                        let start = Instant::now();
                        sale.click(&seats);
                        sale.confirm(orders).await;
                        spent += start.elapsed();
                    }
                    spent
                })
            });
        });
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
    let mut lamp = runtime.block_on(Lamp::new(&store, "bench"));
    let mut group = c.benchmark_group("redis");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(1));
    group.bench_function("base: one order a call", |b| {
        b.iter_custom(|iters| runtime.block_on(lamp.commit(1, iters)));
    });
    let orders = store.selling.batch_orders_max() as u64;
    group.throughput(Throughput::Elements(orders));
    group.bench_function("raw batches", |b| {
        b.iter_custom(|iters| runtime.block_on(raw(&server, &redis, &mut lamp, orders, iters)));
    });
    let mut sale = runtime.block_on(OneSale::open(&store, &lamp.sale));
    group.bench_function("confirmer", |b| {
        b.iter_custom(|iters| {
            sale.click(&sale.seats(orders * iters));
            let start = Instant::now();
            runtime.block_on(sale.confirm(orders * iters));
            start.elapsed()
        });
    });
    group.finish();
}

/// Writes the store's own calls to a socket, as bytes that were made before, with as many calls on
/// their way as the store allows itself. The answers are counted and thrown away.
async fn raw(
    server: &RedisServer,
    store: &RedisStore,
    lamp: &mut Lamp,
    orders: u64,
    iters: u64,
) -> Duration {
    let mut stream = TcpStream::connect(server.address()).await.expect("redis-server");
    stream.set_nodelay(true).expect("a socket");
    let mut spent = Duration::ZERO;
    for _ in 0..iters {
        let batch = lamp.batch(orders);
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
        let book = Book::open(Arc::clone(&store.book), clock.clone(), Arc::clone(&roster));
        let book = Arc::new(book.await.expect("a book"));
        let confirmer =
            Confirmer::new(Arc::clone(&open), Arc::clone(&roster), store, book, clock, calm);
        Self { open, roster, confirmer, _running: running }
    }

    /// The seats of members at random.
    fn seats(&self, clicks: u64) -> Vec<Seat> {
        let seat = |_| self.roster.seat(member().as_str()).expect("a seat");
        (0..clicks).map(seat).collect()
    }

    fn click(&self, seats: &[Seat]) {
        for seat in seats {
            let click = Click {
                seat: *seat,
                tier: Tier::Gold,
                units: Units(1),
                key: None,
                is_minor: false,
            };
            self.open.sale.buy(NOW, click).expect("there is enough");
        }
    }

    /// Confirms what waits: so many orders.
    async fn confirm(&mut self, orders: u64) {
        let mut settled = 0;
        while settled < orders {
            let progress = self.confirmer.make_progress().await;
            let Progress::Settled(more) = progress else { panic!("the store takes all") };
            settled += more as u64;
        }
    }
}

criterion_group!(benches, confirm, confirm_redis);
criterion_main!(benches);
