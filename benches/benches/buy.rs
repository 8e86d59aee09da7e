//! How long a click takes in memory, beside the primitives that it cannot do without.

use benches::world::{Lamps, NOW, click, sale};
use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam::queue::{ArrayQueue, SegQueue};
use crossbeam::utils::CachePadded;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::{Accepted, Click, Sale};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MEMBERS: u32 = 1_000_000;
/// Orders in one round. Each round starts in a fresh world, because the stock of a sale is finite.
const ROUND: u64 = 1_000_000;

/// Members in a random order, which no prefetcher can guess.
fn strangers() -> Vec<u32> {
    let mut members: Vec<u32> = (0..MEMBERS).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut members);
    members
}

/// Returns the time of `iters` orders in rounds. Making the fresh world of each round is not timed.
fn in_rounds<W>(iters: u64, world: impl Fn() -> W, mut round: impl FnMut(&W, u64)) -> Duration {
    let (mut left, mut spent) = (iters, Duration::ZERO);
    while left > 0 {
        let n = left.min(ROUND);
        let fresh = world();
        let start = Instant::now();
        round(&fresh, n);
        spent += start.elapsed();
        left -= n;
    }
    spent
}

struct Primitives {
    members: Vec<AtomicU32>,
    stock: CachePadded<AtomicU64>,
    number: CachePadded<AtomicU64>,
    queue: SegQueue<(u64, u64)>,
}

impl Primitives {
    fn new() -> Self {
        Self {
            members: (0..MEMBERS).map(|_| AtomicU32::new(0)).collect(),
            stock: CachePadded::new(AtomicU64::new(u64::MAX)),
            number: CachePadded::new(AtomicU64::new(0)),
            queue: SegQueue::new(),
        }
    }

    /// One CAS on the member's word, one on the shared word, one fetch-add, one push.
    fn all(&self, member: u32) {
        let member = &self.members[member as usize];
        // Ordering: as on the engine's own words, so that the base is not cheaper than it could be.
        let held = member.load(Ordering::Relaxed);
        let claimed =
            member.compare_exchange_weak(held, held + 1, Ordering::Release, Ordering::Relaxed);
        black_box(claimed.is_ok());
        // Ordering: as above.
        let left = self.stock.load(Ordering::Acquire);
        let reserved =
            self.stock.compare_exchange_weak(left, left - 1, Ordering::AcqRel, Ordering::Acquire);
        black_box(reserved.is_ok());
        // Ordering: as above.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.queue.push((number, 0));
    }
}

fn accepted(c: &mut Criterion) {
    let strangers = strangers();
    let mut group = c.benchmark_group("accepted");
    group.sample_size(30);
    group.bench_function("base", |b| {
        b.iter_custom(|iters| {
            in_rounds(iters, Primitives::new, |primitives, n| {
                for member in strangers.iter().cycle().take(usize::try_from(n).expect("a round")) {
                    primitives.all(black_box(*member));
                }
            })
        });
    });
    let fresh = || {
        let sale = sale(Lamps { stock: 10_000_000, limit: 65_535 });
        for seat in 0..MEMBERS {
            sale.restore_holding(Seat::new(seat), Units(0), 0);
        }
        sale
    };
    group.bench_function("buy", |b| {
        b.iter_custom(|iters| {
            in_rounds(iters, fresh, |sale, n| {
                for seat in strangers.iter().cycle().take(usize::try_from(n).expect("a round")) {
                    let bought = sale.buy(black_box(NOW), black_box(click(*seat)));
                    assert!(black_box(bought).is_ok());
                }
            })
        });
    });
    group.finish();
}

/// Forces the answer into memory, as if a caller looked at it. Copying it around is not counted.
#[inline(always)]
fn seen<T>(answer: &T) {
    black_box(answer);
}

#[inline(always)]
fn asked(sale: &Sale, (now, click): &(Millis, Click)) -> Result<Accepted, Refusal> {
    sale.buy(*now, *click)
}

fn refused(c: &mut Criterion) {
    let shared = CachePadded::new(AtomicU64::new(0));
    let sold_out = sale(Lamps { stock: 1, limit: 1 });
    sold_out.buy(NOW, click(0)).expect("the only unit");
    let at_limit = sale(Lamps { stock: 10, limit: 1 });
    at_limit.buy(NOW, click(1)).expect("the member's only unit");
    let open = sale(Lamps { stock: 10, limit: 1 });
    let (now, early) = ((NOW, click(1)), (Millis(0), click(1)));
    let mut group = c.benchmark_group("refused");
    group.bench_function("base", |b| {
        // Ordering: as the engine reads its stock.
        b.iter(|| seen(&black_box(&shared).load(Ordering::Acquire)));
    });
    group.bench_function("sold_out", |b| {
        b.iter(|| seen(&asked(&sold_out, black_box(&now))));
    });
    group.bench_function("at_limit", |b| {
        b.iter(|| seen(&asked(&at_limit, black_box(&now))));
    });
    group.bench_function("not_open", |b| {
        b.iter(|| seen(&asked(&open, black_box(&early))));
    });
    group.finish();
}

/// The time of two containers for the order queue: one that grows, and one as deep as the stock.
fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    group.sample_size(30);
    group.bench_function("segmented", |b| {
        b.iter_custom(|iters| {
            in_rounds(iters, SegQueue::new, |queue, n| {
                (0..n).for_each(|number| queue.push((number, number)));
                while let Some(order) = queue.pop() {
                    black_box(order);
                }
            })
        });
    });
    group.bench_function("ring", |b| {
        let deep = usize::try_from(ROUND).expect("a round");
        b.iter_custom(|iters| {
            in_rounds(
                iters,
                || ArrayQueue::new(deep),
                |queue, n| {
                    (0..n).for_each(|number| {
                        black_box(queue.push((number, number)).is_ok());
                    });
                    while let Some(order) = queue.pop() {
                        black_box(order);
                    }
                },
            )
        });
    });
    group.finish();
}

criterion_group!(benches, accepted, refused, queue);
criterion_main!(benches);
