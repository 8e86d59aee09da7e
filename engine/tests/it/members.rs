//! The members' book in a running engine: orders reach it through the outbox and count once.

use crate::contract;
use crate::redis_server::RedisServer;
use crate::support::{CALM, OPEN, click, id, member, refund, terms, windows_until};
use engine::clock::Clock;
use engine::members::{Ask, NotEnrolled, NotPlan, NotTaken, audit};
use engine::rules::order::{OrderId, Step};
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::sale::Click;
use engine::store::{Bucket, BucketChange, BucketHead, Made, MemoryStore, Store, Wanted, Who};
use engine::{Engine, OpenSale};
use membership::event::{Act, Event, MemberNumber, Refused};
use membership::posting::{Account, Kind, Posting, Source};
use membership::referral_code::ReferralCode;
use membership::{MemberId, Tier::Diamond};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct World {
    pub(crate) engine: Engine,
    open: Arc<OpenSale>,
    pub(crate) clock: Clock,
}

pub(crate) async fn world(store: Store) -> World {
    let clock = Clock::by_hand(OPEN);
    let engine = Engine::start(store, clock.clone(), CALM).await.unwrap();
    let terms = Terms { windows: windows_until(1_000_000_000), ..terms(100) };
    let open = engine.create(&terms).await.unwrap();
    World { engine, open, clock }
}

impl World {
    pub(crate) async fn new() -> Self {
        world(MemoryStore::default().into()).await
    }

    pub(crate) async fn enrol(&self, name: &str, by: Option<MemberNumber>) -> MemberNumber {
        let code = by.map(ReferralCode::of);
        self.engine.book().enrol(&member(name), code).await.unwrap().number
    }

    pub(crate) async fn buy(&self, name: &str) -> OrderId {
        let seat = self.engine.roster().seat(name).unwrap();
        let click = Click { seat, ..click(0, Diamond, 1) };
        let accepted = self.open.sale.buy(self.engine.now(), click).unwrap();
        self.open.wake();
        self.open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
        OrderId { sale: id(), epoch: self.open.sale.epoch(), number: accepted.number }
    }

    pub(crate) async fn step(&self, order: &OrderId, step: Step) {
        self.engine.step(&self.open, order, step).await.unwrap().unwrap();
    }

    pub(crate) async fn fed(&self) {
        while self.engine.feed_book().await.unwrap() {}
    }

    /// Growth, points and pending points.
    pub(crate) async fn balances(&self, name: &str) -> (i64, i64, u64) {
        let (_, account) = self.account(name).await;
        let now = self.engine.now();
        (account.growth.balance(now), account.points.balance(now), account.pending)
    }

    pub(crate) async fn account(
        &self,
        name: &str,
    ) -> (MemberNumber, membership::account::Membership) {
        let found = self.engine.book().account(Who::Named(member(name))).await.unwrap();
        found.expect("the member is enrolled")
    }

    /// Every balance is the sum of its postings, and all postings and the issuer's side are 0.
    pub(crate) async fn adds_up(&self, store: &Store) {
        let audit = audit(&*store.book).await.unwrap();
        assert!(audit.postings > 0 && audit.differences.is_empty(), "{audit:?}");
    }
}

fn price() -> i64 {
    i64::try_from(terms(1).price.0 / 100).unwrap()
}

#[tokio::test]
async fn orders_count_when_they_are_paid_and_once_however_often_they_are_told() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    world.enrol("ann", None).await;
    let order = world.buy("ann").await;
    let nobodys = world.buy("bob").await;
    world.fed().await;
    assert_eq!(world.balances("ann").await, (0, 0, price().unsigned_abs()));
    for order in [&order, &nobodys] {
        world.step(order, Step::Pay).await;
    }
    world.fed().await;
    assert_eq!(world.balances("ann").await, (price(), price(), 0));
    // Who is not enrolled has no account.
    assert_eq!(world.engine.book().account(Who::Named(member("bob"))).await.unwrap(), None);
    // As after a lost history: the book was told of more than there is, and everything is told again.
    drop(world);
    store.book.take_in(1, 99).await.unwrap();
    let again = again(&store).await;
    again.fed().await;
    assert_eq!(again.balances("ann").await, (price(), price(), 0));
    again.adds_up(&store).await;
}

