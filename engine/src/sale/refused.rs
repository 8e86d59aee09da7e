//! Refused: the newest refusals of a sale, so that a member can be told why they did not get it.
//!
//! It is best effort and is written beside the judging of clicks: of a kind that comes too fast, only some are
//! kept.

use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::table::Table;
use crate::sync::{AtomicU64, CachePadded, Ordering};

/// Why a click was refused, by its place among the codes of those who write here, below 32.
pub type Kind = usize;

/// One refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Whose click it was.
    pub seat: Seat,
    /// Why.
    pub kind: Kind,
    /// When.
    pub at: Millis,
    /// Units that nobody held then.
    pub left: Units,
}

/// One kept refusal.
#[derive(Debug, Default)]
struct Slot {
    /// Bits 0..32 seat, 32..37 kind, 37..61 units left.
    what: AtomicU64,
    /// Bits 0..48 when, in milliseconds; 48..64 which round of the record it is of. 0 while it is written.
    at: AtomicU64,
}

/// Refusals that are kept; a model keeps two.
pub const REFUSALS_MAX: u32 = if cfg!(flash_loom) { 2 } else { 65_536 };
const KIND_AT: u32 = 32;
const LEFT_AT: u32 = 37;
const LEFT_MAX: u32 = (1 << 24) - 1;
const ROUND_AT: u32 = 48;

/// Kinds that there is room for.
const KINDS: usize = 32;
/// So many refusals of one kind are kept in each [`WINDOW_MS`].
const FAST_MAX: u64 = 512;
const WINDOW_MS: u64 = 100;
const COUNT_BITS: u32 = 24;

/// The newest refusals of a sale.
#[derive(Debug, Default)]
pub struct Record {
    slots: Table<Slot>,
    next: CachePadded<AtomicU64>,
    /// By kind: bits 24..64 which window it is, 0..24 how many came in it.
    fast: [CachePadded<AtomicU64>; KINDS],
}

impl Record {
    fn put(&self, refused: Refused) {
        // Ordering: Relaxed, a ticket only has to be unique.
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (most, place) = (u64::from(REFUSALS_MAX), place(ticket));
        let (round, slot) = (ticket / most, self.slots.get_or_grow(place));
        let Refused { seat, kind, at, left } = refused;
        let what = u64::from(left.0.min(LEFT_MAX)) << LEFT_AT
            | ((kind & (KINDS - 1)) as u64) << KIND_AT
            | u64::from(seat.number());
        // Ordering: Relaxed, published by the next store: a reader that finds the new value there finds this
        // one here, or a later one.
        slot.at.store(0, Ordering::Relaxed);
        // Ordering: Release, paired with the Acquire in `read`.
        slot.what.store(what, Ordering::Release);
        let at = (round + 1) << ROUND_AT | at.0.min(Millis::MAX.0);
        // Ordering: Release, paired with the Acquire in `read`: the refusal is whole.
        slot.at.store(at, Ordering::Release);
    }

    /// Keeps a refusal in the oldest one's place. Of a kind that comes very fast, what is too much in this
    /// moment is left out, at the cost of a read.
    pub fn note(&self, refused: Refused) {
        let counted = &self.fast[refused.kind & (KINDS - 1)];
        let window = (refused.at.0 / WINDOW_MS) << COUNT_BITS;
        // Ordering: Relaxed, a count that publishes nothing but itself.
        let fast = counted.load(Ordering::Relaxed);
        let is_this = fast >> COUNT_BITS == window >> COUNT_BITS;
        if is_this && fast & ((1 << COUNT_BITS) - 1) >= FAST_MAX {
            return;
        }
        let next = if is_this { fast + 1 } else { window + 1 };
        // Ordering: Relaxed, as above. Counts that meet may lose one of them, and one more is kept then.
        counted.store(next, Ordering::Relaxed);
        self.put(refused);
    }

    fn read(&self, place: usize) -> Option<Refused> {
        let slot = self.slots.get(place)?;
        // Ordering: Acquire, paired with the Release in `note`.
        let at = slot.at.load(Ordering::Acquire);
        // Ordering: Acquire, paired with the Release in `note`: who finds another refusal here finds below that
        // it was written meanwhile.
        let what = slot.what.load(Ordering::Acquire);
        // Ordering: Relaxed, ordered by the Acquire above.
        let is_whole = at != 0 && at == slot.at.load(Ordering::Relaxed);
        is_whole.then(|| Refused {
            seat: Seat::new((what & 0xffff_ffff) as u32),
            kind: (what >> KIND_AT) as Kind & (KINDS - 1),
            at: Millis(at & Millis::MAX.0),
            left: Units((what >> LEFT_AT) as u32 & LEFT_MAX),
        })
    }

    /// Every refusal that is kept and not being written, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Refused> {
        // Ordering: Relaxed, it only says how far there is something to read.
        let written = self.next.load(Ordering::Relaxed).min(REFUSALS_MAX.into());
        (0..written).filter_map(|ticket| self.read(place(ticket)))
    }
}

/// The place of the refusal with this ticket.
const fn place(ticket: u64) -> usize {
    ((ticket & 0xffff_ffff) as u32 % REFUSALS_MAX) as usize
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    fn refused(seat: u32, at: u64) -> Refused {
        Refused { seat: Seat::new(seat), kind: 9, at: Millis(at), left: Units(10_000_000) }
    }

    #[test]
    fn what_was_refused_reads_back_and_the_newest_stay() {
        let record = Record::default();
        let many = REFUSALS_MAX + 10;
        (0..many).for_each(|seat| record.put(refused(seat, u64::from(seat) + 1)));
        let kept: Vec<_> = record.iter().collect();
        assert_eq!(kept.len(), REFUSALS_MAX as usize);
        assert!(kept.iter().all(|kept| *kept == refused(kept.seat.number(), kept.at.0)));
        assert_eq!(kept.iter().map(|kept| kept.at.0).min(), Some(11));
        let last = Refused { seat: Seat::new(u32::MAX), kind: 31, at: Millis::MAX, left: Units(0) };
        record.put(last);
        assert!(record.iter().any(|kept| kept == last));
    }

    #[test]
    fn of_what_comes_too_fast_some_are_kept_in_each_moment() {
        let record = Record::default();
        for at in 0..1_000 {
            (0..10).for_each(|seat| record.note(refused(seat, 1_000 + at)));
        }
        assert_eq!(record.iter().count() as u64, 10 * FAST_MAX);
        let moments = (0..10).map(|nth| 1_000 + nth * WINDOW_MS);
        for moment in moments {
            let of = |kept: &Refused| kept.at.0 / WINDOW_MS == moment / WINDOW_MS;
            assert_eq!(record.iter().filter(of).count() as u64, FAST_MAX, "{moment}");
        }
    }
}
