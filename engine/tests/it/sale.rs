//! What a click is told, and what it leaves behind.

use crate::support::{OPEN, click, sale, terms};
use engine::rules::key::IdempotencyKey;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::meter::Meter;
use engine::sale::phase::Phase;
use engine::sale::vouch::Vouch;
use engine::sale::{Accepted, Click, Sale, Start};
use membership::Tier::{Diamond, Gold, Regular, Silver};
use std::num::NonZeroU64;
use std::time::Duration;

/// A sale of ten units in which each member may make two orders.
fn two_orders_each() -> Sale {
    let start = Start {
        epoch: 1,
        stock: Units(10),
        left: Units(10),
        next_number: 1,
        orders_per_member: 2,
        room: Units(10),
    };
    Sale::resume(terms(10), start, Meter::new())
}

fn keyed(seat: u32, units: u32, key: u64) -> Click {
    let key = NonZeroU64::new(key).map(IdempotencyKey);
    Click { key, ..click(seat, Diamond, units) }
}

#[test]
fn a_click_takes_stock_and_limit_and_gets_the_next_number() {
    let drop = sale(10);
    for (number, seat) in [(1, 0), (2, 1)] {
        let accepted = drop.buy(OPEN, click(seat, Gold, 2));
        assert_eq!(accepted, Ok(Accepted { number, is_new: true }));
    }
    assert_eq!(drop.stock().level().left(), Units(6));
    assert_eq!(drop.held(click(0, Gold, 1).seat), Units(2));
    let order = drop.board().read(1).unwrap();
    assert_eq!((order.status, order.units, order.reserved_at), (Status::Reserved, Units(2), OPEN));
}

#[test]
fn a_refused_click_leaves_no_trace() {
    let drop = sale(3);
    drop.buy(OPEN, click(0, Gold, 2)).unwrap();
    let before = format!("{:?}", drop.stock().level());
    let refused = [
        (OPEN, click(0, Gold, 0)),
        (OPEN, click(0, Gold, 4)),
        (Millis(1_199), click(0, Gold, 1)),
        (OPEN, click(1, Gold, 2)),
        (OPEN, Click { tier: Silver, ..click(0, Gold, 1) }),
        (OPEN, keyed(1, 2, 9)),
    ];
    for (now, click) in refused {
        let held = drop.held(click.seat);
        assert!(drop.buy(now, click).is_err(), "{click:?}");
        assert_eq!(
            (format!("{:?}", drop.stock().level()), drop.held(click.seat)),
            (before.clone(), held)
        );
    }
    assert_eq!((drop.queue().len(), drop.next_number()), (1, 2));
}

#[test]
fn the_first_reason_in_the_order_of_checks_is_told() {
    let drop = sale(1);
    let early = Millis(0);
    let limit = Units(3);
    assert_eq!(drop.buy(early, click(0, Gold, 9)), Err(Refusal::BadUnits { limit }));
    let opens_at = Millis(1_200);
    drop.stock().set_paused(true);
    assert_eq!(drop.buy(early, click(0, Gold, 1)), Err(Refusal::NotOpen { opens_at }));
    assert_eq!(drop.buy(OPEN, click(0, Gold, 2)), Err(Refusal::Paused));
    assert_eq!(drop.buy(Millis(9_000), click(0, Gold, 1)), Err(Refusal::Closed));
    drop.stock().close();
    assert_eq!(drop.buy(OPEN, click(0, Gold, 1)), Err(Refusal::Closed));
    assert_eq!(drop.buy(early, click(0, Gold, 1)), Err(Refusal::Closed));
    assert_eq!(drop.buy(early, click(0, Gold, 9)), Err(Refusal::BadUnits { limit }));
}

#[test]
fn who_is_at_the_limit_of_a_sold_out_sale_hears_sold_out() {
    let drop = sale(1);
    drop.buy(OPEN, click(0, Regular, 1)).unwrap();
    let sold_out = Err(Refusal::SoldOut { left: Units(0) });
    assert_eq!(drop.buy(OPEN, click(0, Regular, 1)), sold_out);
}

#[test]
fn fewer_units_than_asked_for_are_named_and_still_on_sale() {
    let drop = sale(2);
    let refusal = drop.buy(OPEN, click(0, Gold, 3));
    assert_eq!(refusal, Err(Refusal::SoldOut { left: Units(2) }));
    assert!(drop.buy(OPEN, click(0, Gold, 2)).is_ok());
}

