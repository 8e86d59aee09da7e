//! Models of the whole sale: buy against buy, settle, close and top-up. The twins put the engine's
//! own parts together in the wrong way.

use engine::rules::key::IdempotencyKey;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::units::{Units, Wanted};
use engine::sale::holdings::Holdings;
use engine::sale::queue::Intake;
use engine::sale::stock::Stock;
use engine::sale::{Click, Sale};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom_tests::world::{Lamps, Model, NOW, click, every_way, sale, spawn};
use std::num::NonZeroU64;

/// Returns the numbers of the orders that the confirmer finds when all clicks are over.
fn taken_in(sale: &Sale) -> Vec<u64> {
    taken_on(sale, &mut sale.intake())
}

fn taken_on(sale: &Sale, intake: &mut Intake) -> Vec<u64> {
    std::iter::from_fn(|| sale.take_in(intake)).map(|(_, order)| order.number).collect()
}

#[test]
fn two_members_and_one_unit_end_with_one_order_and_one_sold_out() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 1 }));
        let other = Arc::clone(&drop);
        let other = spawn(move || other.buy(NOW, click(1, Units(1))));
        let mine = drop.buy(NOW, click(0, Units(1)));
        let theirs = other.join().expect("a click");
        assert!(mine.is_ok() ^ theirs.is_ok(), "{mine:?} {theirs:?}");
        let refused = mine.err().or(theirs.err());
        assert_eq!(refused, Some(Refusal::SoldOut { left: Units(0) }));
        let level = drop.stock().level();
        let held = drop.held(click(0, Units(1)).seat).0 + drop.held(click(1, Units(1)).seat).0;
        assert_eq!((level.left(), held, taken_in(&drop)), (Units(0), 1, vec![1]));
    });
}

#[test]
#[should_panic(expected = "only the buyer holds a unit")]
fn twin_a_refused_click_that_keeps_its_claim_uses_up_the_limit() {
    every_way(|| {
        let (stock, holdings) = (Stock::new(Units(1)), Holdings::new(Units(1), 9));
        let parts = Arc::new((stock, holdings));
        let buy = |seat: u32| {
            let parts = Arc::clone(&parts);
            move || {
                let claim =
                    parts.1.claim(Seat::new(seat), Wanted { units: Units(1), limit: Units(1) });
                // The bug: the claim is kept before the stock has answered.
                claim.map(engine::sale::holdings::Claim::keep).expect("a first click");
                parts.0.reserve(Units(1)).map(engine::sale::stock::Reservation::keep).is_ok()
            }
        };
        let other = spawn(buy(1));
        buy(0)();
        other.join().expect("a click");
        let held =
            parts.1.held(click(0, Units(1)).seat).0 + parts.1.held(click(1, Units(1)).seat).0;
        assert_eq!(held, 1, "only the buyer holds a unit");
    });
}

#[test]
fn one_member_clicking_twice_gets_one_order_and_nothing_stays_behind() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        let other = Arc::clone(&drop);
        let other = spawn(move || other.buy(NOW, click(0, Units(1))));
        let mine = drop.buy(NOW, click(0, Units(1)));
        let theirs = other.join().expect("a click");
        assert!(mine.is_ok() ^ theirs.is_ok(), "{mine:?} {theirs:?}");
        let level = drop.stock().level();
        assert_eq!((level.left(), drop.held(click(0, Units(1)).seat)), (Units(1), Units(1)));
        assert_eq!(taken_in(&drop), [1]);
    });
}

/// Two clicks with one key: each gets the order, which it finds on the board, or is told that the other is still
/// being judged.
fn one_key_twice(lamps: Lamps) {
    every_way(move || {
        let key = Some(IdempotencyKey(NonZeroU64::MIN));
        let keyed = Click { key, ..click(0, Units(1)) };
        let drop = Arc::new(sale(lamps));
        let number = move |drop: &Sale| match drop.buy(NOW, keyed) {
            Ok(engine::sale::Accepted { number, .. }) => {
                let order = drop.board().read(number).expect("an accepted order is on the board");
                assert_eq!(order.seat, keyed.seat);
                Some(number)
            }
            Err(Refusal::IdempotencyInFlight) => None,
            Err(other) => panic!("{other:?}"),
        };
        let other = Arc::clone(&drop);
        let other = spawn(move || number(&other));
        let mine = number(&drop);
        let numbers = [mine, other.join().expect("a click")];
        assert!(numbers.iter().flatten().all(|number| *number == 1), "{numbers:?}");
        assert_eq!(taken_in(&drop), [1]);
        assert_eq!(drop.buy(NOW, keyed).map(|accepted| accepted.number), Ok(1));
    });
}

#[test]
fn one_key_clicked_twice_makes_one_order() {
    one_key_twice(Lamps { stock: 3, limit: 3 });
}

