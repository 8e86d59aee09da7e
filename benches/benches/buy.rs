//! How long a click takes in memory, beside the primitives that it cannot do without.

use benches::primitives::Primitives;
use benches::world::{Lamps, NOW, click, paid_with_points, sale};
use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam::queue::SegQueue;
use crossbeam::utils::CachePadded;
use engine::rules::key::IdempotencyKey;
use engine::rules::order::{Order, Status};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::board::Board;
use engine::sale::purse::{Purses, Told};
use engine::sale::queue::OrderQueue;
use engine::sale::queued::Queued;
use engine::sale::refused::{Record, Refused};
use engine::sale::{Accepted, Click, Sale};
use membership::Tier;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEMBERS: u32 = 1_000_000;
/// Orders in one round. Each round starts in a fresh world, because the stock of a sale is finite.
const ROUND: u32 = 1_000_000;

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
        let n = left.min(u64::from(ROUND));
        let fresh = world();
        let start = Instant::now();
        round(&fresh, n);
        spent += start.elapsed();
        left -= n;
    }
    spent
}

/// Makes a click for each member once it is known what the one before came to, as clicks come: a processor that
/// looks ahead from one click into the next ones would wait for the memory of many at once.
fn one_by_one(members: impl Iterator<Item = u32>, mut click: impl FnMut(u32) -> u64) {
    let (nothing, mut answer) = (black_box(0), 0);
    for member in members {
        let behind = u32::try_from(answer & nothing).expect("0");
        answer = click(member + behind);
    }
    black_box(answer);
}

fn accepted(c: &mut Criterion) {
    let strangers = strangers();
    let mut group = c.benchmark_group("accepted");
    group.sample_size(30);
    let round =
        |n: u64| strangers.iter().copied().cycle().take(usize::try_from(n).expect("a round"));
    group.bench_function("base", |b| {
        b.iter_custom(|iters| {
            in_rounds(
                iters,
                || Primitives::new(ROUND),
                |primitives, n| {
                    one_by_one(round(n), |member| primitives.all(member));
                },
            )
        });
    });
    let stock = |units| move || sale(Lamps { stock: units * ROUND, limit: 65_535 });
    let buys = |sale: &Sale, click: Click| {
        sale.buy(black_box(NOW), black_box(click)).expect("an order");
        u64::from(sale.held(click.seat).0)
    };
    group.bench_function("buy", |b| {
        b.iter_custom(|iters| {
            in_rounds(iters, stock(1), |sale, n| {
                one_by_one(round(n), |seat| buys(sale, click(seat)))
            })
        });
    });
    group.bench_function("multi_unit", |b| {
        let three = |seat| Click { units: Units(3), ..click(seat) };
        b.iter_custom(|iters| {
            in_rounds(iters, stock(3), |sale, n| {
                one_by_one(round(n), |seat| buys(sale, three(seat)))
            })
        });
    });
    group.bench_function("keyed", |b| {
        let mut keys = fastrand::Rng::with_seed(8);
        b.iter_custom(|iters| {
            in_rounds(iters, stock(1), |sale, n| {
                one_by_one(round(n), |seat| {
                    let key = NonZeroU64::new(keys.u64(1..)).map(IdempotencyKey);
                    buys(sale, Click { key, ..click(seat) })
                });
            })
        });
    });
    group.bench_function("with_points", |b| {
        b.iter_custom(|iters| {
            in_rounds(iters, fresh_with_purses, |(sale, purses), n| {
                one_by_one(round(n), |seat| {
                    let click = black_box(click(seat));
                    let bought = sale.buy_with(black_box(NOW), click, purses, 1, None);
                    bought.expect("points").expect("an order");
                    u64::from(sale.held(Seat::new(seat)).0)
                });
            })
        });
    });
    group.finish();
}

/// A sale that takes points, and members who have some.
fn fresh_with_purses() -> (Sale, Purses) {
    let lamps = Lamps { stock: ROUND, limit: 65_535 };
    let (sale, purses) = (Sale::new(paid_with_points(lamps)), Purses::default());
    for seat in (0..MEMBERS).map(Seat::new) {
        purses.tell(seat, Told { balance: 1_000_000, coupons: Vec::new() }, 0);
    }
    (sale, purses)
}

/// What it costs to keep a refusal for those who ask why: each, and where they come too fast.
fn kept(c: &mut Criterion) {
    let record = Record::default();
    let refused = |at| Refused { seat: Seat::new(1), kind: 8, at: Millis(at), left: Units(0) };
    let mut group = c.benchmark_group("kept");
    let mut at = 0;
    group.bench_function("each", |b| {
        b.iter(|| {
            // Each in a moment of its own.
            at += 100;
            record.note(black_box(refused(at)));
        });
    });
    group.bench_function("too_fast", |b| b.iter(|| record.note(black_box(refused(1)))));
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

/// An order's way from the click to the confirmer: a queue beside the board, and the board's own tail.
fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    group.sample_size(30);
    let order = |number| Order {
        number,
        seat: Seat::new(7),
        tier: Tier::Gold,
        units: Units(1),
        status: Status::Reserved,
        reserved_at: NOW,
        settled_at: None,
        changed_at: None,
    };
    group.bench_function("base_beside", |b| {
        b.iter_custom(|iters| {
            let world = || (Board::new(0, Units(1)), SegQueue::new());
            in_rounds(iters, world, |(board, queue), n| {
                (0..n).for_each(|number| {
                    board.write(black_box(&order(number)), None, false);
                    queue.push((number, Queued { key: None, is_mixed: false }));
                });
                while let Some((number, queued)) = queue.pop() {
                    black_box((queued, board.read(number)));
                }
            })
        });
    });
    group.bench_function("tail", |b| {
        b.iter_custom(|iters| {
            let world = || (Board::new(0, Units(1)), OrderQueue::new(0));
            in_rounds(iters, world, |(board, queue), n| {
                (0..n).for_each(|_| {
                    let number = queue.take_number();
                    board.write(black_box(&order(number)), None, false);
                });
                let mut intake = queue.intake(board);
                while let Some(order) = queue.pop(board, &mut intake) {
                    black_box(order);
                }
            })
        });
    });
    group.finish();
}

criterion_group!(benches, accepted, refused, kept, queue);
criterion_main!(benches);
