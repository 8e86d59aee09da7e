//! The redb file, and its transactions.
//!
//! After an error of the disk redb takes no more work until the file is opened anew. So the file is
//! dropped and opened again at the next call: when the disk works again, everything goes on by
//! itself.

use super::failure::failed;
use super::look::{explained, look};
use super::rows::{Tables, Views};
use crate::store::StoreError;
use crate::store::row_store::{Keeper, Reader, RowStore};
use crate::store::rows::{Rows, RowsMut, Stored};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How the file is opened; tests put a failing disk here.
pub type Disk = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// Sales in one redb file, which no other process may have open.
pub type RedbStore = RowStore<RedbFile>;

/// Rows in one redb file.
pub struct RedbFile {
    file: Arc<File>,
}

struct File {
    disk: Disk,
    state: Mutex<State>,
}

enum State {
    Closed,
    /// One caller opens the file; the others do not wait for that.
    Opening,
    Open(Arc<Database>),
}

impl fmt::Debug for RedbFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbFile").finish_non_exhaustive()
    }
}

/// Memory for cached pages.
const CACHE_BYTES: usize = 256 << 20;

impl RowStore<RedbFile> {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened: another process has it open, or it is not a
    /// store.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        look(path)?;
        let file = path.to_owned();
        Self::with(Box::new(move || {
            Ok(Database::builder().set_cache_size(CACHE_BYTES).create(&file)?)
        }))
        .map_err(|error| explained(error, path))
    }

    /// Opens the file by `disk`, now and after every failure of the disk.
    ///
    /// # Errors
    /// As for [`RedbStore::open`].
    pub fn with(disk: Disk) -> Result<Self, StoreError> {
        let file = File { disk, state: Mutex::new(State::Closed) };
        file.make_tables()?;
        Ok(Self { keeper: RedbFile { file: Arc::new(file) } })
    }
}

impl RedbFile {
    /// Runs a transaction on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        transaction: impl FnOnce(&File) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || transaction(&file)).await;
        done.unwrap_or_else(|panic| Err(StoreError::Damaged(format!("redb gave up: {panic}"))))
    }
}

impl Reader for RedbFile {
    async fn read<T: Send + 'static>(
        &self,
        view: impl FnOnce(&dyn Rows) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        self.run(move |file| file.read(view)).await
    }
}

impl Keeper for RedbFile {
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn RowsMut) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        self.run(move |file| file.write(change)).await
    }
}

impl File {
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut state = self.state.lock();
        match &*state {
            State::Open(database) => return Ok(Arc::clone(database)),
            State::Opening => {
                return Err(StoreError::Refused("the store's file is being opened again".into()));
            }
            State::Closed => *state = State::Opening,
        }
        drop(state);
        let opened = (self.disk)().map(Arc::new).map_err(failed);
        *self.state.lock() = match &opened {
            Ok(database) => State::Open(Arc::clone(database)),
            Err(_) => State::Closed,
        };
        opened
    }

    fn read<T>(&self, view: impl FnOnce(&dyn Rows) -> Stored<T>) -> Stored<T> {
        let database = self.database()?;
        let seen = database.begin_read().map_err(failed).and_then(|txn| view(&Views::open(&txn)?));
        self.check(seen, &database)
    }

    fn make_tables(&self) -> Stored<()> {
        let database = self.database()?;
        let made = database.begin_write().map_err(failed).and_then(|txn| {
            Tables::open(&txn)?;
            txn.commit().map_err(failed)
        });
        self.check(made, &database)
    }

    /// Runs one transaction; it is on disk when this returns `Ok`. One that has changed nothing costs
    /// no write to the disk.
    fn write<T>(&self, change: impl FnOnce(&mut dyn RowsMut) -> Stored<T>) -> Stored<T> {
        let database = self.database()?;
        let changed = database.begin_write().map_err(failed).and_then(|txn| {
            let mut tables = Tables::open(&txn)?;
            let value = change(&mut tables)?;
            let is_changed = tables.is_changed();
            drop(tables);
            match is_changed {
                true => txn.commit().map_err(failed)?,
                false => txn.abort().map_err(failed)?,
            }
            Ok(value)
        });
        self.check(changed, &database)
    }

    /// Closes the file after an error of the disk, unless it has been opened anew since.
    fn check<T>(&self, outcome: Stored<T>, used: &Arc<Database>) -> Stored<T> {
        if matches!(outcome, Err(StoreError::Unknown(_))) {
            let mut state = self.state.lock();
            if matches!(&*state, State::Open(database) if Arc::ptr_eq(database, used)) {
                *state = State::Closed;
            }
        }
        outcome
    }
}
