//! Points and coupons at the sale: taken of the purse, kept in the book, spent or given back, each once.

use crate::book_faults::{Fails, Shaky};
use crate::support::World as SupportWorld;
use crate::support::{CALM, FaultyStore, OPEN, click, id, member, refund, terms, windows_until};
use engine::clock::Clock;
use engine::members::{Ask, Book};
use engine::roster::Roster;
use engine::rules::cents::Cents;
use engine::rules::key::IdempotencyKey;
use engine::rules::member_terms::{CouponTerms, MemberTerms, Off};
use engine::rules::money::PriceKind;
use engine::rules::order::{Order, OrderId, Status, Step};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::why::Why;
use engine::sale::{Accepted, Click};
use engine::store::{BookStore, Bucket, MemoryStore, Store, Who};
use engine::{Engine, OpenSale};
use membership::PerTier;
use membership::Tier::{Diamond, Gold, Regular};
use membership::account::{CouponState, Membership};
use membership::event::Event;
use membership::posting::{Account, Source};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Lamps for 100, of which points may pay all; `welcome` takes 30 off.
pub(crate) fn lamps(stock: u32) -> Terms {
    let welcome = CouponTerms { off: Off::Amount(Cents(30)), least_order: Cents(100) };
    let members = MemberTerms {
        points_share_max: 100,
        coupons: [("welcome".to_owned(), welcome)].into(),
        discounts: PerTier([0, 0, 0, 0, 10]),
        ..MemberTerms::default()
    };
    let windows = windows_until(1_000_000_000);
    Terms { price: Cents(100), members, windows, ..terms(stock) }
}

struct World {
    engine: Engine,
    open: Arc<OpenSale>,
    clock: Clock,
    store: Store,
}

impl World {
    async fn new(stock: u32) -> Self {
        let (store, clock) = (Store::from(MemoryStore::default()), Clock::by_hand(OPEN));
        let engine = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
        let open = engine.create(&lamps(stock)).await.unwrap();
        let world = Self { engine, open, clock, store };
        world.engine.book().enrol(&member("ann"), None).await.unwrap();
        let adjust =
            Event::Adjust { id: Source("a".into()), account: Account::Points, amount: 250 };
        world.take(adjust).await;
        world.take(Event::Issue { id: Source("c".into()), kind: "welcome".into() }).await;
        world
    }

    async fn take(&self, event: Event) {
        let ask = Ask { who: Who::Named(member("ann")), event, at: self.engine.now() };
        self.engine.book().take(ask).await.unwrap().unwrap();
    }

    async fn seat(&self) -> Seat {
        let seat = self.engine.roster().seat("ann").unwrap();
        self.engine.book().look_up(vec![(seat, member("ann"))]).await.unwrap();
        seat
    }

    async fn click(
        &self,
        points: u64,
        coupon: Option<&str>,
        key: Option<u64>,
    ) -> Result<Accepted, Refusal> {
        let key = key.and_then(NonZeroU64::new).map(IdempotencyKey);
        let click = Click { seat: self.seat().await, key, ..click(0, Regular, 1) };
        let (purses, coupon) = (self.engine.book().purses(), coupon.map(|id| id.parse().unwrap()));
        self.open.sale.buy_with(self.engine.now(), click, purses, points, coupon).unwrap()
    }

    async fn bought(&self, points: u64, coupon: Option<&str>) -> Order {
        let accepted = self.click(points, coupon, None).await.unwrap();
        self.open.wake();
        self.open.settled(accepted.number, Duration::from_secs(60)).await.unwrap()
    }

    async fn step(&self, order: &Order, step: Step) -> Status {
        let found = self.engine.step(&self.open, &self.id(order), step).await.unwrap().unwrap();
        found.status()
    }

    fn id(&self, order: &Order) -> OrderId {
        OrderId { sale: id(), epoch: self.open.sale.epoch(), number: order.number }
    }

    async fn fed(&self) {
        while self.engine.feed_book().await.unwrap() {}
    }

    async fn account(&self) -> Membership {
        let account = self.engine.book().account(Who::Named(member("ann"))).await.unwrap();
        account.unwrap().1
    }

    /// Points that can be spent, points that are kept for orders, and where the coupon is.
    async fn has(&self) -> (i64, u64, CouponState) {
        let account = self.account().await;
        let held = account.holds.iter().flat_map(|hold| &hold.lots).map(|lot| lot.amount).sum();
        (account.points.balance(self.engine.now()), held, account.coupons[0].state.clone())
    }

