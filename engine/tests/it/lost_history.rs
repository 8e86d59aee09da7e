//! What a running engine does when Redis has lost history, or when another process has taken over.

use crate::redis::{connect, started};
use crate::redis_server::RedisServer;
use crate::support::{CALM, Fault, FaultyStore, OPEN, click, id, member, patient, terms, waiting};
use engine::clock::Clock;
use engine::rules::order::Status::{self, Confirmed};
use engine::rules::order::{OrderId, Step};
use engine::rules::refusal::Refusal;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{Change, Store, StoreError, Switch};
use engine::{Engine, Found, Settings};
use membership::Tier::{Diamond, Gold};
use std::sync::Arc;
use std::time::Duration;

/// An engine on this Redis with one sale. The test makes every click itself.
pub(crate) struct Selling {
    pub(crate) engine: Engine,
    pub(crate) open: Arc<engine::OpenSale>,
    clicks: u64,
}

impl Selling {
    pub(crate) async fn start(server: &RedisServer, stock: u32, settings: Settings) -> Self {
        let store = connect(server).await;
        let engine = Engine::start(store, Clock::by_hand(OPEN), settings).await.unwrap();
        let open = engine.create(&terms(stock)).await.unwrap();
        Self { engine, open, clicks: 0 }
    }

    /// As `start`, over a store whose commits fail as the test wants.
    async fn faulty(server: &RedisServer, stock: u32) -> (Self, Arc<FaultyStore>) {
        let clock = Clock::by_hand(OPEN);
        let faulty = FaultyStore::over(connect(server).await, &clock);
        let selling = Arc::clone(&faulty) as Arc<dyn engine::store::Selling>;
        let store = Store { selling, ..faulty.inner.clone() };
        let engine = Engine::start(store, clock, CALM).await.unwrap();
        let open = engine.create(&terms(stock)).await.unwrap();
        (Self { engine, open, clicks: 0 }, faulty)
    }

    /// As `faulty`, with one order confirmed and two switches made. From now on no reply comes: the
    /// store does the first write, and none after it.
    async fn switched_and_unheard(server: &RedisServer) -> (Self, Arc<FaultyStore>) {
        let (mut world, store) = Self::faulty(server, 10).await;
        world.confirmed().await;
        for switch in [Switch::Pause, Switch::Resume] {
            world.engine.switch(&world.open, switch).await.unwrap();
        }
        store.fail([Fault::LostAfter].into_iter().chain([Fault::LostBefore; 1_000]));
        (world, store)
    }

    /// Redis forgets the switches, the store is heard again, and the sale halts.
    async fn loses_its_switches(&mut self, server: &RedisServer, store: &FaultyStore) {
        server.must("HSET flashlane:{drop}:sale turns 0");
        store.fail_no_more();
        self.halted().await;
    }

    /// Three clicks that come to the store in one batch.
    fn three_clicks(&self) {
        for n in 0..3 {
            let seat = self.engine.roster().seat(&format!("together-{n}")).unwrap();
            self.open.sale.buy(self.engine.now(), Click { seat, ..click(0, Diamond, 1) }).unwrap();
        }
        self.open.wake();
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        let numbers = self.open.sale.board().first_number()..self.open.sale.next_number();
        numbers.map(|number| self.open.sale.board().read(number).unwrap().status).collect()
    }

    /// Every order is confirmed, in memory and in the store, and everything adds up.
    async fn all_confirmed(&self, server: &RedisServer, orders: usize) {
        until(|| self.statuses() == vec![Confirmed; orders]).await;
        let audit = connect(server).await.reading.audit().await.unwrap();
        assert!(audit.is_clean(), "{audit:?}");
        assert_eq!(audit.sales[0].tallies.sum(Confirmed).orders, orders as u64);
    }

    pub(crate) fn click(&mut self) -> Result<u64, Refusal> {
        self.clicks += 1;
        let seat = self.engine.roster().seat(&format!("m{}", self.clicks)).unwrap();
        let key = std::num::NonZeroU64::new(self.clicks).map(engine::rules::key::IdempotencyKey);
        let click = Click { seat, key, ..click(0, Diamond, 1) };
        let number = self.open.sale.buy(self.engine.now(), click)?.number;
        self.open.wake();
        Ok(number)
    }

    pub(crate) async fn confirmed(&mut self) {
        let number = self.click().unwrap();
        let order = self.open.settled(number, Duration::from_secs(10)).await.unwrap();
        assert_eq!(order.status, Confirmed);
    }

