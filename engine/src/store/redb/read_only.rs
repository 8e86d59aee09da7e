//! The redb file, opened for reading alone: nothing that is stored can change.

use super::failure::failed;
use super::look::{Found, explained, look};
use super::rows::Views;
use crate::store::StoreError;
use crate::store::row_store::{Reader, RowStore};
use crate::store::rows::{Rows, Stored};
use redb::{Database, ReadOnlyDatabase, ReadableDatabase};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Sales in one redb file that is only read.
pub type ReadOnlyRedbStore = RowStore<ReadOnlyFile>;

/// Rows in one redb file that is only read.
pub struct ReadOnlyFile(Arc<ReadOnlyDatabase>);

impl fmt::Debug for ReadOnlyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyFile").finish_non_exhaustive()
    }
}

impl RowStore<ReadOnlyFile> {
    /// Opens a file that is there. A file that its process did not close is repaired first.
    ///
    /// # Errors
    /// [`StoreError`] when nothing is stored there, when another process has the file open, or when
    /// it is not a store.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        let database = match look(path)? {
            Found::Store(database) => database,
            Found::Unclosed => repaired(path).map_err(|error| explained(failed(error), path))?,
            Found::Nothing => return Err(StoreError::Unusable(format!("there is no {shown}"))),
            Found::EmptyFile => {
                return Err(StoreError::Unusable(format!("{shown} is empty: nothing was stored")));
            }
        };
        Ok(Self { keeper: ReadOnlyFile(Arc::new(database)) })
    }
}

fn repaired(path: &Path) -> Result<ReadOnlyDatabase, redb::Error> {
    drop(Database::open(path)?);
    Ok(ReadOnlyDatabase::open(path)?)
}

impl Reader for ReadOnlyFile {
    async fn read<T: Send + 'static>(
        &self,
        view: impl FnOnce(&dyn Rows) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let database = Arc::clone(&self.0);
        let read = move || view(&Views::open(&database.begin_read().map_err(failed)?)?);
        let done = tokio::task::spawn_blocking(read).await;
        done.unwrap_or_else(|panic| Err(StoreError::Damaged(format!("redb gave up: {panic}"))))
    }
}
