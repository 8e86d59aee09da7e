//! Models of what one thread must see of another: each of the engine's orderings that is not relaxed
//! is needed by one of the models (`scripts/orderings.sh` weakens them one by one).

use engine::rules::key::IdempotencyKey;
use engine::rules::order::Status::{Confirmed, Paid, Released};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::{Units, Wanted};
use engine::sale::holdings::Holdings;
use engine::sale::stock::Stock;
use engine::sale::{Click, Sale};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom_tests::world::{Lamps, NOW, click, every_way, sale, spawn};
use std::num::NonZeroU64;

/// A sale of `stock` units whose first one is held by seat 0, in an order that was taken in.
fn held(stock: u32) -> Arc<Sale> {
    let drop = Arc::new(sale(Lamps { stock, limit: 1 }));
    drop.buy(NOW, click(0, Units(1))).expect("a unit");
    drop.take_in(&mut drop.intake()).expect("the order");
    drop
}

/// Releases seat 0's order on this thread while `then` runs on another one.
fn while_a_unit_comes_back(drop: Arc<Sale>, then: impl Fn(&Sale) + Send + 'static) {
    let other = Arc::clone(&drop);
    let other = spawn(move || then(&other));
    drop.settle(1, Released, NOW).expect("the verdict");
    other.join().expect("the other thread");
}

/// The member sees a unit on sale and has given one up: the limit must be free.
fn may_buy_what_is_there(drop: &Sale) {
    if drop.stock().level().left() == Units(1) {
        let bought = drop.buy(NOW, click(0, Units(1)));
        assert!(bought.is_ok(), "the limit is free before the unit is: {bought:?}");
    }
}

#[test]
fn a_member_who_sees_their_unit_on_sale_again_can_buy_it() {
    every_way(|| while_a_unit_comes_back(held(1), may_buy_what_is_there));
}

#[test]
#[should_panic(expected = "the limit is free before the unit is")]
fn twin_a_unit_that_goes_back_before_the_limit_does() {
    every_way(|| {
        let parts = Arc::new((Stock::new(Units(1)), Holdings::new(Units(1), 9)));
        let wanted = Wanted { units: Units(1), limit: Units(1) };
        let other = Arc::clone(&parts);
        let claim = parts.1.claim(Seat::new(0), wanted).expect("the limit");
        let reservation = parts.0.reserve(Units(1)).expect("the unit");
        let member = spawn(move || {
            let is_there = other.0.level().left() == Units(1);
            let claim = other.1.claim(Seat::new(0), wanted);
            assert!(!is_there || claim.is_ok(), "the limit is free before the unit is");
        });
        // The bug: the unit goes back first.
        drop(reservation);
        drop(claim);
        member.join().expect("the member");
    });
}

#[test]
fn a_unit_that_went_on_sale_by_way_of_the_waitlist_can_be_bought_by_its_last_holder() {
    for end in [Sale::end_waiting, Sale::put_on_sale] {
        every_way(move || {
            let drop = held(1);
            drop.aside().begin();
            while_a_unit_comes_back(drop, move |drop| {
                end(drop);
                may_buy_what_is_there(drop);
            });
        });
    }
}

/// The unit that a member gave up is offered to the same member: never refused for the limit.
fn is_offered_to_its_last_holder(drop: &Sale) {
    let offered = drop.offer(NOW, click(0, Units(1)));
    let is_fair = matches!(offered, Ok(_) | Err(Refusal::SoldOut { .. }));
    assert!(is_fair, "the limit is free before the unit is: {offered:?}");
}

#[test]
fn a_unit_that_was_given_up_can_be_offered_to_its_last_holder() {
    every_way(|| {
        let drop = held(1);
        drop.aside().begin();
        while_a_unit_comes_back(drop, is_offered_to_its_last_holder);
    });
    every_way(|| {
        while_a_unit_comes_back(held(1), |drop| {
            drop.set_aside();
            is_offered_to_its_last_holder(drop);
        });
    });
}

