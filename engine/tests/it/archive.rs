//! A sale that is over leaves memory, and everything that is asked of it later is still answered.

use crate::contract;
use crate::redis_server::RedisServer;
use crate::support::{CALM, OPEN, click, id, member, refund, terms, windows_until};
use engine::clock::Clock;
use engine::members::audit;
use engine::rules::key::IdempotencyKey;
use engine::rules::order::Status::{self, Paid, RefundDue, Refunded, Returned};
use engine::rules::order::{OrderId, Step};
use engine::rules::refusal::Refusal;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{MemoryStore, RedisOptions, RedisStore, Store};
use engine::{Cursor, Engine, Found, NoSale, NotDeleted, NotWaiting, OpenSale, Told};
use membership::Tier::Diamond;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const CLOSES: u64 = 500_000;

struct World {
    engine: Engine,
    clock: Clock,
    store: Store,
}

fn key(n: u64) -> IdempotencyKey {
    IdempotencyKey(NonZeroU64::new(n).unwrap())
}

impl World {
    async fn over(store: Store) -> Self {
        let clock = Clock::by_hand(OPEN);
        let engine = Engine::start(store.clone(), clock.clone(), CALM).await.unwrap();
        let windows = windows_until(CLOSES);
        engine.create(&Terms { windows, ..terms(10) }).await.unwrap();
        Self { engine, clock, store }
    }

    async fn memory() -> Self {
        Self::over(MemoryStore::default().into()).await
    }

    async fn sale(&self) -> Arc<OpenSale> {
        self.engine.any_sale("drop").await.unwrap()
    }

    async fn buy(&self, name: &str, nth_key: u64) -> OrderId {
        let (open, seat) = (self.sale().await, self.engine.roster().seat(name).unwrap());
        let click = Click { seat, key: Some(key(nth_key)), ..click(0, Diamond, 1) };
        let accepted = open.sale.buy(self.engine.now(), click).unwrap();
        open.wake();
        open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
        OrderId { sale: id(), epoch: open.sale.epoch(), number: accepted.number }
    }

    async fn step(&self, order: &OrderId, step: Step) -> Status {
        let open = self.sale().await;
        self.engine.step(&open, order, step).await.unwrap().unwrap().status()
    }

    async fn refund(&self, order: &OrderId, name: &str) -> Status {
        let open = self.sale().await;
        let all = refund(name, 19_900);
        self.engine.refund(&open, order, all).await.unwrap().unwrap().status()
    }

    async fn fed(&self) {
        while self.engine.feed_book().await.unwrap() {}
    }

    /// Lets the sale close, and everything about it be settled for an hour.
    async fn pass(&self) {
        let later = self.engine.now().0.max(CLOSES) + 1;
        self.clock.set(Millis(later));
        for _ in 0..2 {
            self.fed().await;
            let open = self.sale().await;
            open.wake();
            while !open.is_archived() && !open.sale.stock().level().is_closed() {
                tokio::task::yield_now().await;
            }
            self.engine.archive_due(HOUR).await.unwrap();
            self.clock.set(self.clock.now() + HOUR);
        }
    }

    fn is_archived(&self) -> bool {
        self.engine.sale("drop").err() == Some(NoSale::Unknown)
    }
}

