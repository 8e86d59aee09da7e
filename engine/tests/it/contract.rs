//! What every store must keep, run against each adapter.

use crate::redis_server::RedisServer;
use crate::support::{batch, changes, id, member, refund, reserved, terms};
use engine::rules::cents::Cents;
use engine::rules::key::IdempotencyKey;
use engine::rules::money::Money;
use engine::rules::order::Status::{self, Confirmed, Released};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::why::Why;
use engine::store::{
    Change, Changed, Holding, JournalOptions, JournalStore, MemoryStore, OutboxEnd, Record,
    RedisOptions, RedisStore, ReservedOrder, Store, StoreError, Switch, Verdict,
};
use membership::Tier::{Diamond, Gold, Regular};
use std::num::NonZeroU64;
use std::path::Path;

const AT: Millis = Millis(5_001);

pub(crate) async fn memory(_: &Path) -> Store {
    std::future::ready(MemoryStore::default().into()).await
}

pub(crate) async fn journal(folder: &Path) -> Store {
    let store = JournalStore::open(folder, JournalOptions::default());
    std::future::ready(store.unwrap().into()).await
}

pub(crate) async fn redis(server: &RedisServer) -> Store {
    let (store, warnings) = RedisStore::connect(&RedisOptions::new(server.url())).await.unwrap();
    assert_eq!(warnings, [""; 0]);
    store.into()
}

/// Runs each promise against each adapter.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory_keeps {
            $(#[tokio::test] async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                super::$promise(&crate::contract::memory(folder.path()).await).await;
            })*
        }
        mod journal_keeps {
            $(#[tokio::test] async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                super::$promise(&crate::contract::journal(folder.path()).await).await;
            })*
        }
        mod redis_keeps {
            $(#[tokio::test] async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                let server = crate::redis_server::RedisServer::start(folder.path());
                super::$promise(&crate::contract::redis(&server).await).await;
            })*
        }
    };
}

contract!(
    a_sale_is_made_once,
    each_opening_has_a_higher_epoch,
    an_epoch_is_not_given_out_again_after_a_restored_backup,
    an_order_is_decided_once,
    a_repeated_batch_gets_the_stored_verdicts_and_their_time,
    the_limit_holds_over_all_orders_of_a_member,
    a_change_of_tier_does_not_undo_an_order,
    the_stock_is_never_exceeded,
    a_stale_epoch_changes_nothing,
    only_the_newest_opening_sells_the_sale,
    what_was_lost_is_put_back_once,
    what_is_put_back_takes_units_that_are_left,
    a_large_batch_is_decided_as_one,
    a_fenced_resend_still_tells_what_was_stored,
    a_resumed_sale_is_what_was_stored,
    switches_last,
    a_top_up_counts_once,
    a_top_up_over_the_largest_stock_is_refused,
    a_holder_goes_on_under_another_name,
    terms_change_and_the_units_left_follow,
    each_change_has_one_outbox_entry,
    orders_are_paged_by_number,
    a_members_orders_are_found,
    what_is_not_there_is_not_found,
    a_released_order_says_why,
    an_order_with_nothing_due_is_paid_when_it_is_confirmed,
    what_an_order_is_paid_with_is_kept_and_stands_for_its_key,
    the_audit_finds_nothing_to_say,
);

pub(crate) async fn opened(store: &Store, stock: u32) -> u64 {
    store.opening.create(&terms(stock)).await.unwrap();
    store.opening.open(&id()).await.unwrap().epoch
}

const fn stored(status: Status) -> Verdict {
    Verdict::Stored(status, AT)
}

const fn released(why: Why) -> Verdict {
    Verdict::Released(why, AT)
}

async fn a_sale_is_made_once(store: &Store) {
    opened(store, 10).await;
    assert_eq!(store.opening.create(&terms(99)).await, Err(StoreError::SaleExists));
    assert_eq!(store.opening.create(&terms(10)).await, Err(StoreError::SaleExists));
    assert_eq!(store.reading.sales().await.unwrap(), [id()]);
    assert_eq!(store.opening.open(&id()).await.unwrap().stock, Units(10));
}

async fn each_opening_has_a_higher_epoch(store: &Store) {
    let first = opened(store, 10).await;
    let second = store.opening.open(&id()).await.unwrap().epoch;
    assert!(second > first);
}