/// A unit comes back after the pause: it is not offered before the sale goes on.
fn a_pause_and_then_a_unit(offer: impl Fn(&Sale) -> bool + Send + Sync + Copy + 'static) {
    every_way(move || {
        let drop = held(1);
        drop.aside().begin();
        let other = Arc::clone(&drop);
        let serving = spawn(move || {
            assert!(!offer(&other), "offered after the pause");
        });
        drop.stock().set_paused(true);
        drop.settle(1, Released, NOW).expect("the verdict");
        serving.join().expect("the one who serves");
    });
}

#[test]
fn a_unit_that_came_back_after_a_pause_is_not_offered() {
    a_pause_and_then_a_unit(|drop| drop.offer(NOW, click(1, Units(1))).is_ok());
}

#[test]
#[should_panic(expected = "offered after the pause")]
fn twin_an_offer_that_does_not_look_at_the_switches() {
    a_pause_and_then_a_unit(|drop| {
        let taken = drop.aside().take(Units(1));
        taken.map(engine::sale::aside::Taken::keep).is_some()
    });
}

/// A unit comes back once the last free one was set aside: it is laid aside, too.
fn units_are_set_aside(set_aside: impl Fn(&Sale) + Send + Sync + Copy + 'static) {
    every_way(move || {
        let drop = held(2);
        let other = Arc::clone(&drop);
        let store = spawn(move || {
            let is_set_aside = other.stock().level().left() == Units(0);
            if is_set_aside {
                other.settle(1, Released, NOW).expect("the verdict");
            }
            is_set_aside
        });
        set_aside(&drop);
        if store.join().expect("the store") {
            let left = drop.stock().level().left();
            assert_eq!((left, drop.aside().units()), (Units(0), Units(2)), "a click may have it");
        }
    });
}

#[test]
fn what_comes_back_after_units_were_set_aside_is_laid_aside_too() {
    units_are_set_aside(Sale::set_aside);
}

#[test]
#[should_panic(expected = "a click may have it")]
fn twin_units_that_are_withdrawn_before_a_member_waits() {
    units_are_set_aside(|drop| {
        // The bug: the free unit is taken off the sale before it is written down that a member waits.
        let taken = drop.stock().reserve(Units(1)).expect("the free unit");
        taken.keep();
        drop.aside().begin();
        assert!(drop.aside().put(Units(1)));
    });
}

#[test]
fn a_click_that_meets_what_its_repetition_claimed_also_finds_its_key() {
    every_way(|| {
        let keyed = Click { key: Some(IdempotencyKey(NonZeroU64::MIN)), ..click(0, Units(1)) };
        let drop = Arc::new(sale(Lamps { stock: 3, limit: 1 }));
        // The row is there beforehand: making it would publish the key as well.
        drop.restore_holding(keyed.seat, Units(0), 0);
        let other = Arc::clone(&drop);
        let repetition = spawn(move || {
            if other.held(keyed.seat) == Units(1) {
                let again = other.buy(NOW, keyed);
                let is_known = matches!(again, Ok(_) | Err(Refusal::IdempotencyInFlight));
                assert!(is_known, "claimed, and the key is unknown: {again:?}");
            }
        });
        drop.buy(NOW, keyed).expect("a unit");
        repetition.join().expect("the repetition");
    });
}

#[test]
#[should_panic(expected = "claimed, and the key is unknown")]
fn twin_a_key_that_is_written_down_after_the_claim() {
    every_way(|| {
        let parts = Arc::new((Holdings::new(Units(1), 9), AtomicU32::new(0)));
        let other = Arc::clone(&parts);
        let repetition = spawn(move || {
            let is_claimed = other.0.held(Seat::new(0)) == Units(1);
            // Ordering: Acquire, so that only the sequence is the bug.
            let is_known = other.1.load(Ordering::Acquire) == 1;
            assert!(!is_claimed || is_known, "claimed, and the key is unknown");
        });
        let wanted = Wanted { units: Units(1), limit: Units(1) };
        let claim = parts.0.claim(Seat::new(0), wanted).expect("the limit");
        // Ordering: Release, as above.
        parts.1.store(1, Ordering::Release);
        claim.keep();
        repetition.join().expect("the repetition");
    });
}