async fn a_sale_that_is_over_goes_and_is_still_asked(store: Store) {
    let world = World::over(store).await;
    let (anns, bobs) = (world.buy("ann", 1).await, world.buy("bob", 2).await);
    world.step(&anns, Step::Pay).await;
    world.clock.set(Millis(CLOSES + 1));
    let unpaid = world.sale().await;
    world.engine.archive(&unpaid).await.unwrap();
    drop(unpaid);
    assert!(!world.is_archived(), "bob may still pay");
    world.step(&bobs, Step::Pay).await;
    let in_memory = Arc::downgrade(&world.engine.sale("drop").unwrap());
    world.pass().await;
    assert!(world.is_archived());
    assert!(in_memory.upgrade().is_none(), "nothing of it is in memory");
    let open = world.sale().await;
    assert!(open.is_archived() && Arc::ptr_eq(&open, &world.sale().await), "read once");
    assert_eq!((open.sale.stock().level().left(), open.is_settled()), (Units(8), true));
    // The keys of clicks stand for their orders, in what the sale is for their member.
    let seat = world.engine.roster().seat("ann").unwrap();
    let for_ann = world.engine.any_sale_of("drop", seat).await.unwrap();
    assert_eq!((for_ann.sale.held(seat), for_ann.is_archived()), (Units(1), true));
    let again = Click { seat, key: Some(key(1)), ..click(0, Diamond, 1) };
    let accepted = for_ann.sale.buy(world.engine.now(), again).unwrap();
    assert_eq!((accepted.number, accepted.is_new), (anns.number, false));
    let other = Click { seat, ..click(0, Diamond, 1) };
    assert_eq!(open.sale.buy(world.engine.now(), other), Err(Refusal::Closed));
    let waits = world.engine.join(&open, other).await;
    assert_eq!(waits, Err(NotWaiting::Refused(Refusal::Closed)));
    world.engine.leave_waitlist(&open, seat).await.unwrap();
    let found = world.engine.order_numbered(&open, anns.number).await.unwrap().unwrap();
    assert_eq!(found.status(), Paid);
    let found = world.engine.order(&open, &anns).await.unwrap().unwrap();
    assert_eq!(found.status(), Paid);
    let of_ann = world.engine.orders_of(&open, seat, u64::MAX, 9).await.unwrap();
    assert_eq!(of_ann.iter().map(Found::number).collect::<Vec<_>>(), [anns.number]);
    assert_eq!(world.engine.orders_after(&open, 0, 9).await.unwrap().len(), 2);
    assert_eq!(world.step(&anns, Step::Cancel).await, Paid);
    assert_eq!(world.step(&anns, Step::Pay).await, Paid);
    assert!(world.is_archived(), "nothing became of the order");
    assert_eq!(world.engine.sale_to_change("drop").await.err(), Some(NoSale::Archived));
    // A payment by its other name, and a restart that opens nothing.
    let name = engine::rules::payment_ref::payment_ref(open.sale_number, anns.epoch, anns.number);
    assert_eq!(world.engine.order_named(&name).await.unwrap().1, anns);
    world.engine.drain(Duration::from_secs(9)).await;
    let engine = Engine::start(world.store, world.clock, CALM).await.unwrap();
    assert!(engine.sales().is_empty() && engine.not_opened().is_empty());
    assert!(engine.any_sale("drop").await.unwrap().is_archived());
    assert_eq!(engine.any_sale("no-drop").await.err(), Some(NoSale::Unknown));
}

#[tokio::test]
async fn a_sale_that_is_over_goes_and_is_still_asked_in_memory() {
    a_sale_that_is_over_goes_and_is_still_asked(MemoryStore::default().into()).await;
}

#[tokio::test]
async fn a_sale_that_is_over_goes_and_is_still_asked_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    a_sale_that_is_over_goes_and_is_still_asked(contract::journal(folder.path()).await).await;
}

#[tokio::test]
async fn a_sale_that_is_over_goes_and_is_still_asked_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path());
    a_sale_that_is_over_goes_and_is_still_asked(contract::redis(&server).await).await;
}

async fn late_money_takes_a_sale_out_and_is_told_once(store: Store) {
    let world = World::over(store).await;
    let book = world.engine.book();
    book.enrol(&member("ann"), None).await.unwrap();
    let (paid, late) = (world.buy("ann", 1).await, world.buy("bob", 2).await);
    world.step(&paid, Step::Pay).await;
    world.step(&late, Step::Cancel).await;
    world.pass().await;
    assert!(world.is_archived());
    // Paid after all: no unit comes back or goes, and the money is to go back.
    assert_eq!(world.step(&late, Step::Pay).await, RefundDue);
    assert!(!world.is_archived());
    assert_eq!(world.sale().await.sale.stock().level().left(), Units(9));
    world.pass().await;
    assert!(!world.is_archived(), "money is to go back");
    assert_eq!(world.refund(&late, "r1").await, Refunded);
    world.pass().await;
    assert!(world.is_archived());
    assert_eq!(world.refund(&paid, "r2").await, Returned);
    world.pass().await;
    assert!(world.is_archived());
    assert_eq!(world.sale().await.sale.stock().level().left(), Units(9));
    // A reader who comes now hears of everything once, in order.
    let (mut cursor, mut seqs) = (Cursor::default(), Vec::new());
    loop {
        let (told, next) = world.engine.outbox(&cursor, 3).await.unwrap();
        cursor = next;
        if told.is_empty() {
            break;
        }
        for told in told {
            let Told::Change(open, entry) = told else { continue };
            assert_eq!(open.sale.terms().id, id());
            seqs.push(entry.seq);
        }
    }
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(seqs.len(), 7, "two confirmed, paid, cancelled, due back, refunded, returned");
    // The book took the growth back that the returned order had brought.
    let (_, account) =
        book.account(engine::store::Who::Named(member("ann"))).await.unwrap().unwrap();
    assert_eq!((account.growth.balance(world.engine.now()), account.pending), (0, 0));
    let audit = audit(&*world.store.book).await.unwrap();
    assert!(audit.postings > 0 && audit.differences.is_empty(), "{audit:?}");
    assert!(world.store.reading.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn late_money_takes_a_sale_out_of_memorys_archive() {
    late_money_takes_a_sale_out_and_is_told_once(MemoryStore::default().into()).await;
}

#[tokio::test]
async fn late_money_takes_a_sale_out_of_the_journals_archive() {
    let folder = tempfile::tempdir().unwrap();
    late_money_takes_a_sale_out_and_is_told_once(contract::journal(folder.path()).await).await;
}

#[tokio::test]
async fn late_money_takes_a_sale_out_of_redis_archive() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path());
    // Entries are trimmed by the wall's clock, and this one is set by hand.
    let for_ever = Duration::from_secs(1 << 36);
    let options = RedisOptions { outbox_keep: for_ever, ..RedisOptions::new(server.url()) };
    let (store, _) = RedisStore::connect(&options).await.unwrap();
    late_money_takes_a_sale_out_and_is_told_once(store.into()).await;
}

