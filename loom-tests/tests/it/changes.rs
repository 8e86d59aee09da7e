//! Models of an order's life after the click, and of units that come back: settle, pay, cancel and
//! expire against each other, against a buyer, and against a member who joins or is served. The twins
//! put the engine's own parts together in the wrong way.

use engine::rules::order::Status::{self, Cancelled, Confirmed, Expired, Paid, RefundDue};
use engine::rules::order::{Order, Step};
use engine::rules::seat::Seat;
use engine::rules::units::Units;
use engine::sale::Sale;
use engine::sale::aside::{Aside, Taken};
use engine::sale::board::Board;
use engine::sale::stock::Stock;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom_tests::world::{Lamps, Model, NOW, click, every_way, sale, spawn};
use membership::Tier;

/// A sale with one confirmed order of all `stock` units, by seat 0.
fn confirmed(stock: u32) -> Arc<Sale> {
    let drop = Arc::new(sale(Lamps { stock, limit: stock }));
    drop.buy(NOW, click(0, Units(stock))).expect("all units");
    drop.take_in(&mut drop.intake()).expect("the order");
    drop.settle(1, Confirmed, NOW).expect("the first verdict");
    drop
}

fn left_and_held(drop: &Sale) -> (u32, u32) {
    (drop.stock().level().left().0, drop.held(click(0, Units(1)).seat).0)
}

/// Two threads follow two answers of the store about one order, in either sequence.
fn two_answers(first: Status, second: Status) {
    every_way(move || {
        let drop = confirmed(2);
        let other = Arc::clone(&drop);
        let other = spawn(move || other.settle(1, second, NOW).is_some());
        let mine = drop.settle(1, first, NOW).is_some();
        let theirs = other.join().expect("the other answer");
        let is = drop.board().read(1).expect("the order").status;
        if first.steps() == second.steps() {
            assert!(mine ^ theirs, "each step is taken once");
            assert!(is == first || is == second);
        } else {
            assert!(theirs, "the later one always counts");
            assert_eq!(is, second);
        }
        let expected = if is.holds_units() { (0, 2) } else { (2, 0) };
        assert_eq!(left_and_held(&drop), expected, "{is:?}");
    });
}

#[test]
fn of_pay_cancel_and_expire_one_counts_and_units_go_back_once() {
    two_answers(Paid, Cancelled);
    two_answers(Paid, Expired);
    two_answers(Cancelled, Expired);
    two_answers(Cancelled, Cancelled);
}

#[test]
fn a_late_payment_gives_units_back_once_whichever_answer_is_followed_first() {
    two_answers(Cancelled, RefundDue);
    two_answers(Expired, RefundDue);
}

#[test]
#[should_panic(expected = "units given back twice")]
fn twin_a_step_that_looks_at_the_board_before_it_moves_gives_back_twice() {
    every_way(|| {
        let order = Order {
            number: 1,
            seat: Seat::new(0),
            tier: Tier::Gold,
            units: Units(2),
            status: Status::Reserved,
            reserved_at: NOW,
            settled_at: None,
            changed_at: None,
        };
        let parts = Arc::new((Board::new(1, Units(2)), AtomicU32::new(0)));
        parts.0.write(&order, None, false);
        parts.0.advance(1, Confirmed, NOW).expect("the first verdict");
        let step = |status: Status| {
            let parts = Arc::clone(&parts);
            move || {
                // The bug: the old status is read beforehand, and not taken from the exchange.
                let was = parts.0.read(1).expect("the order").status;
                parts.0.advance(1, status, NOW);
                if was.holds_units() && !status.holds_units() {
                    // Ordering: AcqRel, so that only the place of the read is the bug.
                    parts.1.fetch_add(2, Ordering::AcqRel);
                }
            }
        };
        let other = spawn(step(Expired));
        step(Cancelled)();
        other.join().expect("the other step");
        // Ordering: Acquire, as above.
        assert_eq!(parts.1.load(Ordering::Acquire), 2, "units given back twice");
    });
}