    /// Pays the newest order.
    async fn paid(&self) {
        let (epoch, number) = (self.open.sale.epoch(), self.open.sale.next_number() - 1);
        let id = OrderId { sale: id(), epoch, number };
        let paid = self.engine.step(&self.open, &id, Step::Pay).await;
        let Ok(Some(Found::Here(order))) = paid else { panic!("{paid:?}") };
        assert_eq!(order.status, Status::Paid);
    }

    /// Starts another engine, which takes the sale over as another process would.
    async fn replaced(&self, server: &RedisServer) -> Self {
        let store = connect(server).await;
        let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
        let open = engine.sale("drop").unwrap();
        Self { engine, open, clicks: 100 + self.clicks }
    }

    pub(crate) async fn halted(&self) {
        until(|| self.open.sale.stock().level().is_halted()).await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes to pass");
}

const ROWS: [&str; 7] = ["sale", "orders", "holders", "members", "outbox", "top_ups", "waiting"];

/// Calls a function of the library on the sale's keys with these arguments, as a call that was held up on
/// its way looks: with what its caller had seen then.
pub(crate) fn call(server: &RedisServer, function: &str, args: &str) -> String {
    let functions = server.must("FUNCTION LIST");
    let name = functions.lines().find(|line| line.ends_with(&format!("_{function}"))).unwrap();
    let keys = ROWS.map(|rows| format!("flashlane:{{drop}}:{rows}")).join(" ");
    server.must(&format!("FCALL {name} {} {keys} {args}", ROWS.len()))
}

/// Copies a sale's keys to a backup, or back.
fn copy(server: &RedisServer, from: &str, to: &str) {
    for rows in ROWS {
        let (from, to) = (format!("{from}:{{drop}}:{rows}"), format!("{to}:{{drop}}:{rows}"));
        server.must(&format!("DEL {to}"));
        server.must(&format!("COPY {from} {to}"));
    }
}

#[tokio::test]
async fn a_lost_history_stops_the_sale_and_resuming_puts_the_orders_back() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 10, CALM).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    world.confirmed().await;
    world.confirmed().await;
    copy(&server, "backup", "flashlane");
    // The engine accepts this click before it can notice. The order waits until the sale goes on.
    let waiting = world.click().unwrap();
    world.halted().await;
    assert!(world.open.has_lost_history());
    assert_eq!(world.click(), Err(Refusal::Busy));
    assert_eq!(world.open.sale.board().read(waiting).unwrap().status, Status::Reserved);

    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    assert!(!world.open.has_lost_history());
    let order = world.open.settled(waiting, Duration::from_secs(10)).await.unwrap();
    assert_eq!(order.status, Confirmed);
    world.confirmed().await;
    let store = connect(&server).await;
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.sales[0].tallies.sum(Confirmed).orders, 5);
    let again = store.opening.open(&id()).await.unwrap();
    let keys: Vec<u64> = again.keyed.iter().map(|keyed| keyed.key.0.get()).collect();
    assert_eq!(keys.len(), 5, "the keys came back, too");
    // Nobody is enrolled: the book has nothing to take in, and says so.
    while world.engine.feed_book().await.unwrap() {}
    assert_eq!(world.engine.book_behind().await.unwrap(), 0);
    // A consumer that had read the outbox to its end misses nothing of what came after.
    let later = store.reading.outbox_after(&id(), 3, 10).await.unwrap();
    assert_eq!(later.len(), 4);
}

#[tokio::test]
async fn a_name_that_was_erased_does_not_come_back_with_an_older_history() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 10, CALM).await;
    world.confirmed().await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    world.confirmed().await;
    for (name, pseudonym) in [("m1", "erased:1"), ("m3", "erased:3")] {
        world.engine.erase(&member(name), &member(pseudonym)).await.unwrap();
        world.engine.erased(&member(name)).await.unwrap();
    }
    copy(&server, "backup", "flashlane");
    world.click().unwrap();
    world.halted().await;
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    world.all_confirmed(&server, 4).await;
    let store = connect(&server).await;
    let mut names = Vec::new();
    for number in 1..=3 {
        let record = store.reading.order(&id(), number).await.unwrap().unwrap();
        names.push(record.member.to_string());
    }
    assert_eq!(names, ["erased:1", "m2", "erased:3"]);
    assert!(!server.must("HGETALL flashlane:{drop}:holders").contains("m1 "));
}

