//! From the queue to the store and back, driven step by step and by the running engine.

use crate::support::{CALM, Fault, FaultyStore, OPEN, World, click, engine, id};
use engine::clock::Clock;
use engine::confirm::Progress;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::sale::search::STEP_ORDERS;
use engine::store::{MemoryStore, Store, StoreError, Switch};
use engine::{Engine, Found};
use membership::Tier::{Diamond, Gold, Regular};
use std::sync::Arc;
use std::time::Duration;

async fn world(stock: u32) -> (Arc<FaultyStore>, World) {
    let clock = Clock::by_hand(OPEN);
    let store = FaultyStore::with_sale(stock, &clock).await;
    let world = World::open(&store, &clock).await;
    (store, world)
}

fn by(world: &World, name: &str, tier: membership::Tier, units: u32) -> Click {
    let seat = world.roster.seat(name).unwrap();
    Click { seat, ..click(0, tier, units) }
}

#[tokio::test]
async fn a_lone_order_is_confirmed_at_once() {
    let (_, mut world) = world(5).await;
    world.open.sale.buy(OPEN, by(&world, "ann", Gold, 1)).unwrap();
    assert_eq!(world.confirmer.make_progress().await, Progress::Settled(1));
    assert_eq!(world.status(1), Some(Status::Confirmed));
    assert_eq!(world.confirmer.make_progress().await, Progress::Idle);
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_for_again_and_no_unit_goes_back() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Refused] {
        let (store, mut world) = world(1).await;
        world.open.sale.buy(OPEN, by(&world, "ann", Gold, 1)).unwrap();
        store.fail([fault, fault]);
        for _ in 0..2 {
            assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
            assert_eq!(world.status(1), Some(Status::Reserved));
            assert!(world.open.trouble().is_some());
            let refusal = world.open.sale.buy(OPEN, by(&world, "bob", Gold, 1));
            assert_eq!(refusal, Err(Refusal::SoldOut { left: Units(0) }));
        }
        assert_eq!(world.confirmer.make_progress().await, Progress::Settled(1));
        assert_eq!(world.status(1), Some(Status::Confirmed));
        assert_eq!(world.open.trouble(), None);
        assert_eq!(store.inner.reading.outbox_after(&id(), 0, 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_fenced_sale_stops_at_once_and_releases_what_the_store_does_not_have() {
    let (store, mut world) = world(9).await;
    for name in ["ann", "bob", "cyd", "dan"] {
        world.open.sale.buy(OPEN, by(&world, name, Gold, 1)).unwrap();
    }
    // The first batch of three gets through, its answer does not, and another process takes over.
    store.fail([Fault::LostAfter]);
    assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
    store.inner.opening.open(&id()).await.unwrap();
    world.confirmer.make_progress().await;
    world.confirmer.make_progress().await;
    world.confirmer.make_progress().await;
    let statuses = [1, 2, 3, 4].map(|number| world.status(number).unwrap());
    assert_eq!(statuses[..3], [Status::Confirmed; 3]);
    assert_eq!(statuses[3], Status::Released);
    assert_eq!(world.open.sale.buy(OPEN, by(&world, "eve", Gold, 1)), Err(Refusal::Busy));
    assert!(world.open.trouble().is_some_and(|why| why == StoreError::Fenced));
}

#[tokio::test]
async fn a_restart_resumes_stock_holdings_switches_and_keys() {
    let store: Store = MemoryStore::default().into();
    let clock = Clock::by_hand(OPEN);
    let first = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
    let open = first.create(&crate::support::terms(10)).await.unwrap();
    let seat = first.roster().seat("ann").unwrap();
    let key = Some(engine::rules::key::IdempotencyKey(std::num::NonZeroU64::MIN));
    let keyed = Click { seat, key, ..click(0, Diamond, 3) };
    let number = open.sale.buy(OPEN, keyed).unwrap().number;
    open.wake();
    let order = open.settled(number, Duration::from_secs(10)).await.unwrap();
    assert_eq!(order.status, Status::Confirmed);
    first.top_up(&open, "k", Units(2)).await.unwrap();
    first.switch(&open, Switch::Pause).await.unwrap();
    assert_eq!(first.drain(Duration::from_secs(10)).await, 0);

    let second = Engine::start(store, clock, CALM).await.unwrap();
    let open = second.sale("drop").unwrap();
    let level = open.sale.stock().level();
    assert_eq!((level.left(), level.total(), level.is_paused()), (Units(9), Units(12), true));
    second.switch(&open, Switch::Resume).await.unwrap();
    let seat = second.roster().find("ann").unwrap();
    assert_eq!(open.sale.held(seat), Units(3));
    let again = open.sale.buy(OPEN, Click { seat, key, ..click(0, Diamond, 3) }).unwrap();
    assert_eq!((again.number, again.is_new), (number, false));
    let found = second.order_numbered(&open, number).await.unwrap().unwrap();
    assert!(matches!(found, Found::Before(record) if record.member.as_str() == "ann"));
    let next = open.sale.buy(OPEN, Click { seat, ..click(0, Diamond, 1) }).unwrap();
    assert_eq!(next.number, number + 1);
    let orders = second.orders_of(&open, seat, u64::MAX, 9).await.unwrap();
    assert!(matches!(orders[..], [Found::Here(_), Found::Before(_)]), "newest first");
    let before = second.orders_of(&open, seat, next.number, 9).await.unwrap();
    assert_eq!(before, orders[1..]);
    assert_eq!(second.orders_of(&open, seat, number, 9).await, Ok(Vec::new()));
    // The store's list of the member's orders has those of this process, too: none is listed twice.
    open.wake();
    open.settled(next.number, Duration::from_secs(10)).await.unwrap();
    for before in [u64::MAX, next.number] {
        let page = second.orders_of(&open, seat, before, 9).await.unwrap();
        let numbers: Vec<_> = page.iter().map(Found::number).collect();
        let expected = [next.number, number];
        assert_eq!(numbers, expected[usize::from(before == next.number)..]);
    }
    let listed = second.orders_after(&open, 0, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn draining_confirms_everything_that_is_reserved() {
    let (engine, open) = engine(100).await;
    for i in 0..100 {
        let seat = engine.roster().seat(&format!("m{i}")).unwrap();
        open.sale.buy(OPEN, Click { seat, ..click(0, Regular, 1) }).unwrap();
    }
    assert_eq!(engine.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(open.sale.meter().stored().of(Status::Confirmed)[Regular].orders, 100);
    assert!(open.may_return(), "nobody has paid yet");
}

#[tokio::test]
async fn a_wait_ends_with_the_verdict_or_when_its_time_is_over() {
    let (_, mut world) = world(5).await;
    let number = world.open.sale.buy(OPEN, by(&world, "ann", Gold, 1)).unwrap().number;
    let short = world.open.settled(number, Duration::from_millis(1)).await.unwrap();
    assert_eq!(short.status, Status::Reserved);
    let open = Arc::clone(&world.open);
    let wait = tokio::spawn(async move { open.settled(number, Duration::from_secs(10)).await });
    tokio::task::yield_now().await;
    world.clock.set(Millis(5_007));
    world.confirmer.make_progress().await;
    let settled = wait.await.unwrap().unwrap();
    assert_eq!((settled.status, settled.settled_at), (Status::Confirmed, Some(Millis(5_007))));
    assert_eq!(world.open.settled(99, Duration::from_secs(10)).await, None);
}

#[tokio::test]
async fn a_sale_that_the_clock_has_closed_stays_closed_when_the_clock_goes_back_and_after_a_restart()
 {
    let (store, world) = world(5).await;
    let closes_at = world.open.sale.terms().windows.closes_at();
    let ann = by(&world, "ann", Gold, 1);
    assert_eq!(world.open.sale.buy(closes_at, ann), Err(Refusal::Closed));
    assert_eq!(world.open.sale.buy(OPEN, ann), Err(Refusal::Closed), "a click has seen the close");
    let mut other = World::open(&store, &world.clock).await;
    other.open.sale.buy(OPEN, by(&other, "bob", Gold, 1)).unwrap();
    other.clock.set(closes_at);
    assert_eq!(other.confirmer.make_progress().await, Progress::Settled(1));
    other.clock.set(OPEN);
    assert_eq!(other.open.sale.buy(OPEN, by(&other, "cyd", Gold, 1)), Err(Refusal::Closed));
    let mut third = World::open(&store, &world.clock).await;
    assert_eq!(third.open.sale.buy(OPEN, by(&third, "dan", Gold, 1)), Err(Refusal::Closed));
    assert_eq!(third.confirmer.make_progress().await, Progress::Idle);
}

#[tokio::test]
async fn who_lists_orders_while_many_wait_lets_others_have_their_turn() {
    const WAITING: u32 = 100_000;
    let (engine, open) = engine(WAITING).await;
    // The confirmer has no turn before the first await, so all of these wait on the queue.
    for seat in 0..WAITING {
        open.sale.buy(OPEN, click(seat, Gold, 1)).unwrap();
    }
    let turns = std::cell::Cell::new(0_u64);
    let others = async {
        loop {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let orders = tokio::select! {
        biased;
        orders = engine.orders_of(&open, click(WAITING - 1, Gold, 1).seat, u64::MAX, 9) => orders.unwrap(),
        () = others => unreachable!("it has no end"),
    };
    assert_eq!(orders.len(), 1);
    let steps = u64::from(WAITING) / STEP_ORDERS;
    assert!(turns.get() >= steps, "{} turns in {steps} steps", turns.get());
}

#[tokio::test]
async fn verdicts_that_came_are_told_at_once_though_the_rest_of_the_batch_broke_off() {
    let (store, mut world) = world(9).await;
    for name in ["ann", "bob", "cyd"] {
        world.open.sale.buy(OPEN, by(&world, name, Gold, 1)).unwrap();
    }
    let mut watcher = world.open.watch(by(&world, "ann", Gold, 1).seat);
    store.fail([Fault::Part(2)]);
    assert!(matches!(world.confirmer.make_progress().await, Progress::Retry(_)));
    let statuses = |world: &World| [1, 2, 3].map(|number| world.status(number).unwrap());
    assert_eq!(statuses(&world), [Status::Confirmed, Status::Confirmed, Status::Reserved]);
    assert!(watcher.try_recv().is_ok(), "its member is told");
    assert_eq!(world.confirmer.make_progress().await, Progress::Settled(1));
    assert_eq!(statuses(&world), [Status::Confirmed; 3]);
    assert!(watcher.try_recv().is_err(), "and only once");
}