#[tokio::test]
async fn a_book_that_was_told_too_much_takes_in_what_there_is_and_what_comes() {
    let store = Store::from(MemoryStore::default());
    let first = world(store.clone()).await;
    first.enrol("ann", None).await;
    first.buy("ann").await;
    // The answer came from a store that has lost what was posted.
    store.book.take_in(1, 99).await.unwrap();
    drop(first);
    let world = again(&store).await;
    let pending = price().unsigned_abs();
    for orders in 1..=3 {
        world.fed().await;
        assert_eq!(world.balances("ann").await, (0, 0, orders * pending));
        assert_eq!(world.engine.book_behind().await.unwrap(), 0);
        world.buy("ann").await;
        assert_eq!(world.engine.book_behind().await.unwrap(), 1);
    }
}

/// Another process with this store.
pub(crate) async fn again(store: &Store) -> World {
    let clock = Clock::by_hand(OPEN);
    let engine = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
    let open = engine.sale("drop").unwrap();
    World { engine, open, clock }
}

#[tokio::test]
async fn what_goes_back_takes_its_part_back_and_what_ends_ends_what_was_pending() {
    let world = World::new().await;
    world.enrol("ann", None).await;
    let (paid, cancelled) = (world.buy("ann").await, world.buy("ann").await);
    world.step(&paid, Step::Pay).await;
    world.step(&cancelled, Step::Cancel).await;
    let due = terms(1).price.0;
    for (refund_id, amount) in [("a", due / 2), ("b", due - due / 2)] {
        let refunded = world.engine.refund(&world.open, &paid, refund(refund_id, amount)).await;
        refunded.unwrap();
        world.fed().await;
    }
    assert_eq!(world.balances("ann").await, (0, 0, 0));
    let kinds: Vec<_> = {
        let (number, _) = world.account("ann").await;
        let postings = world.engine.book().postings(number, u64::MAX, 100).await.unwrap();
        postings.iter().map(|posting| (posting.account, posting.kind)).collect()
    };
    let refunds = kinds.iter().filter(|(_, kind)| *kind == Kind::Refund).count();
    assert_eq!(refunds, 4, "growth and points, for each refund: {kinds:?}");
}

#[tokio::test]
async fn a_referral_pays_both_once_the_referee_has_bought() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let ann = world.enrol("ann", None).await;
    world.enrol("bob", Some(ann)).await;
    assert_eq!(world.balances("ann").await, (0, 0, 0));
    let order = world.buy("bob").await;
    world.step(&order, Step::Pay).await;
    world.fed().await;
    assert_eq!(world.balances("ann").await, (100, 150, 0));
    assert_eq!(world.balances("bob").await, (price(), price() + 50, 0));
    world.adds_up(&store).await;
}

#[tokio::test]
async fn enrolling_again_finds_the_member_and_another_code_is_refused() {
    let world = World::new().await;
    let book = world.engine.book();
    let ann = world.enrol("ann", None).await;
    let bob = world.enrol("bob", Some(ann)).await;
    let again = book.enrol(&member("bob"), Some(ReferralCode::of(ann))).await.unwrap();
    assert_eq!((again.number, again.is_new), (bob, false));
    for code in [None, Some(ReferralCode::of(bob))] {
        let refused = book.enrol(&member("bob"), code).await;
        assert_eq!(refused, Err(NotEnrolled::OtherCode));
    }
    let nobody = ReferralCode::of(MemberNumber(ann.0 + 1_000));
    let refused = book.enrol(&member("cyd"), Some(nobody)).await;
    assert_eq!(refused, Err(NotEnrolled::UnknownCode));
    assert_eq!(book.account(Who::Named(member("cyd"))).await.unwrap(), None);
}