/// A backup knows of no opening after it was made; the time does.
async fn an_epoch_is_not_given_out_again_after_a_restored_backup(store: &Store) {
    let before = engine::clock::Clock::Wall.now();
    let first = opened(store, 10).await;
    let second = store.opening.open(&id()).await.unwrap().epoch;
    assert!(before.0 <= first && first < second, "{before:?}, {first}, {second}");
}

async fn an_order_is_decided_once(store: &Store) {
    let epoch = opened(store, 10).await;
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Regular, 1)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), stored(Confirmed)]);
    let record = store.reading.order(&id(), 1).await.unwrap().unwrap();
    assert_eq!((record.status, record.units, record.epoch), (Confirmed, Units(2), epoch));
}

async fn a_repeated_batch_gets_the_stored_verdicts_and_their_time(store: &Store) {
    let epoch = opened(store, 2).await;
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 1)];
    let first = batch(epoch, orders);
    let verdicts = store.selling.commit(&first).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), released(Why::SoldOut)]);
    let again = engine::store::Batch { at: Millis(8_000), ..first };
    assert_eq!(store.selling.commit(&again).await.unwrap(), verdicts);
    assert_eq!(store.opening.open(&id()).await.unwrap().left, Units(0));
    assert_eq!(store.reading.outbox_after(&id(), 0, 10).await.unwrap().len(), 2);
}

async fn the_limit_holds_over_all_orders_of_a_member(store: &Store) {
    let epoch = opened(store, 10).await;
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "ann", Gold, 2)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), released(Why::LimitReached)]);
    let verdicts =
        store.selling.commit(&batch(epoch, vec![reserved(3, "ann", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed)]);
}

async fn a_change_of_tier_does_not_undo_an_order(store: &Store) {
    let epoch = opened(store, 10).await;
    // The member clicked as regular, then as diamond; the higher tier is decided first.
    let orders = vec![reserved(2, "ann", Diamond, 4), reserved(1, "ann", Regular, 1)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), stored(Confirmed)]);
}

async fn the_stock_is_never_exceeded(store: &Store) {
    let epoch = opened(store, 3).await;
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 2)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), released(Why::SoldOut)]);
    let verdicts =
        store.selling.commit(&batch(epoch, vec![reserved(3, "cyd", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed)], "the last unit is sold");
}

async fn a_stale_epoch_changes_nothing(store: &Store) {
    let stale = opened(store, 10).await;
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let verdicts =
        store.selling.commit(&batch(stale, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [Verdict::Fenced]);
    assert_eq!(store.reading.order(&id(), 1).await.unwrap(), None);
    assert_eq!(store.operating.switch(&id(), stale, Switch::Close).await, Err(StoreError::Fenced));
    assert_eq!(store.operating.top_up(&id(), stale, "k", Units(1)).await, Err(StoreError::Fenced));
    let verdicts =
        store.selling.commit(&batch(epoch, vec![reserved(1, "bob", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed)]);
    // The number now names another process's order, so it gives the stale process no verdict.
    let verdicts =
        store.selling.commit(&batch(stale, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [Verdict::Fenced]);
}

async fn only_the_newest_opening_sells_the_sale(store: &Store) {
    store.opening.create(&terms(10)).await.unwrap();
    assert_eq!(store.opening.create(&terms(10)).await, Ok(()), "nobody has opened it yet");
    let stale = store.opening.open(&id()).await.unwrap().epoch;
    assert_eq!(store.selling.still_sells(&id(), stale).await, Ok(()));
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    assert_eq!(store.selling.still_sells(&id(), stale).await, Err(StoreError::Fenced));
    assert_eq!(store.opening.restore(&id(), stale, &[]).await, Err(StoreError::Fenced));
    assert_eq!(store.selling.still_sells(&id(), epoch).await, Ok(()));
}

/// A settled order, as the process that accepted it knows it.
pub(crate) fn known(number: u64, name: &str, units: u32, status: Status, epoch: u64) -> Record {
    let ReservedOrder { number, member, tier, units, reserved_at, money, key, .. } =
        reserved(number, name, Gold, units);
    let settled_at = AT;
    Record {
        number,
        epoch,
        member,
        tier,
        units,
        status,
        reserved_at,
        settled_at,
        changed_at: settled_at,
        pay_by: if status == Released { settled_at } else { terms(1).pay_by(settled_at) },
        money,
        refunds: Vec::new(),
        key,
        before: 0,
        why: (status == Released).then_some(Why::SoldOut),
    }
}

async fn what_was_lost_is_put_back_once(store: &Store) {
    let epoch = opened(store, 10).await;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 2)])).await.unwrap();
    let orders = [
        known(1, "ann", 2, Confirmed, epoch),
        known(2, "bob", 3, Confirmed, epoch),
        known(4, "ann", 2, Released, epoch),
    ];
    for _ in 0..2 {
        let head = store.opening.restore(&id(), epoch, &orders).await.unwrap();
        assert_eq!((head.stock, head.left), (Units(10), Units(5)));
        assert_eq!(
            (head.tallies.of(Confirmed)[Gold].orders, head.tallies.of(Released)[Gold].orders),
            (2, 1)
        );
    }
    assert_eq!(store.reading.outbox_after(&id(), 0, 10).await.unwrap().len(), 3);
    let limited = vec![reserved(5, "bob", Gold, 1), reserved(6, "ann", Gold, 1)];
    let verdicts = store.selling.commit(&batch(epoch, limited)).await.unwrap();
    assert_eq!(
        verdicts,
        [released(Why::LimitReached), stored(Confirmed)],
        "holdings came back, too"
    );
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    let another = [known(2, "cyd", 3, Confirmed, epoch)];
    let refused = store.opening.restore(&id(), epoch, &another).await;
    assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
}