#[test]
fn one_key_clicked_twice_on_the_last_unit_makes_one_order() {
    one_key_twice(Lamps { stock: 1, limit: 1 });
    one_key_twice(Lamps { stock: 3, limit: 1 });
}

#[test]
#[should_panic(expected = "one click, one order")]
fn twin_a_key_written_down_after_the_order_makes_two() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 3, limit: 3 }));
        let known = Arc::new(AtomicU32::new(0));
        let buy = || {
            let (drop, known) = (Arc::clone(&drop), Arc::clone(&known));
            move || {
                // Ordering: Acquire and Release, so that only the late write is the bug.
                if known.load(Ordering::Acquire) == 0 {
                    drop.buy(NOW, click(0, Units(1))).expect("stock and limit for both");
                    known.store(1, Ordering::Release);
                }
            }
        };
        let other = spawn(buy());
        buy()();
        other.join().expect("a click");
        assert_eq!(taken_in(&drop), [1], "one click, one order");
    });
}

/// A key is clicked while another member takes the last unit, and again when it is back.
#[test]
fn a_key_whose_click_is_refused_is_free_for_the_next_one() {
    every_way(|| {
        let key = Some(IdempotencyKey(NonZeroU64::MIN));
        let keyed = Click { key, ..click(0, Units(1)) };
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 1 }));
        let rival = Arc::clone(&drop);
        let rival = spawn(move || rival.buy(NOW, click(1, Units(1))).is_ok());
        let is_ours = drop.buy(NOW, keyed).is_ok();
        assert!(rival.join().expect("a click") ^ is_ours, "one unit, one buyer");
        assert_eq!(taken_in(&drop), [1]);
        if !is_ours {
            drop.settle(1, Status::Released, NOW).expect("the rival's order");
        }
        let again = drop.buy(NOW, keyed).map(|accepted| (accepted.number, accepted.is_new));
        let expected = if is_ours { (1, false) } else { (2, true) };
        assert_eq!(again, Ok(expected), "a refused key is free");
    });
}

#[test]
#[should_panic(expected = "a refused key is free")]
fn twin_a_refused_click_that_keeps_its_key() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 1 }));
        let known = Arc::new(AtomicU32::new(0));
        let rival = Arc::clone(&drop);
        let rival = spawn(move || rival.buy(NOW, click(1, Units(1))).is_ok());
        let buy = || {
            // Ordering: Acquire and Release; what is wrong is that nothing takes the key back.
            let was = known.swap(1, Ordering::AcqRel);
            (was == 0).then(|| drop.buy(NOW, click(0, Units(1))).is_ok())
        };
        let is_ours = buy() == Some(true);
        rival.join().expect("a click");
        taken_in(&drop);
        if !is_ours {
            drop.settle(1, Status::Released, NOW).expect("the rival's order");
            assert_eq!(buy(), Some(true), "a refused key is free");
        }
    });
}

#[test]
fn a_released_unit_can_be_bought_and_none_is_lost() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 1 }));
        drop.buy(NOW, click(0, Units(1))).expect("the only unit");
        drop.take_in(&mut drop.intake()).expect("the order");
        let store = Arc::clone(&drop);
        let store = spawn(move || store.settle(1, Status::Released, NOW).is_some());
        let bought = drop.buy(NOW, click(1, Units(1))).is_ok();
        assert!(store.join().expect("the store"));
        let held = drop.held(click(0, Units(1)).seat).0 + drop.held(click(1, Units(1)).seat).0;
        let left = drop.stock().level().left().0;
        assert_eq!((held, left), (u32::from(bought), u32::from(!bought)));
    });
}

#[test]
fn a_verdict_that_comes_twice_gives_units_back_once() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 2 }));
        drop.buy(NOW, click(0, Units(2))).expect("both units");
        drop.take_in(&mut drop.intake()).expect("the order");
        let again = Arc::clone(&drop);
        let again = spawn(move || again.settle(1, Status::Released, NOW).is_some());
        let once = drop.settle(1, Status::Released, NOW).is_some();
        assert!(once ^ again.join().expect("the other verdict"));
        assert_eq!(drop.stock().level().left(), Units(2));
        assert_eq!(drop.held(click(0, Units(1)).seat), Units(0));
    });
}

#[test]
#[should_panic(expected = "units given back twice")]
fn twin_a_settle_that_looks_before_it_marks_gives_back_twice() {
    every_way(|| {
        let (left, state) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(1)));
        let settle = || {
            let (left, state) = (Arc::clone(&left), Arc::clone(&state));
            move || {
                // Ordering: Acquire, AcqRel, Release, so that only the missing atomicity is the bug.
                if state.load(Ordering::Acquire) == 1 {
                    state.store(3, Ordering::Release);
                    left.fetch_add(2, Ordering::AcqRel);
                }
            }
        };
        let again = spawn(settle());
        settle()();
        again.join().expect("the other verdict");
        // Ordering: Acquire, as above.
        assert_eq!(left.load(Ordering::Acquire), 2, "units given back twice");
    });
}