#[test]
fn what_a_step_gives_back_can_be_bought_and_none_is_lost() {
    for status in [Cancelled, Expired] {
        every_way(move || {
            let drop = confirmed(1);
            let store = Arc::clone(&drop);
            let store = spawn(move || store.settle(1, status, NOW).is_some());
            let bought = drop.buy(NOW, click(1, Units(1))).is_ok();
            assert!(store.join().expect("the store"));
            let held = left_and_held(&drop).1 + drop.held(click(1, Units(1)).seat).0;
            assert_eq!((left_and_held(&drop).0, held), (u32::from(!bought), u32::from(bought)));
        });
    }
}

#[test]
fn a_verdict_that_comes_after_a_later_step_changes_nothing() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 1 }));
        drop.buy(NOW, click(0, Units(1))).expect("the unit");
        drop.take_in(&mut drop.intake()).expect("the order");
        let store = Arc::clone(&drop);
        // Another process confirmed and expired it; this process hears of the two in any sequence.
        let store = spawn(move || store.settle(1, Confirmed, NOW).is_some());
        assert!(drop.settle(1, Expired, NOW).is_some());
        store.join().expect("the store");
        assert_eq!(drop.board().read(1).expect("the order").status, Expired);
        assert_eq!(left_and_held(&drop), (1, 0));
    });
}

/// One of two units comes back while a member waits and two others click.
fn a_unit_comes_back(model: Model) {
    let somebody_waits = model.is_real();
    every_way(move || {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        drop.buy(NOW, click(0, Units(1))).expect("a unit");
        drop.take_in(&mut drop.intake()).expect("the order");
        if somebody_waits {
            drop.aside().begin();
        }
        let other = Arc::clone(&drop);
        let other = spawn(move || other.buy(NOW, click(2, Units(1))).is_ok());
        drop.settle(1, Status::Released, NOW).expect("the verdict");
        let clicked = drop.buy(NOW, click(3, Units(1))).is_ok();
        let sold = u32::from(clicked) + u32::from(other.join().expect("a click"));
        assert_eq!((sold, drop.aside().units()), (1, Units(1)), "the clicks got one unit");
        assert!(drop.offer(NOW, click(1, Units(1))).is_ok());
    });
}

#[test]
fn a_unit_that_comes_back_while_somebody_waits_is_never_sold_to_a_click() {
    a_unit_comes_back(Model::Real);
}

#[test]
#[should_panic(expected = "the clicks got one unit")]
fn twin_a_unit_that_goes_on_sale_at_once_is_gone_before_it_is_offered() {
    a_unit_comes_back(Model::Twin);
}

#[test]
fn a_member_who_waits_and_buys_at_the_same_time_stays_within_the_limit() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        drop.buy(NOW, click(0, Units(1))).expect("a unit");
        drop.take_in(&mut drop.intake()).expect("the order");
        drop.aside().begin();
        let store = Arc::clone(&drop);
        let store = spawn(move || {
            store.settle(1, Status::Released, NOW).expect("the verdict");
            store.offer(NOW, click(1, Units(1))).is_ok()
        });
        let bought = drop.buy(NOW, click(1, Units(1))).is_ok();
        let offered = store.join().expect("the store");
        assert!(bought ^ offered, "the limit is one: {bought} {offered}");
        assert_eq!(drop.held(click(1, Units(1)).seat), Units(1));
        let left = drop.stock().level().left().0 + drop.aside().units().0;
        assert_eq!(left, 1, "the other unit is there, for sale or aside");
    });
}