async fn what_is_put_back_takes_units_that_are_left(store: &Store) {
    let epoch = opened(store, 3).await;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 2)])).await.unwrap();
    let orders = [known(2, "bob", 1, Confirmed, epoch), known(3, "cyd", 1, Confirmed, epoch)];
    let short = store.opening.restore(&id(), epoch, &orders).await;
    assert!(matches!(short, Err(StoreError::TooLittleStock(_))), "{short:?}");
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(store.reading.order(&id(), 3).await.unwrap(), None);
}

async fn a_large_batch_is_decided_as_one(store: &Store) {
    let epoch = opened(store, 10_000).await;
    let most = store.selling.batch_orders_max().min(1_000);
    let orders = (1..=most as u64).map(|n| reserved(n, &format!("m{}", n % 300), Diamond, 1));
    let verdicts = store.selling.commit(&batch(epoch, orders.collect())).await.unwrap();
    assert_eq!(verdicts, vec![stored(Confirmed); most]);
    let page = store.reading.orders_after(&id(), 100, most).await.unwrap();
    assert_eq!(page.len(), most - 100);
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
}

async fn a_fenced_resend_still_tells_what_was_stored(store: &Store) {
    let stale = opened(store, 10).await;
    store.selling.commit(&batch(stale, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    store.opening.open(&id()).await.unwrap();
    let resend = batch(stale, vec![reserved(1, "ann", Gold, 1), reserved(2, "bob", Gold, 1)]);
    let verdicts = store.selling.commit(&resend).await.unwrap();
    assert_eq!(verdicts, [stored(Confirmed), Verdict::Fenced]);
}

async fn a_resumed_sale_is_what_was_stored(store: &Store) {
    let epoch = opened(store, 10).await;
    let key = Some(IdempotencyKey(NonZeroU64::MIN));
    let keyed = ReservedOrder { key, ..reserved(7, "bob", Regular, 1) };
    let orders = vec![reserved(3, "ann", Gold, 2), keyed];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    let opened = store.opening.open(&id()).await.unwrap();
    assert_eq!((opened.stock, opened.left, opened.next_number), (Units(10), Units(7), 8));
    let holding =
        |name: &str, units| Holding { member: member(name), units: Units(units), orders: 1 };
    assert_eq!(opened.holdings, [holding("ann", 2), holding("bob", 1)]);
    assert_eq!(opened.tallies.of(Confirmed)[Gold].units, 2);
    assert_eq!(opened.tallies.of(Confirmed)[Regular].orders, 1);
    let keyed: Vec<_> =
        opened.keyed.iter().map(|keyed| (keyed.number, keyed.holder, Some(keyed.key))).collect();
    assert_eq!(keyed, [(7, 1, key)]);
    assert_eq!(opened.terms, terms(10));
}

async fn switches_last(store: &Store) {
    let epoch = opened(store, 10).await;
    store.operating.switch(&id(), epoch, Switch::Pause).await.unwrap();
    let opened = store.opening.open(&id()).await.unwrap();
    assert!(opened.is_paused && !opened.is_closed);
    store.operating.switch(&id(), opened.epoch, Switch::Resume).await.unwrap();
    store.operating.switch(&id(), opened.epoch, Switch::Close).await.unwrap();
    let opened = store.opening.open(&id()).await.unwrap();
    assert!(!opened.is_paused && opened.is_closed);
}

async fn a_top_up_counts_once(store: &Store) {
    let epoch = opened(store, 10).await;
    assert_eq!(store.operating.top_up(&id(), epoch, "monday", Units(5)).await, Ok(Units(15)));
    assert_eq!(store.operating.top_up(&id(), epoch, "tuesday", Units(5)).await, Ok(Units(20)));
    assert_eq!(store.operating.top_up(&id(), epoch, "monday", Units(5)).await, Ok(Units(20)));
    let conflict = store.operating.top_up(&id(), epoch, "monday", Units(6)).await;
    assert_eq!(conflict, Err(StoreError::TopUpConflict(Units(5))));
    let opened = store.opening.open(&id()).await.unwrap();
    assert_eq!((opened.stock, opened.left), (Units(20), Units(20)));
}

async fn a_top_up_over_the_largest_stock_is_refused(store: &Store) {
    let epoch = opened(store, 10).await;
    for add in [9_999_991, u32::MAX] {
        let refused = store.operating.top_up(&id(), epoch, "k", Units(add)).await;
        assert_eq!(refused, Err(StoreError::TooMuchStock(Units(10))));
    }
    assert_eq!(
        store.operating.top_up(&id(), epoch, "k", Units(9_999_990)).await,
        Ok(Units(10_000_000))
    );
}

async fn a_holder_goes_on_under_another_name(store: &Store) {
    let stale = opened(store, 10).await;
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 1)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    let rename = async |epoch, from: &str, to: &str| {
        store.members.rename(&id(), epoch, &member(from), &member(to)).await
    };
    assert_eq!(rename(stale, "ann", "erased:1").await, Err(StoreError::Fenced));
    for _ in 0..2 {
        assert_eq!(rename(epoch, "ann", "erased:1").await, Ok(()));
    }
    assert_eq!(rename(epoch, "nobody", "erased:2").await, Ok(()));
    // A holder keeps the name that they have, and nobody gets the name of another.
    assert_eq!(rename(epoch, "erased:1", "erased:1").await, Ok(()));
    let taken = rename(epoch, "bob", "erased:1").await;
    assert!(matches!(taken, Err(StoreError::Refused(_))), "{taken:?}");
    let first = store.reading.order(&id(), 1).await.unwrap().unwrap();
    assert_eq!((first.member, first.units), (member("erased:1"), Units(2)));
    let of =
        async |name: &str| store.reading.orders_of(&id(), &member(name), None, 9).await.unwrap();
    assert_eq!(
        (of("ann").await.len(), of("erased:1").await.len(), of("bob").await.len()),
        (0, 1, 1)
    );
    // The name is free: its next order is another person's.
    let orders = vec![reserved(3, "ann", Gold, 3), reserved(4, "erased:1", Gold, 2)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(
        verdicts,
        [stored(Confirmed), released(Why::LimitReached)],
        "what is held is held on"
    );
    let mut holdings = store.opening.open(&id()).await.unwrap().holdings;
    holdings.sort_by(|a, b| a.member.cmp(&b.member));
    let held: Vec<_> = holdings.iter().map(|h| (h.member.as_str(), h.units.0, h.orders)).collect();
    assert_eq!(held, [("ann", 3, 1), ("bob", 1, 1), ("erased:1", 2, 2)]);
    assert!(store.reading.audit().await.unwrap().is_clean());
}

async fn terms_change_and_the_units_left_follow(store: &Store) {
    let stale = opened(store, 10).await;
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.operating.top_up(&id(), epoch, "k", Units(5)).await.unwrap();
    let change = async |epoch, stock: u32, gold: u32| {
        let mut to = terms(stock);
        to.title = format!("{stock} lamps");
        to.limits[Gold] = Units(gold);
        store.operating.change_terms(epoch, &to).await
    };
    assert_eq!(change(stale, 12, 3).await, Err(StoreError::Fenced));
    for _ in 0..2 {
        assert_eq!(change(epoch, 12, 1).await, Ok(()));
    }
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 1)];
    let verdicts = store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(
        verdicts,
        [released(Why::LimitReached), stored(Confirmed)],
        "the limit is another one"
    );
    assert_eq!(change(epoch, 4, 3).await, Ok(()));
    assert_eq!(change(epoch, 1, 3).await, Ok(()), "5 of 6 units are left");
    let too_many = change(epoch, 9_999_999, 3).await;
    assert_eq!(too_many, Err(StoreError::TooMuchStock(Units(6))));
    let opened = store.opening.open(&id()).await.unwrap();
    assert_eq!((opened.stock, opened.left), (Units(6), Units(5)));
    assert_eq!((opened.terms.stock, opened.terms.title.as_str()), (Units(1), "1 lamps"));
    let epoch = opened.epoch;
    let orders = vec![reserved(3, "cyd", Gold, 3), reserved(4, "dan", Gold, 2)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    // No unit is left, so none can go.
    assert_eq!(change(epoch, 3, 3).await, Ok(()));
    let orders = vec![reserved(5, "eve", Gold, 2)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(change(epoch, 2, 3).await, Err(StoreError::TooLittleStock(Units(0))));
    assert!(store.reading.audit().await.unwrap().is_clean());
}

async fn each_change_has_one_outbox_entry(store: &Store) {
    let epoch = opened(store, 2).await;
    assert_eq!(store.reading.outbox_end(&id()).await, Ok(OutboxEnd::default()));
    let orders = vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 2)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    store.selling.commit(&batch(epoch, vec![reserved(3, "cyd", Gold, 1)])).await.unwrap();
    let entries = store.reading.outbox_after(&id(), 0, 10).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.seq, e.number, e.status)).collect();
    assert_eq!(told, [(1, 1, Confirmed), (2, 2, Released), (3, 3, Released)]);
    // A page may begin or end within the entries of one commit.
    let page = store.reading.outbox_after(&id(), 1, 1).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(store.reading.outbox_after(&id(), 3, 10).await.unwrap(), []);
    let end =
        OutboxEnd { seq: 3, newest_at: entries.last().map(|entry| entry.at), has_gaps: false };
    assert_eq!(store.reading.outbox_end(&id()).await, Ok(end));
}