#[test]
fn the_limit_counts_all_orders_and_the_tier_at_the_click_decides() {
    let drop = sale(100);
    drop.buy(OPEN, click(0, Gold, 2)).unwrap();
    let (limit, held) = (Units(3), Units(2));
    assert_eq!(drop.buy(OPEN, click(0, Gold, 2)), Err(Refusal::LimitReached { limit, held }));
    assert!(drop.buy(OPEN, click(0, Diamond, 3)).is_ok());
    let (limit, held) = (Units(1), Units(5));
    assert_eq!(drop.buy(OPEN, click(0, Regular, 1)), Err(Refusal::LimitReached { limit, held }));
}

#[test]
fn sold_out_clears_when_units_come_back() {
    let drop = sale(1);
    drop.buy(OPEN, click(0, Gold, 1)).unwrap();
    assert!(drop.buy(OPEN, click(1, Gold, 1)).is_err());
    assert_eq!(drop.phase(OPEN), Phase::SoldOut);
    let released = drop.settle(1, Status::Released, OPEN).unwrap();
    assert_eq!(released.status, Status::Released);
    assert_eq!(drop.phase(OPEN), Phase::Open);
    assert!(drop.buy(OPEN, click(1, Gold, 1)).is_ok());
}

#[test]
fn a_verdict_counts_once() {
    let drop = sale(2);
    drop.buy(OPEN, click(0, Gold, 2)).unwrap();
    assert!(drop.settle(1, Status::Confirmed, OPEN).is_some());
    assert!(drop.settle(1, Status::Released, OPEN).is_none());
    assert!(drop.settle(1, Status::Confirmed, OPEN).is_none());
    assert_eq!(drop.stock().level().left(), Units(0));
    assert_eq!(drop.board().read(1).unwrap().status, Status::Confirmed);
}

#[test]
fn a_top_up_adds_and_never_resets() {
    let drop = sale(2);
    drop.buy(OPEN, click(0, Gold, 2)).unwrap();
    assert_eq!(drop.top_up(Units(5)), Units(3));
    assert_eq!(drop.top_up(Units(5)), Units(0));
    assert_eq!(drop.top_up(Units(1)), Units(0));
    assert_eq!((drop.stock().level().left(), drop.stock().level().total()), (Units(3), Units(5)));
}

#[test]
fn a_key_gives_the_same_order_again() {
    let drop = sale(10);
    let first = drop.buy(OPEN, keyed(0, 2, 7)).unwrap();
    // The first answer is repeated, even after the close.
    for now in [OPEN, Millis(9_000)] {
        let again = drop.buy(now, keyed(0, 2, 7)).unwrap();
        assert_eq!((again.number, again.is_new), (first.number, false));
    }
    assert_eq!(drop.buy(OPEN, keyed(0, 1, 7)), Err(Refusal::IdempotencyConflict));
    assert!(drop.buy(OPEN, keyed(1, 2, 7)).unwrap().is_new, "another member's key is another");
    assert_eq!(drop.stock().level().left(), Units(6));
}

#[test]
fn a_refusal_does_not_use_up_its_key() {
    let drop = sale(10);
    assert!(drop.buy(Millis(0), keyed(0, 2, 7)).is_err());
    drop.buy(OPEN, click(0, Diamond, 4)).unwrap();
    let (limit, held) = (Units(5), Units(4));
    assert_eq!(drop.buy(OPEN, keyed(0, 2, 7)), Err(Refusal::LimitReached { limit, held }));
    assert!(drop.buy(OPEN, keyed(0, 1, 7)).unwrap().is_new);
}

#[test]
fn a_members_orders_are_listed_by_number_taken_in_or_not() {
    let drop = sale(10);
    for _ in 0..3 {
        drop.buy(OPEN, click(0, Diamond, 1)).unwrap();
        drop.buy(OPEN, click(1, Diamond, 1)).unwrap();
    }
    let numbers = || -> Vec<u64> {
        let mut search = drop.search(click(0, Diamond, 1).seat);
        while search.step() {}
        search.into_orders().iter().map(|order| order.number).collect()
    };
    assert_eq!(numbers(), [1, 3, 5]);
    let mut intake = drop.intake();
    for _ in 0..4 {
        drop.take_in(&mut intake).unwrap();
        assert_eq!(numbers(), [1, 3, 5]);
    }
}

