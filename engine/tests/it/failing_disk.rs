//! The embedded store on a disk that fails: no confirmed order is lost, and the store recovers.

use crate::support::{OPEN, batch, changes, id, reserved, terms, waiting};
use engine::clock::Clock;
use engine::engine::Engine;
use engine::rules::order::Status;
use engine::sale::Click;
use engine::store::{Change, RedbStore, Store, StoreError, Verdict};
use membership::Tier::Gold;
use redb::backends::FileBackend;
use redb::{Database, StorageBackend, TableDefinition};
use std::fs::OpenOptions;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A file whose writes fail while `is_full` says so.
#[derive(Debug)]
struct FullDisk {
    file: FileBackend,
    is_full: Arc<AtomicBool>,
}

impl FullDisk {
    fn check(&self) -> Result<(), Error> {
        // Ordering: Relaxed, the test changes this flag between calls.
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(Error::from(ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> Result<u64, Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.check()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), Error> {
        self.file.close()
    }
}

fn file_at(path: &Path) -> Result<FileBackend, redb::Error> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(FileBackend::new(file)?)
}

fn store(folder: &Path) -> (Store, Arc<AtomicBool>) {
    let (path, is_full) = (folder.join("store.redb"), Arc::new(AtomicBool::new(false)));
    let full = Arc::clone(&is_full);
    let open = move || {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let disk = FullDisk { file: FileBackend::new(file)?, is_full: Arc::clone(&full) };
        Ok(Database::builder().create_with_backend(disk)?)
    };
    (RedbStore::with(Box::new(open)).unwrap().into(), is_full)
}

#[tokio::test]
async fn a_full_disk_is_an_unknown_outcome_and_the_resend_gets_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (store, is_full) = store(folder.path());
    store.opening.create(&terms(10)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    // Ordering: Relaxed, as in `check`.
    is_full.store(true, Ordering::Relaxed);
    let second = batch(epoch, vec![reserved(2, "bob", Gold, 1)]);
    for _ in 0..3 {
        let error = store.selling.commit(&second).await.unwrap_err();
        assert!(
            matches!(&error.error, StoreError::Unknown(why) if why.contains("free space")),
            "{error}"
        );
    }
    // Ordering: Relaxed, as in `check`.
    is_full.store(false, Ordering::Relaxed);
    let verdicts = store.selling.commit(&second).await.unwrap();
    assert!(matches!(verdicts[..], [Verdict::Stored(Status::Confirmed, _)]));
    let audit = store.reading.audit().await.unwrap();
    assert!(
        audit.is_clean() && audit.sales[0].tallies.sum(Status::Confirmed).orders == 2,
        "{audit:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_while_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, is_full) = (folder.path().join("store.redb"), Arc::new(AtomicBool::new(false)));
    let (entered, opening) = std::sync::mpsc::channel();
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let (gate, full) = (std::sync::Mutex::new(gate), Arc::clone(&is_full));
    let open = move || {
        let file = file_at(&path)?;
        entered.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        let disk = FullDisk { file, is_full: Arc::clone(&full) };
        Ok(Database::builder().create_with_backend(disk)?)
    };
    let_go.send(()).unwrap();
    let store: Store = RedbStore::with(Box::new(open)).unwrap().into();
    opening.recv().unwrap();
    store.opening.create(&terms(10)).await.unwrap();
    // Ordering: Relaxed, as in `check`.
    is_full.store(true, Ordering::Relaxed);
    store.opening.open(&id()).await.unwrap_err();
    // Ordering: Relaxed, as in `check`.
    is_full.store(false, Ordering::Relaxed);
    let reading = Arc::clone(&store.reading);
    let first = tokio::spawn(async move { reading.sales().await });
    let opening = tokio::task::spawn_blocking(move || opening.recv().unwrap());
    opening.await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(10), store.reading.sales()).await;
    let told = second.expect("the second caller does not wait for the first");
    assert!(matches!(told, Err(StoreError::Refused(_))), "{told:?}");
    let_go.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn orders_reserved_on_a_full_disk_are_confirmed_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, is_full) = store(folder.path());
    let engine = Engine::start(store, Clock::by_hand(OPEN), crate::support::CALM).await.unwrap();
    let open = engine.create(&terms(10)).await.unwrap();
    // Ordering: Relaxed, as in `check`.
    is_full.store(true, Ordering::Relaxed);
    let seat = engine.roster().seat("ann").unwrap();
    let number =
        open.sale.buy(OPEN, Click { seat, ..crate::support::click(0, Gold, 1) }).unwrap().number;
    open.wake();
    while open.trouble().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(open.sale.board().read(number).unwrap().status, Status::Reserved);
    // Ordering: Relaxed, as in `check`.
    is_full.store(false, Ordering::Relaxed);
    let order = open.settled(number, Duration::from_secs(30)).await.unwrap();
    assert_eq!(order.status, Status::Confirmed);
    assert_eq!(engine.drain(Duration::from_secs(30)).await, 0);
}

