//! Several engines that share one store, each a node.

use crate::support::{CALM, OPEN, id, member, terms as short_terms, windows_until};
use engine::clock::Clock;
use engine::members::{Ask, Book, Hears, NotTaken};
use engine::nodes::sharing::{Elsewhere, Sharing};
use engine::roster::Roster;
use engine::rules::node::{Node, Role};
use engine::rules::order::{OrderId, Status, Step};
use engine::rules::refusal::Refusal;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{Leasing, MemoryStore, Store, Switch, Who};
use engine::{Engine, NoSale, OpenSale, Place};
use membership::Tier;
use membership::event::{Event, Refused};
use membership::posting::{Account, Source};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

const LASTS: Duration = Duration::from_secs(60);
/// Before any window opens, so that sales may move.
const EARLY: Millis = Millis(1);

fn node(name: &str) -> Node {
    Node { id: name.parse().unwrap(), process: 1, address: format!("{name}:1").into() }
}

fn terms(stock: u32) -> Terms {
    Terms { windows: windows_until(10_000_000), ..short_terms(stock) }
}

/// A node's engine, which has renewed its lease once.
async fn started(store: &Arc<MemoryStore>, name: &str, clock: &Clock) -> Engine {
    let role = Role::Owner(node(name));
    let leasing = Arc::clone(store) as Arc<dyn Leasing>;
    let sharing = Arc::new(Sharing::new(leasing, role, LASTS, clock.clone()));
    sharing.renew().await.unwrap();
    let store: Store = Arc::clone(store).into();
    Engine::begin_shared(store, clock.clone(), CALM, Some(sharing)).await.unwrap()
}

async fn store_with(sales: u32) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let opening: Store = Arc::clone(&store).into();
    for n in 0..sales {
        opening.opening.create(&Terms { id: named(n), ..terms(10) }).await.unwrap();
    }
    store
}

fn named(n: u32) -> SaleId {
    format!("sale-{n}").parse().unwrap()
}

fn click(engine: &Engine, open: &OpenSale, member: &str) -> Result<u64, Refusal> {
    let seat = engine.roster().seat(member).unwrap();
    let click = Click { seat, tier: Tier::Gold, units: Units(1), key: None, is_minor: false };
    let judged = open.sale.buy(engine.now(), click).map(|accepted| accepted.number);
    open.wake();
    judged
}

fn sold_here(engine: &Engine) -> Vec<String> {
    engine.sales().iter().map(|open| open.sale.terms().id.to_string()).collect()
}

async fn confirmed(open: &OpenSale, number: u64) -> bool {
    let settled = open.settled(number, Duration::from_secs(10)).await;
    settled.is_some_and(|order| order.status == Status::Confirmed)
}