/// Units come back while the last member leaves the waitlist: in the end they are on sale.
fn the_last_one_leaves(model: Model) {
    let is_one_word = model.is_real();
    every_way(move || {
        let stock = 1;
        let drop = confirmed(stock);
        let (waits, aside) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU32::new(0)));
        if is_one_word {
            drop.aside().begin();
            let leaving = Arc::clone(&drop);
            let leaving = spawn(move || leaving.end_waiting());
            drop.settle(1, Expired, NOW).expect("the step");
            leaving.join().expect("the member who leaves");
            assert_eq!((left_and_held(&drop).0, drop.aside().units()), (1, Units(0)));
            return;
        }
        // The bug: that a member waits, and what lies aside, are two words.
        let (w, a) = (Arc::clone(&waits), Arc::clone(&aside));
        let leaving = spawn(move || {
            // Ordering: Release and AcqRel, so that only the second word is the bug.
            w.store(0, Ordering::Release);
            a.swap(0, Ordering::AcqRel)
        });
        // Ordering: Acquire and AcqRel, as above.
        let on_sale = if waits.load(Ordering::Acquire) == 1 {
            aside.fetch_add(1, Ordering::AcqRel);
            0
        } else {
            1
        };
        let on_sale = on_sale + leaving.join().expect("the member who leaves");
        assert_eq!(on_sale, 1, "laid aside for nobody");
    });
}

#[test]
fn nothing_is_laid_aside_for_a_waitlist_that_has_become_empty() {
    the_last_one_leaves(Model::Real);
}

#[test]
#[should_panic(expected = "laid aside for nobody")]
fn twin_a_waitlist_flag_beside_its_units_strands_a_unit() {
    the_last_one_leaves(Model::Twin);
}

#[test]
fn what_lies_aside_is_taken_once() {
    every_way(|| {
        let aside = Arc::new(Aside::default());
        aside.begin();
        assert!(aside.put(Units(1)));
        let other = Arc::clone(&aside);
        let other = spawn(move || other.take(Units(1)).map(Taken::keep).is_some());
        let mine = aside.take_all().0 == 1;
        assert!(mine ^ other.join().expect("the member who is offered it"));
        assert_eq!((aside.units(), aside.end()), (Units(0), Units(0)));
        assert!(!aside.put(Units(1)), "nobody waits any more");
    });
}

/// The next holder of units that came back sees what their last holder wrote beforehand.
fn units_carry_what_came_before(published: Ordering) {
    every_way(move || {
        let stock = Arc::new((Stock::new(Units(1)), Aside::default()));
        let word = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        stock.1.begin();
        let (s, w) = (Arc::clone(&stock), Arc::clone(&word));
        let next = spawn(move || {
            // Ordering: Acquire, so that only the last holder's ordering is the bug.
            let has = match published {
                Ordering::Release => s.1.take(Units(1)).map(Taken::keep).is_some(),
                _ => w.1.load(Ordering::Acquire) == 1,
            };
            // Ordering: Relaxed, because taking the units must make the word visible.
            assert!(!has || w.0.load(Ordering::Relaxed) == 7, "units without what came before");
        });
        // Ordering: Relaxed, as above.
        word.0.store(7, Ordering::Relaxed);
        match published {
            Ordering::Release => assert!(stock.1.put(Units(1)), "somebody waits"),
            // Ordering: the one that the model was asked to use. The engine's own is Release.
            other => word.1.store(1, other),
        }
        next.join().expect("the next holder");
    });
}

#[test]
fn units_laid_aside_carry_what_came_before_them() {
    units_carry_what_came_before(Ordering::Release);
}

#[test]
#[should_panic(expected = "units without what came before")]
fn twin_units_laid_aside_relaxed_carry_nothing() {
    // Ordering: Relaxed is the bug.
    units_carry_what_came_before(Ordering::Relaxed);
}

#[test]
fn no_step_leads_back() {
    for status in Status::STORED {
        for step in Step::ALL {
            let next = status.after(step);
            assert!(next.is_none_or(|next| next.steps() == status.steps() + 1), "{status:?}");
        }
    }
}