/// What is written before a switch is turned is seen by a thread that reads the switch.
fn a_switch_carries_what_led_to_it(
    turn: impl Fn(&Stock) + Send + Sync + Copy + 'static,
    is_turned: impl Fn(&Stock) -> bool + Send + Sync + Copy + 'static,
) {
    every_way(move || {
        let parts = Arc::new((Stock::new(Units(1)), AtomicU32::new(0)));
        parts.0.set_paused(true);
        let other = Arc::clone(&parts);
        let reader = spawn(move || {
            // Ordering: Relaxed, the switch must carry it.
            let is_seen = !is_turned(&other.0) || other.1.load(Ordering::Relaxed) == 1;
            assert!(is_seen, "a switch without what led to it");
        });
        // Ordering: Relaxed, as above.
        parts.1.store(1, Ordering::Relaxed);
        turn(&parts.0);
        reader.join().expect("the reader");
    });
}

#[test]
fn a_thread_that_reads_a_switch_sees_what_led_to_it() {
    a_switch_carries_what_led_to_it(Stock::halt, |stock| stock.level().is_halted());
    a_switch_carries_what_led_to_it(Stock::close, |stock| stock.level().is_closed());
    let go_on = |stock: &Stock| stock.set_paused(false);
    a_switch_carries_what_led_to_it(go_on, |stock| !stock.level().is_paused());
}

#[test]
#[should_panic(expected = "a switch without what led to it")]
fn twin_a_switch_that_is_turned_beforehand() {
    every_way(|| {
        let parts = Arc::new((Stock::new(Units(1)), AtomicU32::new(0)));
        let other = Arc::clone(&parts);
        let reader = spawn(move || {
            // Ordering: Relaxed, as above.
            let is_seen = !other.0.level().is_halted() || other.1.load(Ordering::Relaxed) == 1;
            assert!(is_seen, "a switch without what led to it");
        });
        // The bug: the switch comes first.
        parts.0.halt();
        // Ordering: Relaxed, as above.
        parts.1.store(1, Ordering::Relaxed);
        reader.join().expect("the reader");
    });
}

#[test]
fn an_order_that_is_paid_tells_when_it_was_confirmed() {
    every_way(|| {
        let drop = held(1);
        drop.settle(1, Confirmed, Millis(20)).expect("the verdict");
        let other = Arc::clone(&drop);
        let member = spawn(move || {
            let order = other.board().read(1).expect("the order");
            let at = order.settled_at;
            assert_eq!(at, Some(Millis(20)), "when a {:?} order was confirmed", order.status);
        });
        drop.settle(1, Paid, Millis(30)).expect("the step");
        member.join().expect("the member");
    });
}

#[test]
#[should_panic(expected = "when a paid order was confirmed")]
fn twin_a_state_that_moves_on_before_its_past_is_written_down() {
    every_way(|| {
        let parts = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let other = Arc::clone(&parts);
        let member = spawn(move || {
            // Ordering: Acquire and Relaxed, as the board reads.
            if other.1.load(Ordering::Acquire) == 1 {
                assert_eq!(other.0.load(Ordering::Relaxed), 20, "when a paid order was confirmed");
            }
        });
        // Ordering: Release, as the board writes; the bug is that the state comes first.
        parts.1.store(1, Ordering::Release);
        // Ordering: Relaxed, as the board writes.
        parts.0.store(20, Ordering::Relaxed);
        member.join().expect("the member");
    });
}
