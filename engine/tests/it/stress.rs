//! Real threads on one sale, bounded in count.

use crate::support::{OPEN, engine, sale};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::units::Units;
use engine::sale::Click;
use membership::Tier;
use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Duration;

const THREADS: u32 = 4;

#[test]
fn many_threads_sell_exactly_the_stock_and_nobody_passes_the_limit() {
    let drop = sale(1_000);
    let start = Barrier::new(THREADS as usize);
    let clicks = |thread: u32| {
        start.wait();
        let mut rng = fastrand::Rng::with_seed(u64::from(thread));
        let mut numbers = Vec::new();
        for _ in 0..20_000 {
            let tier = Tier::ALL[rng.usize(..5)];
            let (seat, units) = (Seat::new(rng.u32(..2_000)), Units(rng.u32(1..4)));
            numbers.extend(
                drop.buy(OPEN, Click { seat, tier, units, key: None, is_minor: false })
                    .map(|a| a.number),
            );
        }
        numbers
    };
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || clicks(t))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: HashSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number was given out twice");
    let sold: u32 = numbers.iter().map(|n| drop.board().read(*n).unwrap().units.0).sum();
    assert_eq!(sold + drop.stock().level().left().0, 1_000);
    assert_eq!(drop.stock().level().left(), Units(0));
    let held: u32 = (0..2_000).map(|seat| drop.held(Seat::new(seat)).0).sum();
    assert_eq!(held, sold);
    assert!((0..2_000).all(|seat| drop.held(Seat::new(seat)).0 <= 5));
    let mut intake = drop.intake();
    let queued = std::iter::from_fn(|| drop.take_in(&mut intake)).map(|(_, order)| order.number);
    let queued: Vec<_> = queued.collect();
    assert_eq!(queued, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn units_that_come_back_are_sold_again_until_none_is_left() {
    use engine::rules::order::Status::{Confirmed, Released};
    let drop = sale(500);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let store = scope.spawn(|| {
            let (mut rng, mut intake) = (fastrand::Rng::with_seed(3), drop.intake());
            // Ordering: Acquire, paired with the Release below: once set, all clicks are over.
            while !stop.load(std::sync::atomic::Ordering::Acquire) || !drop.queue().is_empty() {
                let Some((_, order)) = drop.take_in(&mut intake) else { continue };
                let status = if rng.u8(..4) == 0 { Released } else { Confirmed };
                drop.settle(order.number, status, OPEN).unwrap();
            }
        });
        let buyers: Vec<_> = (0..2)
            .map(|thread: u32| {
                let drop = &drop;
                scope.spawn(move || {
                    for i in 0..50_000 {
                        let seat = Seat::new(thread * 50_000 + i);
                        let click = Click {
                            seat,
                            tier: Tier::Gold,
                            units: Units(1),
                            key: None,
                            is_minor: false,
                        };
                        let refused = drop.buy(OPEN, click).err();
                        assert!(matches!(refused, None | Some(Refusal::SoldOut { .. })));
                    }
                })
            })
            .collect();
        buyers.into_iter().for_each(|buyer| buyer.join().unwrap());
        // Ordering: Release, paired with the Acquire above.
        stop.store(true, std::sync::atomic::Ordering::Release);
        store.join().unwrap();
    });
    let level = drop.stock().level();
    let confirmed: u64 = drop.meter().stored().sum(Confirmed).units;
    assert_eq!(u64::from(level.left().0) + confirmed, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_the_running_engine_is_confirmed_to_the_last_order() {
    let (engine, open) = engine(3_000).await;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, open) = (&engine, &open);
            scope.spawn(move || {
                for i in 0..2_000 {
                    let seat = engine.roster().seat(&format!("m{thread}-{i}")).unwrap();
                    let click = Click {
                        seat,
                        tier: Tier::Gold,
                        units: Units(1),
                        key: None,
                        is_minor: false,
                    };
                    let accepted = open.sale.buy(OPEN, click).is_ok();
                    if accepted {
                        open.wake();
                    }
                }
            });
        }
    });
    assert_eq!(engine.drain(Duration::from_secs(30)).await, 0);
    assert_eq!(
        open.sale.meter().stored().of(engine::rules::order::Status::Confirmed)[Tier::Gold].units,
        3_000
    );
    assert_eq!(open.sale.stock().level().left(), Units(0));
}
