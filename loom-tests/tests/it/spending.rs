//! Models of what a click takes of its member's purse, and of the record of refusals.

use engine::rules::key::IdempotencyKey;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::purse::{Purses, Told, Usable};
use engine::sale::refused::{Record, Refused};
use engine::sale::{Click, Sale};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom_tests::world::{Lamps, Model, NOW, click, every_way, paid_with_points, spawn};
use std::num::NonZeroU64;

const ANN: Seat = Seat::new(0);

fn told(balance: i64, coupons: &[&str]) -> Told {
    let usable = |id: &&str| Usable {
        id: id.parse().expect("a coupon"),
        kind: "welcome".into(),
        until: Millis(99),
    };
    Told { balance, coupons: coupons.iter().map(usable).collect() }
}

/// A sale of which points pay all, and a purse of Ann's.
fn world(stock: u32, purse: Told) -> Arc<(Sale, Purses)> {
    let parts = (paid_with_points(Lamps { stock, limit: 2 }), Purses::default());
    parts.1.tell(ANN, purse, 0);
    Arc::new(parts)
}

/// Ann clicks twice at once, each time for a lamp of 100 points.
fn ann_clicks_twice(model: Model) {
    every_way(move || {
        let parts = world(2, told(150, &[]));
        let naive = Arc::new(AtomicU64::new(150));
        let buy = move |parts: &(Sale, Purses), naive: &AtomicU64| match model {
            Model::Real => {
                let bought = parts.0.buy_with(NOW, click(0, Units(1)), &parts.1, 100, None);
                bought.expect("points that the sale takes").is_ok()
            }
            Model::Twin => {
                // The bug: the balance is read, and written later.
                // Ordering: Acquire and Release, so that only the order of the steps is the bug.
                let balance = naive.load(Ordering::Acquire);
                let has = balance >= 100;
                if has {
                    // Ordering: Release, as above.
                    naive.store(balance - 100, Ordering::Release);
                }
                has
            }
        };
        let (other, others) = (Arc::clone(&parts), Arc::clone(&naive));
        let other = spawn(move || buy(&other, &others));
        let bought = [buy(&parts, &naive), other.join().expect("the other click")];
        let orders = bought.into_iter().filter(|bought| *bought).count();
        assert_eq!(orders, 1, "150 points paid for {orders} times 100");
        if model.is_real() {
            assert_eq!(parts.1.free(ANN), Some(50));
        }
    });
}

#[test]
fn two_clicks_at_once_do_not_both_take_the_last_points() {
    ann_clicks_twice(Model::Real);
}

#[test]
#[should_panic(expected = "150 points paid for 2 times 100")]
fn twin_points_that_are_read_and_written_later() {
    ann_clicks_twice(Model::Twin);
}

/// Ann clicks twice at once with one key; her points pay for one lamp, and her limit is two.
fn ann_repeats_her_click(model: Model) {
    every_way(move || {
        let parts = world(2, told(100, &[]));
        let naive = Arc::new((AtomicU64::new(0), AtomicU64::new(100)));
        let buy = move |parts: &(Sale, Purses), naive: &(AtomicU64, AtomicU64)| match model {
            Model::Real => {
                let keyed =
                    Click { key: Some(IdempotencyKey(NonZeroU64::MIN)), ..click(0, Units(1)) };
                let bought = parts.0.buy_with(NOW, keyed, &parts.1, 100, None);
                let bought = bought.expect("points that the sale takes");
                matches!(bought, Ok(_) | Err(Refusal::IdempotencyInFlight))
            }
            Model::Twin => {
                let (known, points) = naive;
                // Ordering: Relaxed is the bug: who sees that points are gone may not see the key.
                if points.load(Ordering::Relaxed) == 0 {
                    known.load(Ordering::Relaxed) == 1
                } else {
                    known.store(1, Ordering::Relaxed);
                    points.store(0, Ordering::Relaxed);
                    true
                }
            }
        };
        let (other, others) = (Arc::clone(&parts), Arc::clone(&naive));
        let other = spawn(move || buy(&other, &others));
        let known = [buy(&parts, &naive), other.join().expect("the other click")];
        assert!(known == [true; 2], "her own click has her points, and its key is unknown");
    });
}

#[test]
fn a_click_that_meets_what_its_repetition_spent_also_finds_its_key() {
    ann_repeats_her_click(Model::Real);
}

#[test]
#[should_panic(expected = "her own click has her points, and its key is unknown")]
fn twin_points_that_are_gone_before_the_key_is_seen() {
    ann_repeats_her_click(Model::Twin);
}

/// The book has a hold for 60 of 100 points that an order had taken, while somebody looks.
fn the_book_has_a_hold(model: Model) {
    every_way(move || {
        let purses = Arc::new(Purses::default());
        purses.tell(ANN, told(100, &[]), 0);
        let sale = paid_with_points(Lamps { stock: 1, limit: 1 });
        let spent = sale.buy_with(NOW, click(0, Units(1)), &purses, 60, None);
        spent.expect("points that the sale takes").expect("an order");
        let other = Arc::clone(&purses);
        let other = spawn(move || {
            let free = other.free(ANN);
            assert_eq!(free, Some(40), "40 points were there all the time, and {free:?} seen");
        });
        match model {
            Model::Real => purses.tell(ANN, told(40, &[]), 60),
            // The bug: what the order took ends before the balance is the new one.
            Model::Twin => {
                purses.settle(ANN, 60);
                purses.tell(ANN, told(40, &[]), 0);
            }
        }
        other.join().expect("the other one");
    });
}