#[test]
fn when_orders_pile_up_lower_tiers_are_shed_before_higher_ones() {
    let drop = sale(1_000);
    drop.vouch(Vouch::new(Millis(6_000), Duration::from_millis(100)));
    let mut seat = 0;
    let mut sheds = |now: u64, tier| {
        seat += 1;
        drop.buy(Millis(now), click(seat, tier, 1)) == Err(Refusal::Busy)
    };
    for (tier, until) in [(Regular, 5_600), (Silver, 5_700), (Gold, 5_800), (Diamond, 6_000)] {
        assert!(!sheds(until, tier) && sheds(until + 1, tier), "{tier}");
    }
}

#[test]
fn an_order_counts_as_made_whatever_became_of_it() {
    let drop = two_orders_each();
    let mut intake = drop.intake();
    for (number, status) in [(1, Status::Released), (2, Status::Cancelled)] {
        drop.buy(OPEN, click(0, Gold, 1)).unwrap();
        drop.take_in(&mut intake).unwrap();
        drop.settle(number, status, OPEN).unwrap();
    }
    assert_eq!(drop.held(click(0, Gold, 1).seat), Units(0));
    let too_many = Err(Refusal::TooManyOrders { most: 2 });
    assert_eq!(drop.buy(OPEN, click(0, Gold, 1)), too_many);
    assert_eq!(drop.buy(OPEN, keyed(0, 1, 7)), too_many);
    drop.buy(OPEN, click(1, Gold, 3)).expect("another member may go on");
    drop.buy(OPEN, click(2, Diamond, 5)).unwrap();
    drop.set_aside();
    assert!(drop.aside().put(Units(0)), "a member waits");
    assert_eq!(
        drop.may_wait(OPEN, click(0, Gold, 1)).err(),
        Some(Refusal::TooManyOrders { most: 2 })
    );
    assert_eq!(drop.offer(OPEN, click(0, Gold, 1)), Err(Refusal::TooManyOrders { most: 2 }));
}

#[test]
fn a_refused_click_is_no_order_that_was_made() {
    let drop = two_orders_each();
    drop.buy(OPEN, click(1, Diamond, 5)).unwrap();
    drop.buy(OPEN, click(2, Diamond, 4)).unwrap();
    for _ in 0..9 {
        let refused = drop.buy(OPEN, click(0, Gold, 2));
        assert_eq!(refused, Err(Refusal::SoldOut { left: Units(1) }));
    }
    drop.settle(1, Status::Released, OPEN).unwrap();
    // The claim is taken and given back each time.
    drop.vouch(Vouch::new(Millis(0), Duration::ZERO));
    for _ in 0..9 {
        assert_eq!(drop.buy(OPEN, click(0, Gold, 2)), Err(Refusal::Busy));
    }
    drop.vouch(Vouch::ALWAYS);
    for _ in 0..2 {
        drop.buy(OPEN, click(0, Gold, 1)).unwrap();
    }
}

#[test]
fn orders_of_former_processes_count_as_made() {
    let drop = two_orders_each();
    drop.restore_holding(click(0, Gold, 1).seat, Units(0), 1);
    drop.restore_holding(click(1, Gold, 1).seat, Units(1), 70_000);
    drop.buy(OPEN, click(0, Gold, 1)).unwrap();
    for seat in [0, 1] {
        let refused = drop.buy(OPEN, click(seat, Gold, 1));
        assert_eq!(refused, Err(Refusal::TooManyOrders { most: 2 }));
    }
    assert_eq!(drop.held(click(1, Gold, 1).seat), Units(1));
}

#[test]
fn a_later_close_counts_for_clicks_and_offers_and_a_sale_that_has_closed_stays_closed() {
    let late = Millis(10_000);
    let drop = sale(5);
    drop.close_at(Millis(20_000));
    drop.close_at(Millis(1));
    assert_eq!(drop.closes_at(), Millis(20_000), "never earlier");
    let first = drop.buy(late, click(0, Gold, 1)).unwrap();
    assert!(drop.has_entered(Gold, late) && !drop.is_over(late));
    drop.set_aside();
    drop.settle(first.number, Status::Confirmed, late);
    drop.settle(first.number, Status::Cancelled, late);
    assert!(drop.offer(late, click(1, Gold, 1)).is_ok(), "the unit that came back");
    assert_eq!(drop.buy(Millis(20_000), click(2, Gold, 1)), Err(Refusal::Closed));
    drop.close_at(Millis(30_000));
    assert_eq!(drop.buy(late, click(2, Gold, 1)), Err(Refusal::Closed));
}