async fn orders_are_paged_by_number(store: &Store) {
    let epoch = opened(store, 10).await;
    let orders = [5, 2, 9].map(|number| reserved(number, &format!("m{number}"), Gold, 1));
    store.selling.commit(&batch(epoch, orders.into())).await.unwrap();
    let numbers =
        |records: Vec<Record>| -> Vec<u64> { records.iter().map(|record| record.number).collect() };
    assert_eq!(numbers(store.reading.orders_after(&id(), 0, 2).await.unwrap()), [2, 5]);
    assert_eq!(numbers(store.reading.orders_after(&id(), 5, 2).await.unwrap()), [9]);
    assert_eq!(numbers(store.reading.orders_after(&id(), 0, 0).await.unwrap()), [0; 0]);
    assert_eq!(numbers(store.reading.orders_after(&id(), u64::MAX, 2).await.unwrap()), [0; 0]);
}

async fn a_members_orders_are_found(store: &Store) {
    let epoch = opened(store, 10).await;
    let orders = vec![
        reserved(4, "ann", Diamond, 1),
        reserved(5, "bob", Gold, 1),
        reserved(1, "ann", Diamond, 1),
        reserved(6, "ann", Diamond, 9),
    ];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    let page = async |after, most| -> Vec<u64> {
        let orders = store.reading.orders_of(&id(), &member("ann"), after, most).await.unwrap();
        orders.iter().map(|record| record.number).collect()
    };
    assert_eq!(page(None, 9).await, [6, 1, 4], "those stored last first");
    let (mut paged, mut after) = (Vec::new(), None);
    while let [number] = page(after, 1).await[..] {
        paged.push(number);
        after = Some(number);
    }
    assert_eq!(paged, [6, 1, 4], "pages leave none out");
    assert_eq!(page(Some(5), 9).await, [0; 0], "bob's order is no place in ann's list");
    assert_eq!((page(None, 0).await, page(Some(77), 9).await), (vec![], vec![]));
}

