//! An order's life and the waitlist in one process, step by step: steps that come together, and
//! steps that come late.

use crate::support::{
    CALM, Fault, FaultyStore, Move, OPEN, World, click, id, member, terms, waiting, windows_until,
};
use engine::Engine;
use engine::clock::Clock;
use engine::confirm::Progress;
use engine::rules::order::{OrderId, Status, Step};
use engine::rules::refusal::Refusal;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{Change, MemoryStore, Store, Switch};
use membership::Tier::Gold;
use std::sync::Arc;
use std::time::Duration;

/// When a payment for an order of [`OPEN`] is due.
const DUE: u64 = OPEN.0 + 900_000;

async fn world(stock: u32) -> (Arc<FaultyStore>, World) {
    let clock = Clock::by_hand(OPEN);
    let store = FaultyStore::with_sale(stock, &clock).await;
    let world = World::open(&store, &clock).await;
    (store, world)
}

fn by(world: &World, name: &str, units: u32) -> Click {
    let seat = world.roster.seat(name).unwrap();
    Click { seat, ..click(0, Gold, units) }
}

/// Asks for a move of an order of one unit.
fn ask(world: &World, what: Move, number: u64) {
    let change = what.of(world.open.sale.epoch(), number, Units(1));
    drop(world.open.ask(change, world.clock.now()).unwrap());
}

fn wish(world: &World, name: &str, units: u32) {
    world.roster.seat(name).unwrap();
    let place = world.open.next_place().unwrap();
    drop(
        world.open.ask(Change::Join(waiting(name, Gold, units, place)), world.clock.now()).unwrap(),
    );
}

async fn to_the_end(world: &mut World) {
    while world.confirmer.make_progress().await != Progress::Idle {}
}

async fn bought(world: &mut World, name: &str, units: u32) -> u64 {
    let number = world.open.sale.buy(world.clock.now(), by(world, name, units)).unwrap().number;
    to_the_end(world).await;
    number
}

fn left(world: &World) -> u32 {
    world.open.sale.stock().level().left().0
}

fn position(world: &World, name: &str) -> Option<usize> {
    world.open.position(by(world, name, 1).seat).map(|(_, position)| position)
}

#[tokio::test]
async fn an_order_that_is_confirmed_late_has_its_whole_time_to_be_paid() {
    let (store, mut world) = world(1).await;
    world.open.sale.buy(OPEN, by(&world, "ann", 1)).unwrap();
    store.fail([Fault::LostBefore]);
    assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
    world.clock.set(Millis(DUE + 5_000));
    to_the_end(&mut world).await;
    assert_eq!(world.status(1), Some(Status::Confirmed));
    world.clock.set(Millis(DUE + 5_000 + 899_999));
    to_the_end(&mut world).await;
    assert_eq!(world.status(1), Some(Status::Confirmed));
    world.clock.set(Millis(DUE + 5_000 + 900_000));
    to_the_end(&mut world).await;
    assert_eq!(world.status(1), Some(Status::Expired));
}