pub(crate) async fn adjusted(world: &World, name: &str, points: i64) {
    let event = Event::Adjust {
        id: Source(format!("gift-{name}")),
        account: Account::Points,
        amount: points,
    };
    let ask = Ask { who: Who::Named(member(name)), event, at: world.engine.now() };
    world.engine.book().take(ask).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spends_at_once_do_not_both_take_the_last_points() {
    let world = World::new().await;
    world.enrol("ann", None).await;
    adjusted(&world, "ann", 1_000).await;
    let book = world.engine.book();
    let ann = member("ann");
    let redeem = |id: &'static str| book.redeem(&ann, id, "coupon-10");
    let both = tokio::join!(redeem("a"), redeem("b"));
    let taken = [both.0.unwrap(), both.1.unwrap()];
    let done = taken.iter().filter(|taken| taken.is_ok()).count();
    let refused = NotTaken::Refused(Refused::NotEnoughPoints { has: 0 });
    assert_eq!((done, taken.contains(&Err(refused))), (1, true), "{taken:?}");
    assert_eq!(world.balances("ann").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reward_of_which_there_is_one_is_had_once() {
    let world = World::new().await;
    let book = world.engine.book();
    let mut plan = book.plans.current().plan.clone();
    plan.rewards.get_mut("coupon-10").unwrap().stock = Some(1);
    book.plans.change(plan).await.unwrap();
    for name in ["ann", "bob"] {
        world.enrol(name, None).await;
        adjusted(&world, name, 1_000).await;
    }
    let (ann, bob) = (member("ann"), member("bob"));
    let both =
        tokio::join!(book.redeem(&ann, "x", "coupon-10"), book.redeem(&bob, "y", "coupon-10"));
    let taken = [both.0.unwrap(), both.1.unwrap()];
    assert!(taken.contains(&Err(NotTaken::Refused(Refused::RewardGone))), "{taken:?}");
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_plan_has_versions_and_postings_name_theirs() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let book = world.engine.book();
    assert_eq!(book.plans.current().version, 0);
    let mut plan = book.plans.current().plan.clone();
    plan.tiers.gold.growth = 1;
    assert!(matches!(book.plans.change(plan.clone()).await, Err(NotPlan::Wrong(_))));
    plan.tiers.gold.growth = 4_000;
    assert_eq!(book.plans.change(plan.clone()).await.unwrap().version, 1);
    assert_eq!(book.plans.change(plan.clone()).await.unwrap().version, 1, "it is the same");
    let ann = world.enrol("ann", None).await;
    adjusted(&world, "ann", 5).await;
    let postings = book.postings(ann, u64::MAX, 9).await.unwrap();
    assert_eq!(postings.iter().map(|posting| posting.plan).collect::<Vec<_>>(), [1]);
    let again = again(&store).await;
    assert_eq!(
        (again.engine.book().plans.current().version, &again.engine.book().plans.current().plan),
        (1, &plan)
    );
}

#[tokio::test]
async fn a_sweep_posts_what_has_expired_without_its_member() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let ann = world.enrol("ann", None).await;
    adjusted(&world, "ann", 5).await;
    let bucket = Bucket::of_number(ann).unwrap();
    assert_eq!(world.engine.book().sweep(bucket).await, Ok(0));
    world.clock.set(Millis(OPEN.0 + 14 * 31 * 86_400_000));
    assert_eq!(world.engine.book().sweep(bucket).await, Ok(1));
    assert_eq!(world.engine.book().sweep(bucket).await, Ok(0));
    world.adds_up(&store).await;
}

#[tokio::test]
async fn an_erased_member_is_a_number_in_the_book() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let ann = world.enrol("ann", None).await;
    let order = world.buy("ann").await;
    world.step(&order, Step::Pay).await;
    world.fed().await;
    world.engine.erase(&member("ann"), &member("erased:1")).await.unwrap();
    world.engine.erased(&member("ann")).await.unwrap();
    let book = world.engine.book();
    assert_eq!(book.account(Who::Named(member("ann"))).await.unwrap(), None);
    assert_eq!(store.book.name(ann).await, Ok(Some(member("erased:1"))));
    assert_eq!(
        book.account(Who::Numbered(ann)).await.unwrap().map(|(number, _)| number),
        Some(ann)
    );
    let again = book.enrol(&member("ann"), None).await.unwrap();
    assert!(again.is_new && again.number != ann);
    world.adds_up(&store).await;
}

#[tokio::test]
async fn who_comes_back_while_being_erased_has_a_second_account_with_another_pseudonym() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let first = world.enrol("ann", None).await;
    adjusted(&world, "ann", 5).await;
    // A pseudonym is of its member's bucket, where their orders are told.
    let is_near = |name: &MemberId| Bucket::of(name.as_str()) == Bucket::of("ann");
    let pseudonym = (0..).map(|n| member(&format!("erased:{n}"))).find(is_near).unwrap();
    world.engine.erase(&member("ann"), &pseudonym).await.unwrap();
    // The process ends before it is told that this is done; the platform enrols them, and asks again.
    let second = world.enrol("ann", None).await;
    world.engine.erase(&member("ann"), &member("erased:other")).await.unwrap();
    world.engine.erased(&member("ann")).await.unwrap();
    assert_eq!(store.book.name(first).await, Ok(Some(pseudonym)), "as their orders tell");
    assert_eq!(store.book.name(second).await, Ok(Some(member("erased:other"))));
    world.adds_up(&store).await;
}