#[tokio::test]
async fn a_history_that_was_lost_between_two_parts_of_a_batch_is_put_back() {
    let (_folder, server) = started(&[]);
    let (mut world, store) = Selling::faulty(&server, 10).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    store.fail([Fault::Part(1)].into_iter().chain([Fault::LostBefore; 1_000]));
    world.three_clicks();
    until(|| world.statuses()[1] == Confirmed).await;
    copy(&server, "backup", "flashlane");
    store.fail_no_more();
    world.halted().await;
    assert!(world.open.has_lost_history());
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    world.all_confirmed(&server, 4).await;
    world.confirmed().await;
}

#[tokio::test]
async fn a_store_that_has_only_the_first_part_of_a_batch_has_lost_nothing() {
    let (_folder, server) = started(&[]);
    let (mut world, store) = Selling::faulty(&server, 10).await;
    world.confirmed().await;
    // The second part came to the store that fails, and not to the one that takes its place.
    store.fail([Fault::Part(1), Fault::LostAfter].into_iter().chain([Fault::LostBefore; 1_000]));
    world.three_clicks();
    until(|| world.statuses()[1] == Confirmed).await;
    until(|| server.must("HLEN flashlane:{drop}:orders").ends_with(":4")).await;
    let seq = server.must("HGET flashlane:{drop}:sale seq");
    assert!(seq.ends_with('4'), "{seq}");
    store.fail_no_more();
    world.all_confirmed(&server, 4).await;
    assert!(!world.open.sale.stock().level().is_halted());
}

#[tokio::test]
async fn what_the_store_did_without_being_heard_is_no_knowledge_of_another_process() {
    let (_folder, server) = started(&[]);
    let (mut world, store) = Selling::switched_and_unheard(&server).await;
    world.three_clicks();
    until(|| server.must("HLEN flashlane:{drop}:orders").ends_with(":4")).await;
    // The switches are lost, and these orders are not.
    world.loses_its_switches(&server, &store).await;
    assert!(world.open.has_lost_history());
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    world.all_confirmed(&server, 4).await;
}

#[tokio::test]
async fn a_step_that_the_store_took_without_being_heard_is_learnt_of_at_the_resume() {
    let (_folder, server) = started(&[]);
    let (mut world, store) = Selling::switched_and_unheard(&server).await;
    let (epoch, number) = (world.open.sale.epoch(), 1);
    let pay = Change::Order { step: Step::Pay, epoch, number };
    drop(world.open.ask(pay, OPEN).unwrap());
    until(|| server.must("HGET flashlane:{drop}:orders 1").contains("paid")).await;
    world.loses_its_switches(&server, &store).await;
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    assert_eq!(world.statuses(), [Status::Paid]);
}

#[tokio::test]
async fn a_lost_history_with_nothing_to_put_back_is_over_with_one_resume() {
    for sold in [0, 1] {
        let (_folder, server) = started(&[]);
        let mut world = Selling::start(&server, 9, patient(Duration::from_millis(60))).await;
        for _ in 0..sold {
            world.confirmed().await;
        }
        let calls = || {
            let stats = server.must("INFO commandstats");
            let line = stats.lines().find(|line| line.starts_with("cmdstat_fcall:")).unwrap();
            line.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap()
        };
        for number in [7, 8] {
            copy(&server, "flashlane", "backup");
            // The engine sees how far the store has come, and never hears of this order.
            let order = format!("{number} zoe zoe-digest gold 1 0 100 '5000 - 100 list 0 -' -");
            let epoch = world.open.sale.epoch();
            call(&server, "commit", &format!("{epoch} {sold} 0 5001 905001 {order}"));
            let before = calls();
            until(|| calls() > before + 1).await;
            assert!(!world.open.sale.stock().level().is_halted());
            copy(&server, "backup", "flashlane");
            world.halted().await;
            assert!(world.open.has_lost_history());
            world.engine.switch(&world.open, Switch::Resume).await.unwrap();
        }
        let audit = connect(&server).await.reading.audit().await.unwrap();
        assert!(audit.is_clean(), "{audit:?}");
        world.confirmed().await;
        world.all_confirmed(&server, sold + 1).await;
    }
}