#[test]
fn a_close_leaves_whole_orders_and_no_later_one() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 2 }));
        let other = Arc::clone(&drop);
        let other = spawn(move || other.buy(NOW, click(0, Units(2))));
        drop.stock().close();
        let at_close = drop.stock().level().left();
        let bought = other.join().expect("a click");
        assert_eq!(drop.stock().level().left(), at_close, "sold after the close");
        let expected = if bought.is_ok() { (Units(0), vec![1]) } else { (Units(2), vec![]) };
        assert_eq!((at_close, taken_in(&drop)), expected);
    });
}

/// A top-up while a member clicks: it adds to the stock and resets nothing.
fn a_top_up_meets_a_click(model: Model) {
    let adds = model.is_real();
    every_way(move || {
        let drop = Arc::new(sale(Lamps { stock: 1, limit: 2 }));
        let plain = Arc::new(AtomicU32::new(1));
        let (other, p) = (Arc::clone(&drop), Arc::clone(&plain));
        let other = spawn(move || {
            // Ordering: AcqRel, so that only the top-up is the bug.
            p.fetch_sub(1, Ordering::AcqRel);
            other.buy(NOW, click(0, Units(1))).is_ok()
        });
        if adds {
            assert_eq!(drop.top_up(Units(3)), Units(2));
            assert!(other.join().expect("a click"));
            let level = drop.stock().level();
            assert_eq!((level.left(), level.total()), (Units(2), Units(3)));
        } else {
            // Ordering: Acquire and Release, as above.
            let left = plain.load(Ordering::Acquire);
            plain.store(left + 2, Ordering::Release);
            other.join().expect("a click");
            // Ordering: Acquire, as above.
            assert_eq!(plain.load(Ordering::Acquire), 2, "a sale is forgotten");
        }
    });
}

#[test]
fn a_top_up_adds_to_what_is_left_and_resets_nothing() {
    a_top_up_meets_a_click(Model::Real);
}

#[test]
#[should_panic(expected = "a sale is forgotten")]
fn twin_a_top_up_that_sets_the_stock_forgets_a_sale() {
    a_top_up_meets_a_click(Model::Twin);
}

/// The confirmer links an order while its member asks for all of their orders.
#[test]
fn a_members_orders_are_all_there_while_they_are_taken_in() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 3, limit: 3 }));
        drop.buy(NOW, click(0, Units(1))).expect("a unit");
        drop.buy(NOW, click(0, Units(1))).expect("a unit");
        let member = Arc::clone(&drop);
        let member = spawn(move || {
            let mut search = member.search(click(0, Units(1)).seat);
            while search.step() {}
            let orders = search.into_orders();
            orders.iter().map(|order| order.number).collect::<Vec<_>>()
        });
        assert_eq!(taken_in(&drop), [1, 2]);
        assert_eq!(member.join().expect("the member"), [1, 2]);
    });
}

#[test]
#[should_panic(expected = "neither in the chain nor behind it")]
fn twin_a_chain_read_before_its_watermark_misses_an_order() {
    every_way(|| {
        let (newest, below) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (n, b) = (Arc::clone(&newest), Arc::clone(&below));
        let member = spawn(move || {
            // Ordering: Acquire, as the board reads; the bug is that the chain is read first.
            let chain = n.load(Ordering::Acquire);
            let tail = 1 - b.load(Ordering::Acquire);
            assert!(chain + tail >= 1, "the order is neither in the chain nor behind it");
        });
        // Ordering: Release, as the board links; only the reader's order is the bug.
        newest.store(1, Ordering::Release);
        below.store(1, Ordering::Release);
        member.join().expect("the member");
    });
}

#[test]
fn the_confirmer_meets_only_whole_orders_while_clicks_come_in() {
    every_way(|| {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        let confirmer = Arc::clone(&drop);
        let confirmer = spawn(move || {
            let mut intake = confirmer.intake();
            let taken = confirmer.take_in(&mut intake);
            let released = |order: engine::rules::order::Order| {
                confirmer.settle(order.number, Status::Released, NOW).is_some()
            };
            (taken.is_some_and(|(_, order)| released(order)), intake)
        });
        drop.buy(NOW, click(0, Units(1))).expect("a unit");
        drop.buy(NOW, click(1, Units(1))).expect("a unit");
        let (released, mut intake) = confirmer.join().expect("the confirmer");
        let released = u32::from(released);
        assert_eq!(drop.stock().level().left(), Units(released));
        assert_eq!(taken_on(&drop, &mut intake).len(), 2 - released as usize);
    });
}