async fn what_is_not_there_is_not_found(store: &Store) {
    let nobody = "nobody".parse().unwrap();
    assert_eq!(store.opening.open(&nobody).await, Err(StoreError::UnknownSale));
    assert_eq!(
        store.operating.switch(&nobody, 1, Switch::Pause).await,
        Err(StoreError::UnknownSale)
    );
    let unknown = engine::store::Batch { sale: nobody, ..batch(1, Vec::new()) };
    assert_eq!(store.selling.commit(&unknown).await, Err(StoreError::UnknownSale.into()));
    assert_eq!(store.reading.order(&id(), 1).await, Ok(None));
    assert_eq!(store.reading.orders_of(&id(), &member("ann"), None, 9).await, Ok(Vec::new()));
    assert_eq!(store.reading.sales().await, Ok(Vec::new()));
}

async fn the_audit_finds_nothing_to_say(store: &Store) {
    let epoch = opened(store, 4).await;
    store.operating.top_up(&id(), epoch, "k", Units(1)).await.unwrap();
    let orders =
        vec![reserved(1, "ann", Gold, 2), reserved(2, "bob", Gold, 3), reserved(3, "ann", Gold, 2)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    let found = &audit.sales[0];
    let counts = (
        found.stock,
        found.left,
        found.tallies.sum(Confirmed).units,
        found.tallies.sum(Released).orders,
    );
    assert_eq!((counts, found.holders), ((Units(5), Units(0), 5, 1), 2));
}

async fn a_released_order_says_why(store: &Store) {
    let epoch = opened(store, 3).await;
    let refused =
        ReservedOrder { refused: Some(Why::NotEnoughPoints), ..reserved(4, "eve", Gold, 1) };
    let orders = vec![
        reserved(1, "ann", Gold, 2),
        reserved(2, "ann", Gold, 2),
        reserved(3, "bob", Gold, 2),
        refused,
    ];
    let reasons = [Why::LimitReached, Why::SoldOut, Why::NotEnoughPoints];
    let first = batch(epoch, orders);
    for _ in 0..2 {
        let verdicts = store.selling.commit(&first).await.unwrap();
        assert_eq!(verdicts[1..], reasons.map(released));
    }
    let mut whys = Vec::new();
    for number in 1..=4 {
        whys.push(store.reading.order(&id(), number).await.unwrap().unwrap().why);
    }
    assert_eq!(whys, [None, Some(reasons[0]), Some(reasons[1]), Some(reasons[2])]);
    assert!(store.reading.audit().await.unwrap().is_clean());
    // A process that forgot why puts the same order back.
    let known = Record { why: None, ..known(3, "bob", 2, Released, epoch) };
    let head = store.opening.restore(&id(), epoch, &[known]).await.unwrap();
    assert_eq!(head.tallies.of(Released)[Gold].orders, 3);
}

async fn an_order_with_nothing_due_is_paid_when_it_is_confirmed(store: &Store) {
    let epoch = opened(store, 3).await;
    let free = Money { due: Cents(0), points: 19_900, ..Money::list(Cents(19_900), Units(1)) };
    let order = ReservedOrder { money: free, ..reserved(1, "ann", Gold, 1) };
    for _ in 0..2 {
        let verdicts = store.selling.commit(&batch(epoch, vec![order.clone()])).await.unwrap();
        assert_eq!(verdicts, [stored(Status::Paid)]);
    }
    let told = store.reading.outbox_after(&id(), 0, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|entry| (entry.seq, entry.status)).collect();
    assert_eq!(told, [(1, Confirmed), (2, Status::Paid)]);
    let opened = store.opening.open(&id()).await.unwrap();
    assert_eq!((opened.unpaid.len(), opened.left), (0, Units(2)));
    // With nothing to go back, it is told all the same that it is returned.
    let change = Change::Refund { epoch: opened.epoch, number: 1, refund: refund("r", 0) };
    let of_former = Change::Refund { epoch, number: 1, refund: refund("r", 0) };
    let made = store.selling.change(&changes(opened.epoch, 6_000, vec![change, of_former])).await;
    let made = made.unwrap();
    assert_eq!(made[0], Changed::NoOrder);
    assert!(matches!(&made[1], Changed::Order(record) if record.status == Status::Returned));
    assert!(store.reading.audit().await.unwrap().is_clean());
}

async fn what_an_order_is_paid_with_is_kept_and_stands_for_its_key(store: &Store) {
    let epoch = opened(store, 3).await;
    let coupon = Some("welcome-1".parse().unwrap());
    let money =
        Money { points: 500, coupon, due: Cents(18_400), ..Money::list(Cents(19_900), Units(1)) };
    let key = Some(IdempotencyKey(NonZeroU64::new(7).unwrap()));
    let order = ReservedOrder { money: money.clone(), key, ..reserved(1, "ann", Gold, 1) };
    store.selling.commit(&batch(epoch, vec![order])).await.unwrap();
    assert_eq!(store.reading.order(&id(), 1).await.unwrap().unwrap().money, money);
    let opened = store.opening.open(&id()).await.unwrap();
    assert_eq!(opened.keyed[0].tender, money.tender());
}