#[tokio::test]
async fn the_audit_names_everything_that_does_not_add_up() {
    const HOLDERS: TableDefinition<'_, (&str, &str), (u32, u32, u64)> =
        TableDefinition::new("holders");
    const ORDERS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("orders");
    const OUTBOX: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("outbox");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::from(RedbStore::open(&path).unwrap());
    store.opening.create(&terms(10)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    for (number, name) in [(1, "ann"), (2, "bob"), (3, "cyd")] {
        store.selling.commit(&batch(epoch, vec![reserved(number, name, Gold, 2)])).await.unwrap();
    }
    assert!(store.reading.audit().await.unwrap().is_clean());
    drop(store);

    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(HOLDERS).unwrap().insert(("drop", "ann"), (3, 3, 1)).unwrap();
    txn.open_table(ORDERS).unwrap().remove(("drop", 2)).unwrap();
    txn.open_table(OUTBOX).unwrap().remove(("drop", 3)).unwrap();
    txn.commit().unwrap();
    drop(database);

    let audit = Store::from(RedbStore::open(&path).unwrap()).reading.audit().await.unwrap();
    assert!(!audit.is_clean());
    let said = audit.sales[0].differences.join("\n");
    for difference in [
        "units held by ann: the store says 3, its orders say 2",
        "units held by bob: the store says 2, its orders say 0",
        "outbox entry 2 tells of order 2, which is unknown",
        "order 3 has no outbox entry",
        "newest outbox entry: the store says 3, its orders say 2",
        "units left: the store says 4, its orders say 6",
        "confirmed by tier",
    ] {
        assert!(said.contains(difference), "{difference}\nis not in\n{said}");
    }
}

#[tokio::test]
async fn a_store_in_use_says_who_must_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let _first = RedbStore::open(&path).unwrap();
    let error = RedbStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("another process uses the data folder"), "{error}");
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, is_full) = store(folder.path());
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let first = batch(epoch, vec![reserved(1, "ann", Gold, 1)]);
    let verdicts = store.selling.commit(&first).await.unwrap();
    let join = || changes(epoch, 6_000, vec![Change::Join(waiting("ann", Gold, 1, 1))]);
    store.selling.change(&join()).await.unwrap();
    // Ordering: Relaxed, as in `check`.
    is_full.store(true, Ordering::Relaxed);
    let leave = vec![Change::Leave("bob".parse().unwrap())];
    store.selling.change(&changes(epoch, 6_001, leave)).await.unwrap();
    store.selling.change(&join()).await.unwrap();
    assert_eq!(store.selling.commit(&first).await.unwrap(), verdicts);
    let leave = vec![Change::Leave("ann".parse().unwrap())];
    assert!(store.selling.change(&changes(epoch, 6_002, leave)).await.is_err(), "this one writes");
}
