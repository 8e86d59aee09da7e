//! What confirmation costs: durable commits by batch size, beside one order a commit, and the same
//! without a disk.

use benches::world::{NOW, terms};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::stock::Units;
use engine::store::{Batch, MemoryStore, Placed, RedbStore, Store};
use membership::Tier;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

fn batch(first: u64, orders: u64) -> Batch {
    let placed = |number: u64| Placed {
        number,
        member: format!("viewer-{:06}", number % 1_000_000).parse().expect("a member id"),
        tier: Tier::Gold,
        units: Units(1),
        reserved_at: NOW,
        key: None,
    };
    let orders: Arc<[Placed]> = (first..first + orders).map(placed).collect();
    Batch { sale: "bench".parse().expect("a sale id"), epoch: 1, at: NOW, orders }
}

/// Commits `iters` batches, off the clock made, one after the other.
async fn commit(store: &dyn Store, next: &mut u64, orders: u64, iters: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..iters {
        let batch = batch(*next, orders);
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
    let redb = RedbStore::open(&folder.path().join("store.redb")).expect("a store");
    let memory = MemoryStore::default();
    let stores: [(&str, &dyn Store); 2] = [("redb", &redb), ("memory", &memory)];
    for (name, store) in stores {
        runtime.block_on(async {
            store.create(&terms("bench", 10_000_000, 65_535)).await.expect("a sale");
            store.open(&"bench".parse().expect("a sale id")).await.expect("an epoch");
        });
        let mut next = 1;
        // `base`: one order a commit.
        for (case, orders) in [("base", 1), ("64", 64), ("512", 512), ("4096", 4_096)] {
            group.throughput(Throughput::Elements(orders));
            group.bench_function(BenchmarkId::new(name, case), |b| {
                b.iter_custom(|iters| runtime.block_on(commit(store, &mut next, orders, iters)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, confirm);
criterion_main!(benches);