#[tokio::test]
async fn a_sale_that_is_gone_is_not_made_anew() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 10, CALM).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    for rows in ROWS {
        server.must(&format!("DEL flashlane:{{drop}}:{rows}"));
    }
    world.click().unwrap();
    world.halted().await;
    assert!(world.open.has_lost_history());
    let refused = world.engine.switch(&world.open, Switch::Resume).await;
    assert_eq!(refused, Err(StoreError::UnknownSale));
    assert_eq!(world.engine.create(&terms(10)).await.unwrap_err(), StoreError::SaleExists);
    copy(&server, "backup", "flashlane");
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    world.confirmed().await;
    let audit = connect(&server).await.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.sales[0].tallies.sum(Confirmed).orders, 3);
}

#[tokio::test]
async fn a_lost_top_up_is_asked_for_and_not_made_up() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 1, CALM).await;
    copy(&server, "flashlane", "backup");
    world.engine.top_up(&world.open, "monday", Units(2)).await.unwrap();
    world.confirmed().await;
    world.confirmed().await;
    copy(&server, "backup", "flashlane");
    world.click().unwrap();
    world.halted().await;
    let refused = world.engine.switch(&world.open, Switch::Resume).await;
    assert!(matches!(refused, Err(StoreError::TooLittleStock(_))), "{refused:?}");
    assert!(world.open.sale.stock().level().is_halted());
    world.engine.top_up(&world.open, "monday", Units(2)).await.unwrap();
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    until(|| world.open.sale.meter().stored().of(Confirmed)[Diamond].orders == 3).await;
    let audit = connect(&server).await.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!((audit.sales[0].stock, audit.sales[0].left), (Units(3), Units(0)));
}

#[tokio::test]
async fn lost_turns_of_the_operator_are_noticed_and_a_closed_sale_stays_closed() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 5, patient(Duration::from_millis(60))).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    world.engine.switch(&world.open, Switch::Close).await.unwrap();
    copy(&server, "backup", "flashlane");
    world.halted().await;
    assert!(world.open.has_lost_history());
    world.engine.switch(&world.open, Switch::Resume).await.unwrap();
    assert!(connect(&server).await.opening.open(&id()).await.unwrap().is_closed);
}

#[tokio::test]
async fn a_history_that_another_process_sold_on_is_told_and_ends_what_waits() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 9, CALM).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    world.confirmed().await;
    copy(&server, "backup", "flashlane");
    connect(&server).await.opening.open(&id()).await.unwrap();
    let waiting = world.click().unwrap();
    world.halted().await;
    assert!(world.open.has_lost_history(), "not only fenced");
    let refused = world.engine.switch(&world.open, Switch::Resume).await;
    assert_eq!(refused, Err(StoreError::Fenced));
    let order = world.open.settled(waiting, Duration::from_secs(10)).await.unwrap();
    assert_eq!(order.status, Status::Released);
    assert_eq!(world.open.trouble(), Some(StoreError::Fenced));
}

#[tokio::test]
async fn a_sale_that_is_damaged_does_not_keep_the_others_from_opening() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    store
        .opening
        .create(&engine::rules::terms::Terms { id: "zz".parse().unwrap(), ..terms(9) })
        .await
        .unwrap();
    server.must("SET flashlane:{zz}:orders junk");
    let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
    assert!(engine.sale("drop").is_ok() && engine.sale("zz").is_err());
    assert!(engine.not_opened().keys().eq([&"zz".parse().unwrap()]));
    let audit = connect(&server).await.reading.audit().await.unwrap();
    assert!(audit.sales[1].differences[0].contains("flashlane:{zz}:orders"), "{audit:?}");
}

#[tokio::test]
async fn repeated_clicks_do_not_keep_the_sale_from_being_looked_at() {
    let (_folder, server) = started(&[]);
    let world = Selling::start(&server, 9, patient(Duration::from_millis(60))).await;
    connect(&server).await.opening.open(&id()).await.unwrap();
    // The confirmer is woken without a pause, as it is by repeated clicks.
    until(|| {
        world.open.wake();
        world.open.sale.stock().level().is_halted()
    })
    .await;
}

#[tokio::test]
async fn what_a_former_process_sold_and_the_store_lost_keeps_the_sale_stopped() {
    let (_folder, server) = started(&[]);
    let mut first = Selling::start(&server, 9, CALM).await;
    copy(&server, "flashlane", "backup");
    first.confirmed().await;
    first.paid().await;
    let mut second = first.replaced(&server).await;
    second.confirmed().await;
    copy(&server, "backup", "flashlane");
    second.click().unwrap();
    second.halted().await;
    let refused = second.engine.switch(&second.open, Switch::Resume).await;
    assert!(matches!(&refused, Err(StoreError::HistoryLost(why)) if why.contains("newer state")));
    assert_eq!(second.click(), Err(Refusal::Busy));
}

