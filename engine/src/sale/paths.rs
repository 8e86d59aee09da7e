//! Paths: cells found by open addressing, and never given up, in tables whose size follows the sale and not the
//! process.
//!
//! What a cell is for lies in the first on its path that is empty or its own. Two threads that bring the same
//! therefore meet at the same cell, where one exchange decides. A path is a run of neighbouring cells of the first
//! table, then a run of one that is twice as large, and so on.

use crate::sale::table::Table;
use crate::sync::{FIRST_CELLS_MAX, FIRST_CELLS_MIN, PATH_CELLS};

/// Cells that are found by 32 bits, which need not be spread.
#[derive(Debug)]
pub(crate) struct Paths<C> {
    first: Box<[C]>,
    /// The other tables, one behind the other. What lies here is made when a path comes to it.
    larger: Table<C>,
    /// Of the first one among the larger ones.
    larger_cells: usize,
}

/// A table's place among the larger ones, and how many cells it has.
#[derive(Clone, Copy)]
struct Level {
    begins_at: usize,
    cells: usize,
}

impl Level {
    fn next(self) -> Self {
        Self { begins_at: self.begins_at + self.cells, cells: self.cells * 2 }
    }
}

/// Cells of a table of which half stay empty when as many have come as were expected.
fn twice(expected: usize) -> usize {
    expected.saturating_mul(2).clamp(FIRST_CELLS_MIN, FIRST_CELLS_MAX)
}

impl<C: Default> Paths<C> {
    /// Room for so many is made now: those who come have it nearer.
    pub(crate) fn with_room_for(expected: usize) -> Self {
        let cells = twice(expected);
        Self {
            first: (0..cells).map(|_| C::default()).collect(),
            larger: Table::new(),
            larger_cells: cells * 2,
        }
    }

    /// Room for so many is made as they come, some 1,000 cells at a time: where none do, it takes little memory.
    pub(crate) fn as_they_come(expected: usize) -> Self {
        Self { first: Box::default(), larger: Table::new(), larger_cells: twice(expected) }
    }

    /// Goes along a path until `look` says what a cell is, as all do but those of others. `None`: the path's next
    /// cell was never made.
    #[inline]
    pub(crate) fn find<'a, R>(
        &'a self,
        place: u32,
        look: impl FnMut(&'a C) -> Option<R>,
    ) -> Option<R> {
        self.walk(place, |at| self.larger.get(at), look)
    }

    /// As [`Paths::find`], and makes the cells that the path comes to.
    #[inline]
    pub(crate) fn find_or_make<'a, R>(
        &'a self,
        place: u32,
        look: impl FnMut(&'a C) -> Option<R>,
    ) -> R {
        let found = self.walk(place, |at| Some(self.larger.get_or_grow(at)), look);
        found.expect("a path ends at no cell that is made")
    }

    #[inline]
    fn walk<'a, R>(
        &'a self,
        place: u32,
        larger: impl Fn(usize) -> Option<&'a C>,
        mut look: impl FnMut(&'a C) -> Option<R>,
    ) -> Option<R> {
        if !self.first.is_empty() {
            for step in 0..PATH_CELLS {
                let found = look(&self.first[nth(place, self.first.len(), step)]);
                if found.is_some() {
                    return found;
                }
            }
        }
        self.walk_larger(place, larger, look)
    }

    fn walk_larger<'a, R>(
        &'a self,
        place: u32,
        larger: impl Fn(usize) -> Option<&'a C>,
        mut look: impl FnMut(&'a C) -> Option<R>,
    ) -> Option<R> {
        let mut level = Level { begins_at: 0, cells: self.larger_cells };
        loop {
            for step in 0..PATH_CELLS {
                let found = look(larger(level.begins_at + nth(place, level.cells, step))?);
                if found.is_some() {
                    return found;
                }
            }
            level = level.next();
        }
    }

    /// The cells of the first table.
    #[cfg(test)]
    pub(crate) fn first(&self) -> &[C] {
        &self.first
    }

    /// Every cell that was made, in no particular order.
    #[cfg(not(flash_loom))]
    pub(crate) fn cells(&self) -> impl Iterator<Item = &C> {
        self.first.iter().chain(self.larger.cells())
    }
}

/// Which cell of a table a path comes to at a step.
#[inline]
fn nth(place: u32, cells: usize, step: usize) -> usize {
    // Multiplied by 2^32 over the golden ratio, numbers that follow one another lie far apart; the upper half
    // of the second product spreads them over any number of cells.
    let spread = u64::from(place.wrapping_mul(0x9e37_79b9));
    let at = ((spread * cells as u64) >> u32::BITS) as usize + step;
    if at < cells { at } else { at % cells }
}
