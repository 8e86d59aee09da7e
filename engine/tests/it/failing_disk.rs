//! The journal on a disk that fails: no confirmed order is lost, and the store recovers.

use crate::disk::{MemoryDisk, Wrong};
use crate::support::{OPEN, batch, changes, id, reserved, terms, waiting};
use engine::clock::Clock;
use engine::engine::Engine;
use engine::rules::order::Status;
use engine::sale::Click;
use engine::store::{Change, JournalOptions, JournalStore, Store, StoreError, Switch, Verdict};
use membership::Tier::Gold;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn on(disk: &MemoryDisk) -> Store {
    JournalStore::on(Arc::new(disk.clone()), JournalOptions::default()).unwrap().into()
}

/// A store with one sale, opened.
async fn selling(stock: u32) -> (MemoryDisk, Store, u64) {
    let disk = MemoryDisk::default();
    let store = on(&disk);
    store.opening.create(&terms(stock)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    (disk, store, epoch)
}

#[tokio::test]
async fn a_full_disk_is_an_unknown_outcome_and_the_resend_gets_a_verdict() {
    let (disk, store, epoch) = selling(10).await;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    disk.set(Some(Wrong::Full));
    let second = batch(epoch, vec![reserved(2, "bob", Gold, 1)]);
    for _ in 0..3 {
        let error = store.selling.commit(&second).await.unwrap_err();
        assert!(
            matches!(&error.error, StoreError::Unknown(why) if why.contains("free space")),
            "{error}"
        );
        assert!(store.reading.order(&id(), 2).await.is_err(), "nobody reads what may not be there");
    }
    disk.set(None);
    let verdicts = store.selling.commit(&second).await.unwrap();
    assert!(matches!(verdicts[..], [Verdict::Stored(Status::Confirmed, _)]));
    let audit = store.reading.audit().await.unwrap();
    assert!(
        audit.is_clean() && audit.sales[0].tallies.sum(Status::Confirmed).orders == 2,
        "{audit:?}"
    );
}

/// After a sync that failed, a reader finds the block in the machine's memory, and no later sync
/// writes it.
#[tokio::test]
async fn a_block_that_a_failed_sync_dropped_is_written_again_before_it_counts() {
    let (disk, store, epoch) = selling(10).await;
    disk.set(Some(Wrong::DropsOnce));
    let first = batch(epoch, vec![reserved(1, "ann", Gold, 1)]);
    store.selling.commit(&first).await.unwrap_err();
    store.selling.commit(&first).await.unwrap();
    store.selling.commit(&batch(epoch, vec![reserved(2, "bob", Gold, 1)])).await.unwrap();
    for seed in 0..20 {
        let left = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed));
        let audit = on(&left).reading.audit().await.unwrap();
        let confirmed = audit.sales[0].tallies.sum(Status::Confirmed).orders;
        assert!(audit.is_clean() && confirmed == 2, "{audit:?}");
    }
}

#[tokio::test]
async fn orders_reserved_on_a_full_disk_are_confirmed_when_there_is_room_again() {
    let disk = MemoryDisk::default();
    let engine =
        Engine::start(on(&disk), Clock::by_hand(OPEN), crate::support::CALM).await.unwrap();
    let open = engine.create(&terms(10)).await.unwrap();
    disk.set(Some(Wrong::Full));
    let seat = engine.roster().seat("ann").unwrap();
    let number =
        open.sale.buy(OPEN, Click { seat, ..crate::support::click(0, Gold, 1) }).unwrap().number;
    open.wake();
    while open.trouble().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(open.sale.board().read(number).unwrap().status, Status::Reserved);
    disk.set(None);
    let order = open.settled(number, Duration::from_secs(30)).await.unwrap();
    assert_eq!(order.status, Status::Confirmed);
    assert_eq!(engine.drain(Duration::from_secs(30)).await, 0);
}

#[tokio::test]
async fn a_journal_that_nobody_writes_to_is_opened_again_when_the_disk_works() {
    let (disk, store, epoch) = selling(9).await;
    disk.set(Some(Wrong::Full));
    store.operating.switch(&id(), epoch, Switch::Pause).await.unwrap_err();
    assert!(store.selling.still_sells(&id(), epoch).await.is_err());
    disk.set(None);
    let again = async {
        while store.selling.still_sells(&id(), epoch).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("it is opened again");
}

#[tokio::test]
async fn room_that_a_crash_leaves_is_cut_off_at_the_next_start_and_an_end_leaves_none() {
    let ends_in_zeros = |disk: &MemoryDisk| {
        let logs = disk.files().into_iter().filter(|(name, _)| name.ends_with(".log"));
        logs.map(|(_, bytes)| bytes.ends_with(&[0; 512])).collect::<Vec<_>>()
    };
    let (disk, store, epoch) = selling(10).await;
    // Room is made once nothing waits.
    let is_made = async {
        while ends_in_zeros(&disk) != [true] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_made).await.expect("room is made");
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    let crashed = MemoryDisk::with(&disk.files());
    assert_eq!(ends_in_zeros(&crashed), [true]);
    let again = on(&crashed);
    assert!(again.reading.order(&id(), 1).await.unwrap().is_some());
    assert_eq!(ends_in_zeros(&crashed), [false, false]);
    drop(store);
    assert_eq!(ends_in_zeros(&disk), [false]);
}

#[tokio::test]
async fn a_store_in_use_says_who_must_stop() {
    let folder = tempfile::tempdir().unwrap();
    let _first = JournalStore::open(folder.path(), JournalOptions::default()).unwrap();
    let again = JournalStore::open(folder.path(), JournalOptions::default());
    let error = again.unwrap_err().to_string();
    assert!(error.contains("another process uses the data folder"), "{error}");
    let error = JournalStore::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another process uses the data folder"), "{error}");
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let (disk, store, epoch) = selling(9).await;
    let first = batch(epoch, vec![reserved(1, "ann", Gold, 1)]);
    let verdicts = store.selling.commit(&first).await.unwrap();
    let join = || changes(epoch, 6_000, vec![Change::Join(waiting("ann", Gold, 1, 1))]);
    store.selling.change(&join()).await.unwrap();
    let before = disk.changes();
    let leave = vec![Change::Leave("bob".parse().unwrap())];
    store.selling.change(&changes(epoch, 6_001, leave)).await.unwrap();
    store.selling.change(&join()).await.unwrap();
    assert_eq!(store.selling.commit(&first).await.unwrap(), verdicts);
    store.members.set_blocked(&"bob".parse().unwrap(), false).await.unwrap();
    assert_eq!(disk.changes(), before);
    let leave = vec![Change::Leave("ann".parse().unwrap())];
    store.selling.change(&changes(epoch, 6_002, leave)).await.unwrap();
    assert_eq!(disk.changes(), before + 2, "a write and a sync");
}

#[tokio::test]
async fn a_sale_that_is_made_again_beside_its_own_transactions_holds_nothing_up() {
    let (_disk, store, epoch) = selling(1_000).await;
    let made = (1..200).map(async |number| {
        let orders = vec![reserved(number, &format!("m{number}"), Gold, 1)];
        let (commit, terms) = (batch(epoch, orders), terms(1_000));
        let (sold, made) =
            tokio::join!(store.selling.commit(&commit), store.opening.create(&terms));
        assert_eq!(made, Err(StoreError::SaleExists), "a process has opened it");
        sold.unwrap();
    });
    let all = futures_util::future::join_all(made);
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("nobody waits for ever");
}