#[test]
fn a_hold_in_the_book_shows_at_no_instant_more_points_than_there_are() {
    the_book_has_a_hold(Model::Real);
}

#[test]
#[should_panic(expected = "40 points were there all the time")]
fn twin_what_an_order_took_ends_before_the_new_balance_is_there() {
    the_book_has_a_hold(Model::Twin);
}

/// Two clicks for the last lamp, each with 50 of 100 points.
fn the_last_lamp(model: Model) {
    every_way(move || {
        let parts = world(1, told(100, &[]));
        let buy = |parts: &(Sale, Purses)| {
            let bought = parts.0.buy_with(NOW, click(0, Units(1)), &parts.1, 50, None);
            bought.expect("points that the sale takes")
        };
        let other = Arc::clone(&parts);
        let other = spawn(move || buy(&other).is_ok());
        let bought = buy(&parts);
        if let (Model::Twin, Err(_)) = (model, bought) {
            // The bug: the click that was refused keeps what it took.
            let stock = paid_with_points(Lamps { stock: 1, limit: 1 });
            let kept = stock.buy_with(NOW, click(0, Units(1)), &parts.1, 50, None);
            kept.expect("points that the sale takes").expect("an order");
        }
        assert!(bought.is_ok() != other.join().expect("the other click"), "one lamp, sold once");
        let free = parts.1.free(ANN);
        assert_eq!(free, Some(50), "a refused click keeps nothing, and {free:?} are free");
    });
}

#[test]
fn a_click_that_finds_no_unit_gives_its_points_back() {
    the_last_lamp(Model::Real);
}

#[test]
#[should_panic(expected = "a refused click keeps nothing")]
fn twin_a_refused_click_that_keeps_its_points() {
    the_last_lamp(Model::Twin);
}

/// Ann uses one coupon twice at once.
fn one_coupon(model: Model) {
    every_way(move || {
        let parts = world(2, told(0, &["c"]));
        let buy = move |parts: &(Sale, Purses)| {
            let coupon = "c".parse().expect("a coupon");
            match model {
                Model::Real => {
                    let click = click(0, Units(1));
                    let bought = parts.0.buy_with(NOW, click, &parts.1, 0, Some(coupon));
                    bought.expect("no points").is_ok()
                }
                // The bug: who sees the coupon uses it.
                Model::Twin => parts.1.usable(ANN, &coupon, NOW).is_some(),
            }
        };
        let other = Arc::clone(&parts);
        let other = spawn(move || buy(&other));
        let used = [buy(&parts), other.join().expect("the other click")];
        let orders = used.into_iter().filter(|used| *used).count();
        assert_eq!(orders, 1, "one coupon was used for {orders} orders");
    });
}

#[test]
fn one_coupon_is_used_for_one_of_two_clicks_at_once() {
    one_coupon(Model::Real);
}

#[test]
#[should_panic(expected = "one coupon was used for 2 orders")]
fn twin_a_coupon_that_is_only_looked_at() {
    one_coupon(Model::Twin);
}

fn refused(nth: u32) -> Refused {
    let kind = nth as usize;
    Refused { seat: Seat::new(nth), kind, at: Millis(nth.into()), left: Units(nth) }
}

/// A refusal takes the place of an older one while somebody reads.
fn a_refusal_is_overwritten(model: Model) {
    every_way(move || {
        let record = Arc::new(Record::default());
        let words = Arc::new([AtomicU64::new(1), AtomicU64::new(1)]);
        (1..=2).for_each(|nth| record.note(refused(nth)));
        let (other, seen) = (Arc::clone(&record), Arc::clone(&words));
        let reader = spawn(move || match model {
            Model::Real => {
                for kept in other.iter() {
                    assert_eq!(
                        kept,
                        refused(kept.seat.number()),
                        "half of one and half of another"
                    );
                }
            }
            Model::Twin => {
                // Ordering: Acquire and Release, so that only the missing guard is the bug.
                let [a, b] = [&seen[0], &seen[1]].map(|word| word.load(Ordering::Acquire));
                assert_eq!(a, b, "half of one and half of another");
            }
        });
        match model {
            Model::Real => record.note(refused(3)),
            // The bug: nothing says that it is being written.
            // Ordering: Release, as above.
            Model::Twin => words.iter().for_each(|word| word.store(3, Ordering::Release)),
        }
        reader.join().expect("the reader");
    });
}

#[test]
fn a_refusal_is_read_whole_or_not_at_all() {
    a_refusal_is_overwritten(Model::Real);
}

#[test]
#[should_panic(expected = "half of one and half of another")]
fn twin_a_refusal_in_two_words_that_nothing_guards() {
    a_refusal_is_overwritten(Model::Twin);
}