    async fn free(&self) -> Option<u64> {
        let seat = self.seat().await;
        self.engine.book().purses().free(seat)
    }
}

#[tokio::test]
async fn points_and_a_coupon_are_kept_before_the_order_is_confirmed_and_spent_when_it_is_paid() {
    let world = World::new(9).await;
    let order = world.bought(40, Some("c")).await;
    assert_eq!(order.status, Status::Confirmed);
    let money = world.open.sale.money(&order);
    assert_eq!((money.price, money.kind, money.due), (Cents(100), PriceKind::List, Cents(30)));
    let of = Source(world.id(&order).to_string());
    assert_eq!(world.has().await, (210, 40, CouponState::Held(of.clone())));
    assert_eq!(world.free().await, Some(210));
    assert_eq!(world.step(&order, Step::Pay).await, Status::Paid);
    world.fed().await;
    assert_eq!(world.has().await, (210, 0, CouponState::Used(of)));
    assert_eq!(world.account().await.saved_cents, 30, "what the coupon took off");
    // All of the money goes back, and with it the points and the coupon.
    let all = refund("r", 30);
    world.engine.refund(&world.open, &world.id(&order), all).await.unwrap().unwrap();
    world.fed().await;
    assert_eq!(world.has().await, (250, 0, CouponState::Free));
    assert_eq!((world.account().await.saved_cents, world.free().await), (0, Some(250)));
    let audit = world.engine.book().audit().await.unwrap();
    assert_eq!(audit.differences, [""; 0]);
}

#[tokio::test]
async fn an_order_that_ends_unpaid_gives_points_and_coupon_back() {
    let world = World::new(9).await;
    let cancelled = world.bought(40, Some("c")).await;
    assert_eq!(world.step(&cancelled, Step::Cancel).await, Status::Cancelled);
    world.fed().await;
    assert_eq!(world.has().await, (250, 0, CouponState::Free));
    let expired = world.bought(40, Some("c")).await;
    world.clock.set(Millis(OPEN.0 + 901_000));
    world.open.wake();
    while world.open.sale.board().read(expired.number).unwrap().status != Status::Expired {
        tokio::task::yield_now().await;
    }
    world.fed().await;
    assert_eq!(world.has().await, (250, 0, CouponState::Free));
    // What is paid all the same is paid back by the provider; nothing more is given back here.
    assert_eq!(world.step(&expired, Step::Pay).await, Status::RefundDue);
    world.fed().await;
    assert_eq!((world.has().await.0, world.free().await), (250, Some(250)));
}

#[tokio::test]
async fn an_order_that_points_pay_in_full_is_paid_when_it_is_confirmed() {
    let world = World::new(9).await;
    let order = world.bought(100, None).await;
    assert_eq!((order.status, order.settled_at), (Status::Paid, Some(OPEN)));
    world.fed().await;
    assert_eq!((world.has().await.0, world.has().await.1), (150, 0));
    let nothing = refund("r", 0);
    world.engine.refund(&world.open, &world.id(&order), nothing).await.unwrap().unwrap();
    world.fed().await;
    assert_eq!(world.has().await.0, 250, "a return gives the points back");
}

#[tokio::test]
async fn a_purse_pays_no_more_than_there_is_and_a_refusal_takes_nothing() {
    let world = World::new(2).await;
    let few = Refusal::NotEnoughPoints { points: 250 };
    // A sale of more than the member has is cheaper to refuse than to keep.
    let rich = world.open.sale.buy_with(
        OPEN,
        Click { seat: world.seat().await, ..click(0, Diamond, 3) },
        world.engine.book().purses(),
        260,
        None,
    );
    assert_eq!(rich, Ok(Err(Refusal::SoldOut { left: engine::rules::units::Units(2) })));
    let three = Click { seat: world.seat().await, ..click(0, Diamond, 2) };
    let purses = world.engine.book().purses();
    assert!(world.open.sale.buy_with(OPEN, three, purses, 181, None).is_err(), "180 are the price");
    world.click(100, Some("none"), None).await.unwrap_err();
    assert_eq!(world.click(10, Some("none"), None).await, Err(Refusal::CouponNotValid));
    assert_eq!(world.free().await, Some(250));
    world
        .take(Event::Adjust { id: Source("less".into()), account: Account::Points, amount: -200 })
        .await;
    assert_eq!(world.click(51, None, None).await, Err(Refusal::NotEnoughPoints { points: 50 }));
    assert_ne!(world.click(50, None, None).await, Err(few));
}

