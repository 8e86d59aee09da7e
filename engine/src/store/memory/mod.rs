//! The store that forgets everything when the process ends: for trying out and for tests.

mod rows;

pub(super) use rows::{MemoryRows, SaleRows};

use super::row_store::{Keeper, Reader, RowStore};
use super::rows::{Rows, RowsMut, Stored};
use parking_lot::Mutex;

/// Sales in memory, one transaction at a time.
pub type MemoryStore = RowStore<Memory>;

/// Rows behind one lock.
#[derive(Debug, Default)]
pub struct Memory {
    rows: Mutex<MemoryRows>,
}

// Every transaction checks all that may fail before it writes, so a failed one has changed nothing;
// rows that were damaged before may be left half changed.
impl Reader for Memory {
    async fn read<T: Send + 'static>(
        &self,
        view: impl FnOnce(&dyn Rows) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let seen = view(&*self.rows.lock());
        std::future::ready(seen).await
    }
}

impl Keeper for Memory {
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn RowsMut) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let changed = change(&mut *self.rows.lock());
        std::future::ready(changed).await
    }
}