/// Many members at once, events told twice and in batches, on each store.
async fn many(store: Store) {
    let world = world(store.clone()).await;
    let book = world.engine.book();
    let names: Vec<_> = (0..40).map(|n| format!("viewer-{n}")).collect();
    let first = world.enrol(&names[0], None).await;
    for name in &names[1..] {
        world.enrol(name, Some(first)).await;
    }
    let act = |name: &str, n: u32| Ask {
        who: Who::Named(member(name)),
        event: Event::Act { id: Source(format!("{name}-{n}")), act: Act::Watch(600) },
        at: world.engine.now(),
    };
    let asks: Vec<_> = (0..4).flat_map(|n| names.iter().map(move |name| (name, n))).collect();
    let asks: Vec<_> = asks.into_iter().map(|(name, n)| act(name, n)).collect();
    for _ in 0..2 {
        let taken = book.take_all(asks.clone()).await.unwrap();
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    }
    for name in &names {
        assert_eq!(world.balances(name).await, (4, 4, 0), "{name}");
    }
    world.adds_up(&store).await;
    world.engine.drain(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn many_members_are_posted_at_once_in_memory() {
    many(MemoryStore::default().into()).await;
}

#[tokio::test]
async fn many_members_are_posted_at_once_in_the_journal_and_found_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = contract::journal(folder.path()).await;
    many(store.clone()).await;
    drop(store);
    let store = contract::journal(folder.path()).await;
    let world = again(&store).await;
    assert_eq!(world.balances("viewer-7").await, (4, 4, 0));
    world.adds_up(&store).await;
}

#[tokio::test]
async fn many_members_are_posted_at_once_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path());
    many(contract::redis(&server).await).await;
}

#[tokio::test]
async fn the_audit_names_what_does_not_fit() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    let ann = world.enrol("ann", None).await;
    adjusted(&world, "ann", 100).await;
    world.adds_up(&store).await;
    let bucket = Bucket::of_number(ann).unwrap();
    let wanted = [Wanted { who: Who::Numbered(ann), keys: vec![] }];
    let found = store.book.read_members(bucket, &wanted).await.unwrap();
    let mut account = found.members[0].as_ref().unwrap().account.clone();
    let posting = store.book.postings(ann, u64::MAX, 1).await.unwrap().pop().unwrap();
    // The same line once more, and a balance that nothing was posted for.
    account.pending = 7;
    account.postings = 2;
    let head = BucketHead { version: found.head.version + 1, change: 1, ..found.head };
    let change = BucketChange {
        accounts: vec![(0, account)],
        postings: vec![(0, Posting { number: 2, ..posting })],
        ..BucketChange::of(bucket, head)
    };
    assert_eq!(store.book.post(&change).await, Ok(Made::Posted));
    let audit = audit(&*store.book).await.unwrap();
    for named in [
        "adjustment from gift-ann counts twice",
        "pending is 7",
        "points is 100, its postings come to 200",
        "issuer's side come to 100",
    ] {
        assert!(audit.differences.iter().any(|told| told.contains(named)), "{named}: {audit:?}");
    }
}