/// The node is gone: its lease is over, and it hears of nothing.
async fn kill(store: &Arc<MemoryStore>, name: &str) {
    store.renew(&node(name), Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn two_nodes_that_start_at_once_share_the_sales() {
    let (store, clock) = (store_with(40).await, Clock::by_hand(EARLY));
    let (a, b) = tokio::join!(started(&store, "a", &clock), started(&store, "b", &clock));
    let (at_a, at_b) = tokio::join!(a.share(), b.share());
    at_a.and(at_b).unwrap();
    // Whichever came first may have seen itself alone.
    while !(a.share().await.unwrap().is_empty() && b.share().await.unwrap().is_empty()) {}
    let (at_a, at_b) = (sold_here(&a), sold_here(&b));
    assert!(at_a.len() > 8 && at_b.len() > 8, "{at_a:?} {at_b:?}");
    assert_eq!(at_a.len() + at_b.len(), 40);
    assert!(at_a.iter().all(|sale| !at_b.contains(sale)), "{at_a:?} {at_b:?}");
    for (engine, sales, other) in [(&a, &at_b, "b"), (&b, &at_a, "a")] {
        for sale in sales {
            let place = engine.locate(sale).await.unwrap();
            assert_eq!(place, Place::Elsewhere(Elsewhere::At(node(other))), "{sale}");
        }
    }
}

#[tokio::test]
async fn a_node_that_starts_takes_nothing_from_one_that_lives() {
    let (store, clock) = (store_with(20).await, Clock::by_hand(EARLY));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    let epochs: Vec<u64> = a.sales().iter().map(|open| open.sale.epoch()).collect();
    let b = started(&store, "b", &clock).await;
    b.share().await.unwrap();
    for sale in 0..20 {
        let place = b.locate(named(sale).as_str()).await.unwrap();
        assert_eq!(place, Place::Elsewhere(Elsewhere::At(node("a"))));
    }
    assert!(b.sales().is_empty());
    clock.set(OPEN);
    for (open, epoch) in a.sales().iter().zip(epochs) {
        let number = click(&a, open, "ann").unwrap();
        assert!(confirmed(open, number).await && open.sale.epoch() == epoch);
    }
}

#[tokio::test]
async fn a_sale_that_was_to_leave_is_sold_on_and_counted_when_that_is_cut_off() {
    let (store, clock) = (store_with(1).await, Clock::by_hand(OPEN));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    let _b = started(&store, "b", &clock).await;
    let open = a.sale("sale-0").unwrap();
    // It waits until what was taken is settled.
    let mut leaving = Box::pin(a.leave());
    let polled = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    assert!(matches!(a.sale("sale-0"), Err(NoSale::NotOpened)) && sold_here(&a).is_empty());
    drop(leaving);
    assert_eq!(sold_here(&a), ["sale-0"]);
    assert!(a.not_opened().is_empty());
    let number = click(&a, &open, "ann").unwrap();
    assert!(confirmed(&open, number).await);
}

#[tokio::test]
async fn a_sale_that_is_handed_over_goes_on_where_it_was_and_nothing_is_forgotten() {
    let (store, clock) = (store_with(1).await, Clock::by_hand(OPEN));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    let open = a.sale("sale-0").unwrap();
    let numbers: Vec<u64> = (0..7).map(|n| click(&a, &open, &format!("m{n}")).unwrap()).collect();
    let b = started(&store, "b", &clock).await;
    let left = a.leave().await.unwrap();
    assert_eq!(left, [(named(0), node("b").id)]);
    for number in numbers {
        let order = open.sale.board().read(number).unwrap();
        assert_eq!(order.status, Status::Confirmed, "{number}");
    }
    assert_eq!(click(&a, &open, "late"), Err(Refusal::Busy));
    assert!(matches!(a.sale("sale-0"), Err(NoSale::Elsewhere)));
    assert_eq!(b.locate("sale-0").await.unwrap(), Place::Here);
    let there = b.sale("sale-0").unwrap();
    assert_eq!(there.sale.stock().level().left(), Units(3));
    assert!(click(&b, &there, "m0").is_ok());
    for n in 0..2 {
        click(&b, &there, &format!("new{n}")).unwrap();
    }
    assert_eq!(click(&b, &there, "last"), Err(Refusal::SoldOut { left: Units(0) }));
    // It takes nothing back while it leaves, and nothing is left to it.
    a.share().await.unwrap();
    assert!(a.sales().is_empty());
}

#[tokio::test]
async fn a_node_whose_lease_is_over_sells_nothing_until_it_has_kept_the_sale() {
    let (store, clock) = (store_with(1).await, Clock::by_hand(OPEN));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    let open = a.sale("sale-0").unwrap();
    click(&a, &open, "ann").unwrap();
    clock.set(OPEN + LASTS);
    assert_eq!(click(&a, &open, "bob"), Err(Refusal::Busy));
    // What is asked of it is still answered here.
    assert_eq!(a.locate("sale-0").await.unwrap(), Place::Here);
    a.renew_lease().await.unwrap();
    assert_eq!(click(&a, &open, "bob"), Err(Refusal::Busy), "the term is another one");
    a.keep_own().await.unwrap();
    assert_eq!(a.locate("sale-0").await.unwrap(), Place::Here);
    assert!(click(&a, &open, "bob").is_ok());
    assert!(Arc::ptr_eq(&open, &a.sale("sale-0").unwrap()), "it was not opened anew");
}

#[tokio::test]
async fn the_sales_of_a_node_that_is_gone_are_taken_and_what_it_still_sends_is_refused() {
    let (store, clock) = (store_with(6).await, Clock::by_hand(EARLY));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    clock.set(OPEN);
    let later = Clock::by_hand(EARLY);
    let b = started(&store, "b", &later).await;
    kill(&store, "a").await;
    // A node that has just come may be the first that the store answers again: it leaves others theirs.
    assert_eq!(b.locate("sale-3").await.unwrap(), Place::Elsewhere(Elsewhere::Moving));
    for at in [40_000, 70_000] {
        later.set(Millis(at));
        b.renew_lease().await.unwrap();
    }
    // One is taken because it is asked for, the others by a look.
    assert_eq!(b.locate("sale-3").await.unwrap(), Place::Here);
    b.share().await.unwrap();
    assert_eq!(sold_here(&b).len(), 6);
    for open in b.sales() {
        click(&b, &open, "ann").unwrap();
    }
    // Its clock has not told it yet.
    let open = a.sale("sale-3").unwrap();
    let number = click(&a, &open, "bob").unwrap();
    let order = open.settled(number, Duration::from_secs(10)).await.unwrap();
    assert_eq!(order.status, Status::Released);
    a.renew_lease().await.unwrap();
    while a.sale("sale-3").is_ok() {
        a.keep_own().await.unwrap();
        tokio::task::yield_now().await;
    }
    let gone = a.sale("sale-3").err();
    assert_eq!(
        gone,
        Some(NoSale::Elsewhere),
        "who asks for an order of it is not told that it is none"
    );
    clock.set(OPEN + Duration::from_millis(20));
    let place = a.locate("sale-3").await.unwrap();
    assert_eq!(place, Place::Elsewhere(Elsewhere::At(node("b"))));
}

#[tokio::test]
async fn a_sale_stays_where_it_is_in_its_first_minutes() {
    let (store, clock) = (store_with(0).await, Clock::by_hand(OPEN));
    let a = started(&store, "a", &clock).await;
    // Whichever node is wanted, some of these are.
    for n in 0..8 {
        a.create(&Terms { id: named(n), ..terms(10) }).await.unwrap();
    }
    let b = started(&store, "b", &clock).await;
    assert_eq!(a.share().await.unwrap(), []);
    clock.set(Millis(400_000));
    for engine in [&a, &b] {
        engine.renew_lease().await.unwrap();
    }
    assert!(!a.share().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_archived_sale_stays_where_it_is_whoever_asks_for_it() {
    let (store, clock) = (store_with(1).await, Clock::by_hand(OPEN));
    let (a, b) = (started(&store, "a", &clock).await, started(&store, "b", &clock).await);
    a.create(&Terms { id: id(), ..terms(10) }).await.unwrap();
    let open = a.sale("drop").unwrap();
    let number = click(&a, &open, "ann").unwrap();
    assert!(confirmed(&open, number).await);
    let order = OrderId { sale: id(), epoch: open.sale.epoch(), number };
    a.step(&open, &order, Step::Pay).await.unwrap();
    a.switch(&open, Switch::Close).await.unwrap();
    while a.sale("drop").is_ok() {
        a.archive(&open).await.unwrap();
    }
    // The node that had it answers for it, also for others.
    let at_a = Place::Elsewhere(Elsewhere::At(node("a")));
    for (engine, place) in [(&b, at_a), (&a, Place::Here)] {
        assert_eq!(engine.locate("drop").await.unwrap(), place);
        engine.share().await.unwrap();
        assert!(engine.sale("drop").is_err(), "nobody has taken it out of the archive");
    }
    assert!(a.any_sale("drop").await.unwrap().is_archived());
    a.delete(&id()).await.unwrap();
    assert!(b.is_taken(&id()).await.unwrap());
}

#[tokio::test]
async fn an_erased_members_seat_stays_blocked_whatever_other_nodes_change() {
    let (store, clock) = (store_with(1).await, Clock::by_hand(OPEN));
    let a = started(&store, "a", &clock).await;
    a.share().await.unwrap();
    let open = a.sale("sale-0").unwrap();
    let number = click(&a, &open, "ann").unwrap();
    assert!(confirmed(&open, number).await);
    let (ann, seat) = (member("ann"), a.roster().seat("ann").unwrap());
    a.erase(&ann, &member("erased:1")).await.unwrap();
    for is_over in [false, true] {
        if is_over {
            a.erased(&ann).await.unwrap();
        }
        a.follow_others().await.unwrap();
        assert!(a.look_at_blocked().contains(seat), "a session may still have it");
    }
    // Whom another node has blocked since is blocked, and let go when that is taken back.
    let (store, bob): (Store, _) = (store.into(), member("bob"));
    for is_blocked in [true, false] {
        store.members.set_blocked(&bob, is_blocked).await.unwrap();
        a.follow_others().await.unwrap();
        assert_eq!(a.is_blocked(&bob), is_blocked);
    }
}

#[tokio::test]
async fn a_front_owns_nothing_and_finds_every_sale() {
    let (store, clock) = (store_with(5).await, Clock::by_hand(EARLY));
    let leasing = Arc::clone(&store) as Arc<dyn Leasing>;
    let sharing = Arc::new(Sharing::new(leasing, Role::Front, LASTS, clock.clone()));
    sharing.renew().await.unwrap();
    let of_front: Store = Arc::clone(&store).into();
    let front = Engine::begin_shared(of_front, clock.clone(), CALM, Some(sharing)).await.unwrap();
    assert_eq!(front.locate("sale-0").await.unwrap(), Place::Elsewhere(Elsewhere::Moving));
    let a = started(&store, "a", &clock).await;
    front.share().await.unwrap();
    assert!(front.sales().is_empty());
    for n in 0..5 {
        let place = front.locate(named(n).as_str()).await.unwrap();
        assert_eq!(place, Place::Elsewhere(Elsewhere::At(node("a"))));
    }
    assert_eq!(front.locate("nothing").await.unwrap(), Place::Here);
    assert_eq!(front.locate(id().as_str()).await.unwrap(), Place::Here);
    drop(a);
}

#[tokio::test]
async fn the_last_of_a_reward_is_had_once_whichever_nodes_are_asked() {
    let (store, clock) = (store_with(0).await, Clock::by_hand(OPEN));
    let (a, b) = (started(&store, "a", &clock).await, started(&store, "b", &clock).await);
    let mut plan = a.book().plans.current().plan.clone();
    plan.rewards.get_mut("coupon-10").unwrap().stock = Some(3);
    a.book().plans.change(plan).await.unwrap();
    b.book().plans.follow().await.unwrap();
    let members: Vec<_> = (0..8).map(|n| member(&format!("m{n}"))).collect();
    for member in &members {
        a.book().enrol(member, None).await.unwrap();
        let (id, account) = (Source(format!("gift-{member}")), Account::Points);
        let event = Event::Adjust { id, account, amount: 1_000 };
        let ask = Ask { who: Who::Named(member.clone()), event, at: clock.now() };
        a.book().take(ask).await.unwrap().unwrap();
    }
    // Both have counted before anything is taken.
    for engine in [&a, &b] {
        assert!(engine.redeem(&member("nobody"), "x", "coupon-10").await.unwrap().is_err());
    }
    let asked = members.iter().zip([&a, &b].into_iter().cycle());
    let asked = asked.map(|(member, engine)| engine.redeem(member, "once", "coupon-10"));
    let had: Vec<_> = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(had.iter().filter(|had| had.is_ok()).count(), 3, "{had:?}");
    let gone = Err(NotTaken::Refused(Refused::RewardGone));
    assert_eq!(had.iter().filter(|had| **had == gone).count(), 5, "{had:?}");
}

#[tokio::test]
async fn what_is_known_of_a_member_counts_for_as_long_as_others_may_post_unheard() {
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(60));
    for (hears, lasts) in [(Hears::ByItself, short), (Hears::Told, long), (Hears::Nothing, long)] {
        let (store, clock) = (Store::from(MemoryStore::default()), Clock::by_hand(OPEN));
        let roster = Arc::new(Roster::new());
        let open = |roster| Book::open(Arc::clone(&store.book), clock.clone(), roster);
        let here = open(Arc::clone(&roster)).await.unwrap();
        let there = open(Arc::default()).await.unwrap();
        here.share(hears);
        let ann = (roster.seat("ann").unwrap(), member("ann"));
        here.look_up(vec![ann.clone()]).await.unwrap();
        assert_eq!(here.tier(ann.0), None, "nobody is enrolled");
        there.enrol(&ann.1, None).await.unwrap();
        let end = OPEN + lasts;
        assert!(here.is_seated(ann.0, Millis(end.0 - 1)) && !here.is_seated(ann.0, end));
        if hears == Hears::ByItself {
            clock.set(end);
            here.look_up(vec![ann.clone()]).await.unwrap();
            assert_eq!(here.tier(ann.0), Some(Tier::Regular), "though the book was empty");
        }
    }
}