#[tokio::test]
async fn what_a_former_process_left_unpaid_and_the_waitlist_are_put_back_as_well() {
    let (_folder, server) = started(&[]);
    let mut first = Selling::start(&server, 9, CALM).await;
    copy(&server, "flashlane", "backup");
    first.confirmed().await;
    let mut second = first.replaced(&server).await;
    second.confirmed().await;
    second.paid().await;
    while second.open.sale.stock().level().left() > Units(0) {
        second.confirmed().await;
    }
    let seat = second.engine.roster().seat("zoe").unwrap();
    second.engine.join(&second.open, Click { seat, ..click(0, Gold, 1) }).await.unwrap();
    copy(&server, "backup", "flashlane");
    let late = second.engine.leave_waitlist(&second.open, seat).await;
    assert!(matches!(late, Err(StoreError::HistoryLost(_))), "{late:?}");
    second.halted().await;
    second.engine.switch(&second.open, Switch::Resume).await.unwrap();
    let store = connect(&server).await;
    assert_eq!(store.reading.waiting(&id()).await.unwrap(), [waiting("zoe", Gold, 1, 1)]);
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    let tallies = audit.sales[0].tallies;
    assert_eq!((tallies.sum(Status::Paid).orders, tallies.sum(Confirmed).orders), (1, 8));
}

#[tokio::test]
async fn a_former_order_is_paid_in_time_though_redis_was_away_when_it_was_told() {
    let (_folder, mut server) = started(&[]);
    let mut first = Selling::start(&server, 9, CALM).await;
    first.confirmed().await;
    let id = OrderId { sale: id(), epoch: first.open.sale.epoch(), number: 1 };
    let clock = Clock::by_hand(OPEN);
    let engine = Engine::start(connect(&server).await, clock.clone(), CALM).await.unwrap();
    let open = engine.sale("drop").unwrap();
    server.kill();
    let telling = async {
        let told = engine.step(&open, &id, Step::Pay).await;
        told.unwrap().unwrap().status()
    };
    let coming_back = async {
        // The payment is heard of by now. It falls due while Redis is away.
        tokio::task::yield_now().await;
        clock.set(OPEN + Duration::from_secs(3_600));
        open.wake();
        server.start_again();
    };
    let (status, ()) = tokio::join!(telling, coming_back);
    assert_eq!(status, Status::Paid);
}

#[tokio::test]
async fn a_process_that_another_one_replaced_notices_without_a_click() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 9, patient(Duration::from_millis(60))).await;
    connect(&server).await.opening.open(&id()).await.unwrap();
    world.halted().await;
    assert_eq!(world.open.trouble(), Some(StoreError::Fenced));
    assert_eq!(world.click(), Err(Refusal::Busy));
}

#[tokio::test]
async fn clicks_are_accepted_while_redis_is_away_for_a_short_time_only() {
    let (_folder, mut server) = started(&[]);
    let patience = Duration::from_secs(2);
    let mut world = Selling::start(&server, 9, patient(patience)).await;
    world.confirmed().await;
    server.kill();
    let waiting = world.click().unwrap();
    until(|| world.open.trouble().is_some()).await;
    assert!(world.click().is_ok(), "orders wait in the queue");
    let late = OPEN + patience + Duration::from_millis(1);
    let seat = world.engine.roster().seat("late").unwrap();
    let refused = world.open.sale.buy(late, Click { seat, ..click(0, Gold, 1) });
    assert_eq!(refused, Err(Refusal::Busy), "the oldest order waits too long");
    assert_eq!(world.open.sale.held(seat), Units(0), "a refusal consumes nothing");
    server.start_again();
    let order = world.open.settled(waiting, Duration::from_secs(10)).await.unwrap();
    assert_eq!(order.status, Confirmed);
    until(|| world.open.trouble().is_none()).await;
    world.confirmed().await;
}

#[tokio::test]
async fn a_resume_while_the_process_ends_is_told_so_and_waits_for_nobody() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 9, CALM).await;
    world.confirmed().await;
    copy(&server, "flashlane", "backup");
    world.confirmed().await;
    copy(&server, "backup", "flashlane");
    world.click().unwrap();
    world.halted().await;
    world.engine.drain(Duration::from_secs(10)).await;
    let refused = world.engine.switch(&world.open, Switch::Resume).await;
    assert!(matches!(refused, Err(StoreError::Unknown(_))), "{refused:?}");
}