#[tokio::test]
async fn an_erased_member_is_named_in_no_archived_sale() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(contract::journal(folder.path()).await).await;
    let order = world.buy("ann", 1).await;
    world.step(&order, Step::Pay).await;
    world.pass().await;
    // Another process that has never seen them erases them.
    world.engine.drain(Duration::from_secs(9)).await;
    let engine = Engine::start(world.store.clone(), world.clock.clone(), CALM).await.unwrap();
    engine.erase(&member("ann"), &member("erased:1")).await.unwrap();
    engine.erased(&member("ann")).await.unwrap();
    assert_eq!(engine.sale("drop").err(), Some(NoSale::Unknown), "archived again");
    let archiving = &world.store.archiving;
    assert_eq!(archiving.archived_of(&member("ann")).await.unwrap(), []);
    assert_eq!(archiving.archived_of(&member("erased:1")).await.unwrap(), [id()]);
    let record = world.store.reading.order(&id(), order.number).await.unwrap().unwrap();
    assert_eq!((record.member, record.status), (member("erased:1"), Paid));
}

#[tokio::test]
async fn who_is_erased_from_a_sale_that_money_took_out_is_erased_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(contract::journal(folder.path()).await).await;
    let order = world.buy("ann", 1).await;
    world.step(&order, Step::Cancel).await;
    world.pass().await;
    assert!(world.is_archived());
    assert_eq!(world.step(&order, Step::Pay).await, RefundDue);
    world.engine.erase(&member("ann"), &member("erased:1")).await.unwrap();
    world.engine.erased(&member("ann")).await.unwrap();
    assert!(!world.is_archived(), "money is to go back");
    world.engine.drain(Duration::from_secs(9)).await;
    drop(world);
    let store = contract::journal(folder.path()).await;
    let record = store.reading.order(&id(), order.number).await.unwrap().unwrap();
    assert_eq!((record.member, record.status), (member("erased:1"), RefundDue));
    assert!(store.reading.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn only_an_archived_sale_or_one_that_never_opened_is_deleted() {
    let world = World::memory().await;
    let order = world.buy("ann", 1).await;
    assert_eq!(world.engine.delete(&id()).await, Err(NotDeleted::NotArchived));
    world.step(&order, Step::Pay).await;
    world.pass().await;
    world.engine.delete(&id()).await.unwrap();
    assert_eq!(world.engine.any_sale("drop").await.err(), Some(NoSale::Unknown));
    let closes_at = world.engine.now().0 + 1_000_000;
    let later = Terms { windows: windows_until(closes_at), ..terms(10) };
    assert!(world.engine.create(&later).await.is_err(), "its id stays taken");
}

#[tokio::test]
async fn what_the_book_has_not_taken_in_yet_it_takes_in_before_the_sale_is_archived() {
    let world = World::memory().await;
    world.engine.book().enrol(&member("ann"), None).await.unwrap();
    let order = world.buy("ann", 1).await;
    world.step(&order, Step::Pay).await;
    world.clock.set(Millis(CLOSES + 1));
    let open = world.sale().await;
    open.wake();
    while !open.is_settled() {
        tokio::task::yield_now().await;
    }
    assert!(world.engine.book_behind().await.unwrap() > 0);
    world.engine.archive(&open).await.unwrap();
    assert!(world.is_archived());
    let who = engine::store::Who::Named(member("ann"));
    let (_, account) = world.engine.book().account(who).await.unwrap().unwrap();
    assert!(account.growth.balance(world.engine.now()) > 0, "the order counts");
}
