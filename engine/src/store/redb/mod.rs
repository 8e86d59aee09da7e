//! The embedded store: one redb file, one durable transaction per batch. The default.
//!
//! After an error of the disk redb takes no more work until the file is opened anew. So the file is
//! dropped and opened again at the next call: when the disk is well, everything goes on by itself.

mod rows;

use super::commit::{self, Rows};
use super::{
    Audit, Batch, Changed, Changes, Head, Opened, OutboxEntry, Record, Store, StoreError, Switch,
    Verdict, Waiting, change,
};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase};
use rows::{Tables, Views};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How the file is opened; tests put a failing disk here.
pub type Disk = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// Sales in one redb file, which this process holds alone.
pub struct RedbStore {
    file: Arc<File>,
}

struct File {
    disk: Disk,
    open: Mutex<Option<Arc<Database>>>,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Memory for cached pages.
    const CACHE_BYTES: usize = 256 << 20;

    /// Opens the file, made if it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened: another process holds it, or it is not a store.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::with(Box::new(move || {
            Ok(Database::builder().set_cache_size(Self::CACHE_BYTES).create(&path)?)
        }))
    }

    /// Opens the file by `disk`, now and after every failure of the disk.
    ///
    /// # Errors
    /// As for [`RedbStore::open`].
    pub fn with(disk: Disk) -> Result<Self, StoreError> {
        let file = File { disk, open: Mutex::new(None) };
        file.write(|_| Ok(()))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Runs a transaction where it may block.
    async fn run<T: Send + 'static>(
        &self,
        transaction: impl FnOnce(&File) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || transaction(&file)).await;
        done.unwrap_or_else(|panic| Err(StoreError::Damaged(format!("redb gave up: {panic}"))))
    }
}

impl File {
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut open = self.open.lock();
        if open.is_none() {
            *open = Some(Arc::new((self.disk)().map_err(failed)?));
        }
        Ok(Arc::clone(open.as_ref().expect("opened above")))
    }

    fn read<T>(&self, view: impl FnOnce(&Views) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.database()?;
        let seen = database.begin_read().map_err(failed).and_then(|txn| view(&Views::open(&txn)?));
        self.check(seen)
    }

    /// One transaction, on disk when this returns `Ok`.
    fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.database()?;
        let changed = database.begin_write().map_err(failed).and_then(|txn| {
            let value = change(&mut Tables::open(&txn)?)?;
            txn.commit().map_err(failed)?;
            Ok(value)
        });
        self.check(changed)
    }

    fn check<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unknown(_))) {
            *self.open.lock() = None;
        }
        outcome
    }
}

/// An error of the disk leaves open whether the commit got through; the rest is damage.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error @ (redb::Error::Io(_) | redb::Error::Backend(_) | redb::Error::PreviousIo) => {
            StoreError::Unknown(format!(
                "the disk of the data folder fails ({error}); free space or repair it"
            ))
        }
        error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch) => {
            StoreError::Refused(format!(
                "another process uses the data folder ({error}); stop it or choose another folder"
            ))
        }
        error => StoreError::Damaged(error.to_string()),
    }
}

#[async_trait]
impl Store for RedbStore {
    fn batch_orders_max(&self) -> usize {
        8_192
    }

    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        let terms = terms.clone();
        self.run(move |file| file.write(|rows| commit::create(rows, &terms))).await
    }

    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        self.run(|file| file.read(Rows::sales)).await
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        let sale = sale.clone();
        self.run(move |file| file.write(|rows| commit::open(rows, &sale))).await
    }

    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        let sale = sale.clone();
        self.run(move |file| file.read(|rows| commit::hold(rows, &sale, epoch))).await
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        let (sale, orders) = (sale.clone(), orders.to_vec());
        self.run(move |file| file.write(|rows| change::restore(rows, &sale, epoch, &orders))).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        let batch = batch.clone();
        self.run(move |file| file.write(|rows| commit::commit(rows, &batch))).await
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        let changes = changes.clone();
        self.run(move |file| file.write(|rows| change::change(rows, &changes))).await
    }

    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        let sale = sale.clone();
        self.run(move |file| file.write(|rows| commit::switch(rows, &sale, epoch, switch))).await
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        let (sale, key) = (sale.clone(), key.to_owned());
        self.run(move |file| file.write(|rows| commit::top_up(rows, &sale, epoch, &key, add))).await
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        let sale = sale.clone();
        self.run(move |file| file.read(|rows| rows.order(&sale, number))).await
    }

    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError> {
        let (sale, member) = (sale.clone(), member.clone());
        self.run(move |file| file.read(|rows| commit::orders_of(rows, &sale, &member))).await
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let sale = sale.clone();
        self.run(move |file| {
            file.read(|rows| commit::page(most, |see| rows.each_order(&sale, after, see)))
        })
        .await
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let sale = sale.clone();
        self.run(move |file| {
            file.read(|rows| commit::page(most, |see| rows.each_entry(&sale, after, see)))
        })
        .await
    }

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        let sale = sale.clone();
        self.run(move |file| {
            file.read(|rows| commit::page(usize::MAX, |see| rows.each_waiting(&sale, see)))
        })
        .await
    }

    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        self.run(|file| file.read(Views::blocked)).await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        let member = member.clone();
        self.run(move |file| file.write(|rows| rows.block(&member, is_blocked))).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.run(|file| file.read(super::audit::audit)).await
    }
}
