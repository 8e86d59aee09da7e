//! A table that grows under its readers: cells are made chunk by chunk, never moved, never freed
//! before the table is.
//!
//! A process's seats and a sale's order numbers are dense, so the hot path indexes instead of hashing. Growing is
//! lock-free: threads that meet at a missing chunk each make one, and all but one are dropped.

use crate::sync::{CHUNK_CELLS, FAN_OUT, OnceBox};

type Chunk<T> = [T; CHUNK_CELLS];
type Page<T> = [OnceBox<Chunk<T>>; FAN_OUT];

/// Cells numbered from 0; 4,294,967,296 of them outside models.
#[derive(Debug)]
pub struct Table<T> {
    pages: Box<[OnceBox<Page<T>>; FAN_OUT]>,
}

impl<T: Default> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Table<T> {
    /// A table without a cell.
    #[must_use]
    pub fn new() -> Self {
        Self { pages: boxed(OnceBox::new) }
    }

    /// The cell, if its chunk was ever written to. Allocates nothing.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (page, chunk, cell) = split(index);
        self.pages.get(page)?.get()?[chunk].get()?.get(cell)
    }

    /// The cell, made if it is not there yet.
    ///
    /// # Panics
    /// When `index` is past the last cell: callers bound their indices.
    #[inline]
    pub fn get_or_grow(&self, index: usize) -> &T {
        match self.get(index) {
            Some(cell) => cell,
            None => self.grow(index),
        }
    }

    /// Every cell of every chunk that was made, by index.
    #[cfg(not(flash_loom))]
    pub(crate) fn cells(&self) -> impl Iterator<Item = &T> {
        let pages = self.pages.iter().filter_map(OnceBox::get);
        pages.flat_map(|page| page.iter().filter_map(OnceBox::get).flatten())
    }

    #[cold]
    fn grow(&self, index: usize) -> &T {
        let (page, chunk, cell) = split(index);
        let page = self.pages[page].get_or_init(|| boxed(OnceBox::new));
        &page[chunk].get_or_init(|| boxed(T::default))[cell]
    }
}

#[inline]
const fn split(index: usize) -> (usize, usize, usize) {
    (index / (CHUNK_CELLS * FAN_OUT), index / CHUNK_CELLS % FAN_OUT, index % CHUNK_CELLS)
}

/// Made on the heap: a chunk is too large for some threads' stacks.
fn boxed<T, const N: usize>(cell: impl Fn() -> T) -> Box<[T; N]> {
    let cells: Box<[T]> = (0..N).map(|_| cell()).collect();
    cells.try_into().ok().expect("collected N cells")
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicU32, Ordering};

    #[test]
    fn a_cell_is_where_it_was_left_and_its_neighbours_are_untouched() {
        let table: Table<AtomicU32> = Table::new();
        let far = CHUNK_CELLS * FAN_OUT + 1;
        assert!(table.get(far).is_none());
        // Ordering: Relaxed, one thread.
        table.get_or_grow(far).store(7, Ordering::Relaxed);
        assert_eq!(table.get(far).unwrap().load(Ordering::Relaxed), 7);
        assert_eq!(table.get(far - 1).unwrap().load(Ordering::Relaxed), 0);
        assert!(table.get(0).is_none());
        assert!(table.get(FAN_OUT * FAN_OUT * CHUNK_CELLS).is_none());
    }
}