#[tokio::test]
async fn a_member_whom_the_book_was_not_asked_about_is_judged_by_the_confirmer() {
    let world = World::new(9).await;
    let seat = world.engine.roster().seat("ann").unwrap();
    let purses = world.engine.book().purses();
    let buy = |points| {
        let click = Click { seat, ..click(0, Diamond, 2) };
        world.open.sale.buy_with(OPEN, click, purses, points, None).unwrap()
    };
    assert_eq!(purses.free(seat), None);
    let (first, second) = (buy(170).unwrap(), buy(81).unwrap());
    world.open.wake();
    let settled = async |accepted: Accepted| {
        world.open.settled(accepted.number, Duration::from_secs(60)).await.unwrap().status
    };
    assert_eq!(settled(first).await, Status::Confirmed);
    assert_eq!(settled(second).await, Status::Released);
    assert_eq!(world.open.why(second.number), Some(Why::NotEnoughPoints));
    let stored = world.store.reading.order(&id(), second.number).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.why), (Status::Released, Some(Why::NotEnoughPoints)));
    assert_eq!(world.open.sale.stock().level().left().0, 7, "its units are on sale again");
    world.fed().await;
    assert_eq!((world.has().await.1, world.free().await), (170, Some(80)));
}

#[tokio::test]
async fn what_the_book_does_not_have_any_more_releases_the_order_and_says_why() {
    let world = World::new(9).await;
    let seat = world.seat().await;
    // Another process spends, and this one does not know.
    let (store, roster) = (Arc::clone(&world.store.book), Arc::new(Roster::new()));
    let other = Book::open(store, world.clock.clone(), roster).await.unwrap();
    let less = |id: &str, amount| Ask {
        who: Who::Named(member("ann")),
        event: Event::Adjust { id: Source(id.into()), account: Account::Points, amount },
        at: OPEN,
    };
    other.take(less("less", -200)).await.unwrap().unwrap();
    let click = Click { seat, ..click(0, Regular, 1) };
    let purses = world.engine.book().purses();
    let accepted = world.open.sale.buy_with(OPEN, click, purses, 100, None).unwrap().unwrap();
    world.open.wake();
    let order = world.open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
    assert_eq!(order.status, Status::Released);
    assert_eq!(world.open.why(order.number), Some(Why::NotEnoughPoints));
    world.fed().await;
    let (balance, held, _) = world.has().await;
    assert_eq!((balance, held), (50, 0));
}

#[tokio::test]
async fn a_key_stands_for_its_points_and_its_coupon_also_after_a_restart() {
    let world = World::new(9).await;
    let first = world.click(40, Some("c"), Some(7)).await.unwrap();
    world.open.wake();
    world.open.settled(first.number, Duration::from_secs(60)).await.unwrap();
    let same = Ok(Accepted { number: first.number, is_new: false });
    assert_eq!(world.click(40, Some("c"), Some(7)).await, same);
    assert_eq!(world.click(41, Some("c"), Some(7)).await, Err(Refusal::IdempotencyConflict));
    assert_eq!(world.click(40, None, Some(7)).await, Err(Refusal::IdempotencyConflict));
    let World { store, clock, .. } = world;
    let engine = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
    let open = engine.sale("drop").unwrap();
    let world = World { engine, open, clock, store };
    assert_eq!(world.click(40, Some("c"), Some(7)).await, same);
    assert_eq!(world.click(39, Some("c"), Some(7)).await, Err(Refusal::IdempotencyConflict));
    assert_eq!(world.has().await.1, 40, "it was kept once");
}

#[tokio::test]
async fn what_was_kept_for_an_order_that_a_crash_took_goes_back_when_its_time_is_over() {
    let world = World::new(9).await;
    // As a process that dies between the hold and the commit.
    let hold = Event::Hold {
        order: Source("drop.1.1".into()),
        with: membership::event::Tender { points: 100, coupon: Some(Source("c".into())) },
        until: Millis(OPEN.0 + 1_000),
    };
    world.take(hold).await;
    let (balance, held, coupon) = world.has().await;
    assert_eq!((balance, held), (150, 100));
    assert!(matches!(coupon, CouponState::Held(_)));
    world.clock.set(Millis(OPEN.0 + 1_000));
    world.engine.book().sweep(Bucket::of("ann")).await.unwrap();
    assert_eq!(world.has().await, (250, 0, CouponState::Free));
    assert_eq!(world.free().await, Some(250));
}

