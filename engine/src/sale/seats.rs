//! Seats of one sale: a word of 32 bits for each seat that has come to it. One exchange takes a seat's cell and
//! writes its word.

use crate::rules::seat::Seat;
use crate::sale::paths::Paths;
use crate::sync::{AtomicU64, Ordering};

/// Bits 0..32: the seat's word. Bits 32..64: the seat's index plus one; 0 while the cell is empty.
type Cell = AtomicU64;

const OWNER_AT: u32 = 32;

/// A word for each seat; 0 for a seat that has not come.
#[derive(Debug)]
pub(crate) struct Seats(Paths<Cell>);

impl Seats {
    /// Half of the first table stays empty when so many seats have come.
    pub(crate) fn with_room_for(seats: usize) -> Self {
        Self(Paths::with_room_for(seats))
    }

    /// The seat's word. A thread that sees it also sees what was done before it was written.
    #[inline]
    pub(crate) fn read(&self, seat: Seat) -> u32 {
        self.find(seat).map_or(0, |found| found.word)
    }

    /// The word of a seat, if it has come.
    #[inline]
    pub(crate) fn find(&self, seat: Seat) -> Option<Word<'_>> {
        self.0.find(seat.number(), |cell| look(cell, seat)).flatten()
    }

    /// Changes the seat's word, to what `to` makes of it, in one step. The seat gets a cell if it has none.
    ///
    /// # Errors
    /// What `to` returns; nothing has changed.
    #[inline]
    pub(crate) fn change<E>(
        &self,
        seat: Seat,
        to: impl Fn(u32) -> Result<u32, E>,
    ) -> Result<Word<'_>, E> {
        self.0.find_or_make(seat.number(), |cell| change_in(cell, seat, &to))
    }
}

/// The seat's word, or nothing if the cell is empty; `None` if it is another seat's.
#[inline]
#[expect(clippy::option_option, reason = "the outer one ends a path")]
fn look(cell: &Cell, seat: Seat) -> Option<Option<Word<'_>>> {
    // Ordering: Acquire, paired with the Release in `change_in`.
    let now = cell.load(Ordering::Acquire);
    match now >> OWNER_AT {
        0 => Some(None),
        found if found == owner(seat) => Some(Some(Word { cell, word: word_of(now) })),
        _ => None,
    }
}

/// Changes the seat's word if the cell is empty or its own; `None` if it is another seat's.
#[inline]
fn change_in<'a, E>(
    cell: &'a Cell,
    seat: Seat,
    to: &impl Fn(u32) -> Result<u32, E>,
) -> Option<Result<Word<'a>, E>> {
    let owner = owner(seat);
    // Ordering: Relaxed, the value is only a first guess for the exchange.
    let mut now = cell.load(Ordering::Relaxed);
    while now == 0 || now >> OWNER_AT == owner {
        let word = match to(word_of(now)) {
            Ok(word) => word,
            Err(error) => return Some(Err(error)),
        };
        // Ordering: Release, paired with the Acquire in `look`. The words themselves are safe under any
        // ordering: a read-modify-write always sees the newest value of its own cell.
        match cell.compare_exchange_weak(
            now,
            owner << OWNER_AT | u64::from(word),
            Ordering::Release,
            Ordering::Relaxed, // Ordering: only the value is used, and tried again.
        ) {
            Ok(_) => return Some(Ok(Word { cell, word })),
            Err(newer) => now = newer,
        }
    }
    None
}

#[inline]
fn owner(seat: Seat) -> u64 {
    u64::from(seat.number()) + 1
}

#[inline]
const fn word_of(cell: u64) -> u32 {
    (cell & 0xffff_ffff) as u32
}

/// The word of a seat that has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    cell: &'a Cell,
    /// As it was found or written.
    word: u32,
}

impl Word<'_> {
    /// Takes something off the word, which must be as large. Returns what it was before.
    #[inline]
    pub(crate) fn take_off(self, amount: u32) -> u32 {
        // Ordering: Relaxed, what is taken off publishes nothing.
        word_of(self.cell.fetch_sub(u64::from(amount), Ordering::Relaxed))
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    fn add(seats: &Seats, seat: u32, more: u32) {
        seats.change(Seat::new(seat), |word| Ok::<_, Infallible>(word + more)).unwrap();
    }

    #[test]
    fn every_seat_keeps_its_word_however_many_come() {
        let (seats, mut rng) = (Seats::with_room_for(1), fastrand::Rng::with_seed(1));
        let mut expected = BTreeMap::new();
        for _ in 0..20_000 {
            let seat = match rng.bool() {
                true => rng.u32(..10_000),
                false => u32::MAX - rng.u32(1..10_000),
            };
            add(&seats, seat, 1);
            *expected.entry(seat).or_insert(0) += 1;
        }
        for (seat, word) in &expected {
            assert_eq!(seats.read(Seat::new(*seat)), *word, "seat {seat}");
        }
        assert_eq!(seats.read(Seat::new(20_000)), 0);
        assert!(seats.find(Seat::new(20_000)).is_none());
    }

    #[test]
    fn a_change_that_is_refused_takes_no_cell() {
        let seats = Seats::with_room_for(1);
        seats.change(Seat::new(1), |_| Err::<u32, _>("no")).unwrap_err();
        assert!(seats.find(Seat::new(1)).is_none());
    }

    #[test]
    fn as_many_buyers_as_a_sale_has_units_find_their_cells_in_its_first_table() {
        let (seats, mut rng) = (Seats::with_room_for(100_000), fastrand::Rng::with_seed(2));
        for _ in 0..100_000 {
            add(&seats, rng.u32(..8_000_000), 1);
        }
        // Ordering: Relaxed, one thread.
        let taken = |cell: &Cell| cell.load(Ordering::Relaxed) != 0;
        let found = seats.0.first().iter().filter(|cell| taken(cell)).count();
        assert!(found > 98_000, "{found} of nearly 100,000");
    }

    #[test]
    fn threads_that_bring_the_same_seats_count_each_once() {
        let seats = Seats::with_room_for(1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|seat| add(&seats, seat, 1)));
            }
        });
        assert!((0..5_000).all(|seat| seats.read(Seat::new(seat)) == 4));
    }
}
