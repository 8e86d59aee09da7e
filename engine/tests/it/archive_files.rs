//! The archive beside the journal: whatever a process ends in the middle of, a sale is in one of the two.

use crate::support::Move::{Pay, Refund};
use crate::support::{batch, changes, id, reserved, terms};
use engine::rules::order::Status::{Paid, Returned};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::store::{JournalOptions, JournalStore, Store, StoreError, Switch};
use membership::Tier::Gold;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn open(folder: &Path, snapshot_bytes: u64) -> Result<Store, StoreError> {
    let options = JournalOptions {
        outbox_keep: Duration::from_secs(3_600),
        segment_bytes: 512,
        snapshot_bytes,
    };
    JournalStore::open(folder, options).map(Store::from)
}

/// Makes a sale with a paid order and closes it.
async fn over(store: &Store) -> u64 {
    store.opening.create(&terms(10)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    let paid = changes(epoch, 6_000, vec![Pay.of(epoch, 1, Units(1))]);
    store.selling.change(&paid).await.unwrap();
    store.operating.switch(&id(), epoch, Switch::Close).await.unwrap();
    epoch
}

async fn status(store: &Store) -> engine::rules::order::Status {
    assert!(store.reading.audit().await.unwrap().is_clean());
    store.reading.order(&id(), 1).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_sale_is_archived_or_live_after_every_restart() {
    // With a snapshot all the time, and without any.
    for snapshot_bytes in [1, u64::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder, snapshot_bytes).unwrap();
        let first = over(&store).await;
        store.archiving.archive(&id(), first, Millis(6_000)).await.unwrap();
        drop(store);
        let store = open(folder, snapshot_bytes).unwrap();
        assert_eq!(store.reading.sales().await.unwrap(), []);
        assert_eq!(status(&store).await, Paid);
        let epoch = store.opening.open(&id()).await.unwrap().epoch;
        drop(store);
        let store = open(folder, snapshot_bytes).unwrap();
        assert_eq!(store.reading.sales().await.unwrap(), [id()]);
        let refund = changes(epoch, 7_000, vec![Refund.of(first, 1, Units(1))]);
        store.selling.change(&refund).await.unwrap();
        drop(store);
        let store = open(folder, snapshot_bytes).unwrap();
        assert_eq!(status(&store).await, Returned);
        store.archiving.archive(&id(), epoch, Millis(7_000)).await.unwrap();
        drop(store);
        let store = open(folder, snapshot_bytes).unwrap();
        assert_eq!(store.reading.sales().await.unwrap(), []);
        assert_eq!(status(&store).await, Returned);
        store.archiving.delete(&id()).await.unwrap();
        drop(store);
        let store = open(folder, snapshot_bytes).unwrap();
        assert_eq!(store.reading.order(&id(), 1).await.unwrap(), None);
        assert_eq!(store.opening.create(&terms(10)).await, Err(StoreError::SaleExists));
    }
}

/// The files of the journal in this folder.
fn journal(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let is_journal = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with("journal-")
    };
    files.filter(is_journal).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn put_back(folder: &Path, files: &[(std::path::PathBuf, Vec<u8>)]) {
    for (path, _) in journal(folder) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_crash_before_the_journal_says_archived_leaves_the_sale_live() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, u64::MAX).unwrap();
    let epoch = over(&store).await;
    drop(store);
    let before = journal(folder);
    let store = open(folder, u64::MAX).unwrap();
    store.archiving.archive(&id(), epoch, Millis(6_000)).await.unwrap();
    drop(store);
    put_back(folder, &before);
    let store = open(folder, u64::MAX).unwrap();
    assert_eq!(store.reading.sales().await.unwrap(), [id()]);
    assert_eq!(store.archiving.look(&id()).await.unwrap(), None);
    assert_eq!(store.archiving.archived_after("", 9).await.unwrap(), []);
    let refund = changes(epoch, 7_000, vec![Refund.of(epoch, 1, Units(1))]);
    store.selling.change(&refund).await.unwrap();
    store.archiving.archive(&id(), epoch, Millis(7_000)).await.unwrap();
    assert_eq!(status(&store).await, Returned);
}

#[tokio::test]
async fn an_archive_that_is_gone_or_older_is_damage_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, u64::MAX).unwrap();
    let epoch = over(&store).await;
    drop(store);
    let older = fs::read(folder.join("archive.redb")).unwrap();
    let store = open(folder, u64::MAX).unwrap();
    store.archiving.archive(&id(), epoch, Millis(6_000)).await.unwrap();
    drop(store);
    for spoil in [None, Some(older)] {
        match spoil {
            None => fs::remove_file(folder.join("archive.redb")).unwrap(),
            Some(bytes) => fs::write(folder.join("archive.redb"), bytes).unwrap(),
        }
        match open(folder, u64::MAX) {
            Err(StoreError::Damaged(why)) => {
                assert!(why.contains("archive.redb is of version 0"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }
}