#[tokio::test]
async fn a_tiers_own_price_counts_and_is_kept_on_the_order() {
    let world = World::new(9).await;
    let seat = world.seat().await;
    let accepted = world.open.sale.buy(OPEN, Click { seat, ..click(0, Diamond, 2) }).unwrap();
    world.open.wake();
    world.open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
    let stored = world.store.reading.order(&id(), accepted.number).await.unwrap().unwrap();
    let money = &stored.money;
    assert_eq!((money.price, money.kind, money.due), (Cents(90), PriceKind::Tier, Cents(180)));
}

#[tokio::test]
async fn orders_paid_with_money_do_not_wait_for_a_book_that_is_away() {
    let clock = Clock::by_hand(OPEN);
    let inner = Store::from(MemoryStore::default());
    inner.opening.create(&lamps(9)).await.unwrap();
    let book = Arc::new(Shaky::over(Arc::clone(&inner.book), fastrand::Rng::with_seed(0)));
    book.fail(Fails::None);
    let shaky = Arc::clone(&book) as Arc<dyn BookStore>;
    let store = FaultyStore::over(Store { book: shaky, ..inner }, &clock);
    let mut world = SupportWorld::open(&store, &clock).await;
    world.book.enrol(&member("ann"), None).await.unwrap();
    let adjust = Event::Adjust { id: Source("a".into()), account: Account::Points, amount: 250 };
    let ask = Ask { who: Who::Named(member("ann")), event: adjust, at: OPEN };
    world.book.take(ask).await.unwrap().unwrap();
    book.fail(Fails::All);
    let (ann, bob) = (world.roster.seat("ann").unwrap(), world.roster.seat("bob").unwrap());
    let mixed = Click { seat: ann, ..click(0, Regular, 1) };
    world.open.sale.buy_with(OPEN, mixed, world.book.purses(), 40, None).unwrap().unwrap();
    world.open.sale.buy(OPEN, Click { seat: bob, ..click(0, Regular, 1) }).unwrap();
    for _ in 0..20 {
        world.confirmer.make_progress().await;
    }
    let status = |number| world.open.sale.board().read(number).unwrap().status;
    assert_eq!([status(1), status(2)], [Status::Reserved, Status::Confirmed]);
    assert!(!world.open.sale.stock().level().is_halted());
    book.fail(Fails::None);
    for _ in 0..20 {
        world.confirmer.make_progress().await;
    }
    let status = |number| world.open.sale.board().read(number).unwrap().status;
    assert_eq!(status(1), Status::Confirmed);
}

#[tokio::test]
async fn while_the_book_is_away_its_last_word_counts_for_a_second_and_a_stranger_has_none() {
    let clock = Clock::by_hand(OPEN);
    let inner = Store::from(MemoryStore::default());
    inner.opening.create(&lamps(9)).await.unwrap();
    let shaky = Arc::new(Shaky::over(Arc::clone(&inner.book), fastrand::Rng::with_seed(0)));
    shaky.fail(Fails::None);
    let book = Arc::clone(&shaky) as Arc<dyn BookStore>;
    let world =
        SupportWorld::open(&FaultyStore::over(Store { book, ..inner }, &clock), &clock).await;
    let book = &world.book;
    book.enrol(&member("ann"), None).await.unwrap();
    let seat = |name: &str| (world.roster.seat(name).unwrap(), member(name));
    let (ann, bob) = (seat("ann"), seat("bob"));
    let growth = Event::Adjust { id: Source("g".into()), account: Account::Growth, amount: 5_000 };
    let ask = Ask { who: Who::Named(member("ann")), event: growth, at: OPEN };
    book.take(ask).await.unwrap().unwrap();
    book.look_up(vec![ann.clone()]).await.unwrap();
    // A tier is kept for a year.
    let mut now = OPEN + Duration::from_secs(3 * 366 * 86_400);
    clock.set(now);
    shaky.fail(Fails::All);
    for _ in 0..2 {
        assert!(!book.is_seated(ann.0, now), "it is asked again");
        book.look_up_or_trust(vec![ann.clone()], true).await.unwrap();
        assert!(book.is_seated(ann.0, now));
        assert_eq!(book.tier(ann.0), Some(Gold));
        now = now + Duration::from_secs(1);
        clock.set(now);
    }
    book.look_up_or_trust(vec![bob.clone()], true).await.unwrap_err();
    // Where the token alone says the tier, nothing has to be known.
    book.look_up_or_trust(vec![bob.clone()], false).await.unwrap();
    assert_eq!(book.tier(bob.0), None);
}