#[tokio::test]
async fn a_payment_that_came_in_time_and_waited_for_the_store_is_in_time() {
    let (store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    world.clock.set(Millis(DUE - 1_000));
    store.fail([Fault::LostBefore]);
    wish(&world, "bob", 1);
    assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
    ask(&world, Move::Pay, number);
    world.clock.set(Millis(DUE + 1_000));
    to_the_end(&mut world).await;
    assert_eq!(world.status(number), Some(Status::Paid));
}

#[tokio::test]
async fn an_order_that_expired_when_it_was_due_did_so_also_if_the_clock_goes_back_before_the_answer()
 {
    let (store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    world.clock.set(Millis(DUE + 1_000));
    store.fail([Fault::Refused]);
    assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
    world.clock.set(OPEN);
    to_the_end(&mut world).await;
    assert_eq!(world.status(number), Some(Status::Expired));
    let audit = store.inner.reading.audit().await.unwrap();
    assert_eq!(audit.sales[0].differences, [""; 0]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_holds_back_no_later_deadline() {
    let clock = Clock::by_hand(OPEN);
    let terms = Terms { windows: windows_until(u64::from(u32::MAX)), ..terms(3) };
    let store = FaultyStore::selling(&terms, &clock).await;
    let mut world = World::open(&store, &clock).await;
    world.clock.set(Millis(OPEN.0 + 3_000));
    world.open.sale.buy(Millis(OPEN.0 + 3_000), by(&world, "ann", 1)).unwrap();
    world.clock.set(Millis(OPEN.0 + 86_400_000));
    to_the_end(&mut world).await;
    world.clock.set(OPEN);
    let number = bought(&mut world, "bob", 1).await;
    world.clock.set(Millis(DUE));
    to_the_end(&mut world).await;
    assert_eq!(world.status(number), Some(Status::Expired));
}

#[tokio::test]
async fn who_asks_to_wait_while_an_order_is_on_its_way_is_served_once() {
    let (store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    for name in ["bob", "cyd"] {
        wish(&world, name, 1);
    }
    to_the_end(&mut world).await;
    ask(&world, Move::Cancel, number);
    world.confirmer.make_progress().await;
    assert!(world.open.is_offered(by(&world, "bob", 1).seat));
    wish(&world, "bob", 1);
    to_the_end(&mut world).await;
    assert_eq!(position(&world, "cyd"), Some(1), "nobody is served twice before her");
    let stored = store.inner.reading.waiting(&id()).await.unwrap();
    let is_stored = |name: &str| stored.iter().any(|waiting| waiting.member == member(name));
    for name in ["bob", "cyd"] {
        let waits = position(&world, name).is_some();
        assert_eq!(waits, is_stored(name), "memory and store agree on {name}");
    }
    assert_eq!(world.open.sale.held(by(&world, "bob", 1).seat), Units(1));
}

#[tokio::test]
async fn a_unit_that_came_back_while_somebody_asked_to_wait_is_theirs() {
    let (_, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    // Both changes are made in one transaction, so the unit is back before any member waits.
    ask(&world, Move::Cancel, number);
    wish(&world, "bob", 1);
    to_the_end(&mut world).await;
    assert_eq!(world.open.sale.held(by(&world, "bob", 1).seat), Units(1));
    let late = world.open.sale.buy(OPEN, by(&world, "zoe", 1));
    assert_eq!(late, Err(Refusal::SoldOut { left: Units(0) }));
}

#[tokio::test]
async fn what_is_on_sale_and_what_comes_back_are_enough_together() {
    let (_, mut world) = world(2).await;
    let number = bought(&mut world, "ann", 1).await;
    wish(&world, "bob", 2);
    to_the_end(&mut world).await;
    assert_eq!((left(&world), position(&world, "bob")), (1, Some(1)), "one is still on sale");
    ask(&world, Move::Cancel, number);
    to_the_end(&mut world).await;
    assert_eq!(world.open.sale.held(by(&world, "bob", 1).seat), Units(2));
    assert_eq!((left(&world), world.open.waiting()), (0, 0));
}

#[tokio::test]
async fn nothing_is_offered_once_a_pause_or_a_close_has_answered() {
    for closes in [false, true] {
        let (_, mut world) = world(1).await;
        let number = bought(&mut world, "ann", 1).await;
        wish(&world, "bob", 1);
        to_the_end(&mut world).await;
        world.open.sale.settle(number, Status::Cancelled, OPEN).unwrap();
        match closes {
            true => world.open.sale.stock().close(),
            false => world.open.sale.stock().set_paused(true),
        }
        let refused = if closes { Refusal::Closed } else { Refusal::Paused };
        assert_eq!(world.open.sale.offer(OPEN, by(&world, "bob", 1)), Err(refused));
        assert_eq!(world.open.sale.aside().units(), Units(1), "the unit is still there");
        assert_eq!(world.open.sale.held(by(&world, "bob", 1).seat), Units(0));
    }
}

#[tokio::test]
async fn who_asks_to_wait_while_the_sale_closes_is_not_left_on_the_list() {
    let (store, mut world) = world(1).await;
    bought(&mut world, "ann", 1).await;
    wish(&world, "bob", 1);
    to_the_end(&mut world).await;
    let epoch = world.open.sale.epoch();
    store.inner.operating.switch(&id(), epoch, Switch::Close).await.unwrap();
    world.open.sale.stock().close();
    to_the_end(&mut world).await;
    wish(&world, "cyd", 1);
    to_the_end(&mut world).await;
    assert_eq!(
        (world.open.waiting(), store.inner.reading.waiting(&id()).await.unwrap().len()),
        (0, 0)
    );
}

#[tokio::test]
async fn who_was_blocked_just_before_a_crash_is_offered_nothing_after_it() {
    let store: Store = MemoryStore::default().into();
    let clock = Clock::by_hand(OPEN);
    let engine = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
    let open = engine.create(&terms(1)).await.unwrap();
    let of = |engine: &Engine, name: &str| Click {
        seat: engine.roster().seat(name).unwrap(),
        ..click(0, Gold, 1)
    };
    let number = open.sale.buy(OPEN, of(&engine, "ann")).unwrap().number;
    open.wake();
    open.settled(number, Duration::from_secs(10)).await;
    for name in ["bob", "cyd"] {
        engine.join(&open, of(&engine, name)).await.unwrap();
    }
    // The block is on disk, and the process dies before bob has left the waitlist.
    store.members.set_blocked(&member("bob"), true).await.unwrap();
    engine.drain(Duration::from_secs(10)).await;
    let order = OrderId { sale: id(), epoch: open.sale.epoch(), number };
    let engine = Engine::start(store, clock, CALM).await.unwrap();
    let open = engine.sale("drop").unwrap();
    engine.step(&open, &order, Step::Cancel).await.unwrap();
    let next = open.settled(number + 1, Duration::from_secs(10)).await.unwrap();
    assert_eq!(next.seat, of(&engine, "cyd").seat);
    assert!(
        engine.orders_of(&open, of(&engine, "bob").seat, u64::MAX, 9).await.unwrap().is_empty()
    );
}

/// Asks for steps of orders that are not there, more than go into one transaction.
fn backlog(world: &World, step: Move) {
    let number = if step == Move::Pay { 777 } else { 778 };
    for _ in 0..9 {
        ask(world, step, number);
    }
}

#[tokio::test]
async fn a_payment_that_was_told_in_time_stands_whatever_waits_before_it() {
    for step in [Move::Pay, Move::Cancel] {
        let (_store, mut world) = world(1).await;
        let number = bought(&mut world, "ann", 1).await;
        backlog(&world, step);
        world.clock.set(Millis(DUE - 1));
        ask(&world, Move::Pay, number);
        world.clock.set(Millis(DUE + 60_000));
        to_the_end(&mut world).await;
        assert_eq!(world.status(number), Some(Status::Paid), "behind {step:?}");
    }
}

#[tokio::test]
async fn a_payment_that_was_told_too_late_is_due_back_even_if_the_order_had_not_expired() {
    let (_store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    world.clock.set(Millis(DUE));
    ask(&world, Move::Pay, number);
    to_the_end(&mut world).await;
    assert_eq!((world.status(number), left(&world)), (Some(Status::RefundDue), 1));
}

#[tokio::test]
async fn payments_take_at_most_half_of_a_transaction_and_overdue_orders_have_a_quarter() {
    let (store, mut world) = world(40).await;
    store.set_batch_max(16);
    for n in 0..40 {
        world.open.sale.buy(OPEN, by(&world, &format!("m{n}"), 1)).unwrap();
    }
    to_the_end(&mut world).await;
    for _ in 0..9 {
        backlog(&world, Move::Pay);
        backlog(&world, Move::Cancel);
    }
    world.clock.set(Millis(DUE));
    store.take_asked();
    world.confirmer.make_progress().await;
    let asked = store.take_asked();
    let of = |step| {
        let is_it =
            |change: &&Change| matches!(change, Change::Order { step: s, .. } if *s == step);
        asked[0].iter().filter(is_it).count()
    };
    assert_eq!((asked.len(), asked[0].len()), (1, 16));
    assert!(of(Step::Pay) <= 8 && of(Step::Pay) >= 7, "{} payments", of(Step::Pay));
    assert!(of(Step::Expire) >= 4 && of(Step::Cancel) >= 4, "{asked:?}");
}

#[tokio::test]
async fn a_step_that_was_asked_for_first_is_taken_first() {
    let (_store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    ask(&world, Move::Cancel, number);
    ask(&world, Move::Pay, number);
    to_the_end(&mut world).await;
    assert_eq!(world.status(number), Some(Status::RefundDue));
}

#[tokio::test]
async fn a_payment_that_a_halted_sale_refused_leaves_its_order_to_expire() {
    let (store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    world.clock.set(Millis(DUE - 1));
    ask(&world, Move::Pay, number);
    world.clock.set(Millis(DUE));
    store.inner.opening.open(&id()).await.unwrap();
    to_the_end(&mut world).await;
    assert!(world.open.sale.stock().level().is_halted());
    let (_store, mut next) = (Arc::clone(&store), World::open(&store, &world.clock).await);
    to_the_end(&mut next).await;
    let order = OrderId { sale: id(), epoch: world.open.sale.epoch(), number };
    assert_eq!(next.open.known(&order).map(|record| record.status), Some(Status::Expired));
}

#[tokio::test]
async fn a_waitlist_that_nobody_needs_any_more_ends_with_one_change() {
    let (store, mut world) = world(1).await;
    bought(&mut world, "eve", 1).await;
    for n in 0..20 {
        wish(&world, &format!("m{n}"), 1);
    }
    to_the_end(&mut world).await;
    assert_eq!(
        (world.open.waiting(), store.inner.reading.waiting(&id()).await.unwrap().len()),
        (20, 20)
    );
    world.open.sale.stock().close();
    store.take_asked();
    to_the_end(&mut world).await;
    assert_eq!(
        (world.open.waiting(), store.inner.reading.waiting(&id()).await.unwrap().len()),
        (0, 0)
    );
    let asked: Vec<_> = store.take_asked().iter().map(|changes| changes.to_vec()).collect();
    assert_eq!(asked, [[Change::Dissolve]]);
}

#[tokio::test]
async fn no_unit_is_offered_before_the_window_though_the_clock_went_back() {
    let (_store, mut world) = world(1).await;
    let number = bought(&mut world, "ann", 1).await;
    wish(&world, "bob", 1);
    to_the_end(&mut world).await;
    world.clock.set(Millis(1_199));
    ask(&world, Move::Cancel, number);
    to_the_end(&mut world).await;
    assert_eq!(world.open.sale.next_number(), number + 1, "nobody was offered it");
    assert_eq!(left(&world), 1, "it is on sale for the tiers that may buy");
    assert_eq!(position(&world, "bob"), Some(1), "who waits goes on waiting");
}

#[tokio::test]
async fn a_step_that_was_asked_for_behind_a_payment_does_not_overtake_it() {
    for (step, status) in [(Move::Cancel, Status::Paid), (Move::Refund, Status::Returned)] {
        let (_store, mut world) = world(1).await;
        let number = bought(&mut world, "ann", 1).await;
        backlog(&world, Move::Pay);
        ask(&world, Move::Pay, number);
        ask(&world, step, number);
        to_the_end(&mut world).await;
        assert_eq!(world.status(number), Some(status), "{step:?}");
    }
}
