//! What no bench can time: a refusal allocates nothing, nor does an order without a key.

use benches::world::{Lamps, NOW, click, sale};
use engine::rules::key::IdempotencyKey;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::{Click, Sale};
use std::num::NonZeroU64;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// Returns how many blocks the call allocates.
fn allocated(call: impl FnOnce()) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    call();
    dhat::HeapStats::get().total_blocks - before
}

fn assert_refused(sale: &Sale, now: Millis, click: Click, wanted: impl Fn(&Refusal) -> bool) {
    // The first call may allocate what a thread allocates only once.
    for _ in 0..2 {
        let refusal = sale.buy(now, click).expect_err("a refusal");
        sale.meter().refuse(click.tier, &refusal);
        assert!(wanted(&refusal), "{refusal:?}");
    }
    let blocks = allocated(|| {
        for _ in 0..100 {
            let refusal = sale.buy(now, click).expect_err("a refusal");
            sale.meter().refuse(click.tier, &refusal);
        }
    });
    assert_eq!(blocks, 0, "{:?}", sale.buy(now, click));
}

// There is only one test, because allocations are counted for the whole process.
#[test]
fn neither_a_refusal_nor_an_order_without_a_key_allocates_anything() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let key = Some(IdempotencyKey(NonZeroU64::MIN));
    let keyed = |seat| Click { key, ..click(seat) };

    let sold_out = sale(Lamps { stock: 1, limit: 1 });
    assert!(allocated(|| drop(std::hint::black_box(Box::new(1)))) > 0, "it does count");
    let accepted = allocated(|| assert!(sold_out.buy(NOW, click(0)).is_ok()));
    assert_eq!(accepted, 0, "an order's room is made ahead");
    let is_sold_out = |refusal: &Refusal| matches!(refusal, Refusal::SoldOut { .. });
    assert_refused(&sold_out, NOW, click(1), is_sold_out);
    assert_refused(&sold_out, NOW, keyed(1), is_sold_out);

    let at_limit = sale(Lamps { stock: 10, limit: 2 });
    assert!(at_limit.buy(NOW, Click { units: Units(2), ..click(0) }).is_ok());
    let is_at_limit = |refusal: &Refusal| matches!(refusal, Refusal::LimitReached { .. });
    assert_refused(&at_limit, NOW, click(0), is_at_limit);
    assert_refused(&at_limit, NOW, keyed(0), is_at_limit);

    let fresh = sale(Lamps { stock: 10, limit: 2 });
    let units = |units| Click { units: Units(units), ..click(5_000) };
    assert_refused(&fresh, NOW, units(0), |r| matches!(r, Refusal::BadUnits { .. }));
    assert_refused(&fresh, NOW, units(3), |r| matches!(r, Refusal::BadUnits { .. }));
    assert_refused(&fresh, Millis(0), units(1), |r| matches!(r, Refusal::NotOpen { .. }));
    fresh.stock().set_paused(true);
    assert_refused(&fresh, NOW, units(1), |r| matches!(r, Refusal::Paused));
    assert_refused(&fresh, Millis::MAX, units(1), |r| matches!(r, Refusal::Closed));
}
