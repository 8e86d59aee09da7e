//! Key cell: where one idempotency key of a sale lies, and what it stands for.

use crate::rules::key::IdempotencyKey;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
use crate::sync::{AtomicU64, Ordering};
#[cfg(not(flash_loom))]
use std::num::NonZeroU64;

/// A key's cell.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// The key, in its member's own spread; 0 while the cell is empty. It never changes once it is written.
    owner: AtomicU64,
    /// [`JUDGED`], [`FORGOTTEN`], or what the key stands for: bits 0..32 the order's number, 32..48 its units,
    /// `IS_TENDERED`, 49..64 of its seat.
    stands_for: AtomicU64,
}

/// The key's click is being judged.
const JUDGED: u64 = 0;
/// The key's click was refused. No order has this number.
const FORGOTTEN: u64 = 1 << UNITS_AT;
const UNITS_AT: u32 = 32;
/// Points or a coupon pay the order in part.
const IS_TENDERED: u64 = 1 << 48;
const SEAT_AT: u32 = 49;

/// What a cell says of a key.
pub(super) enum Look {
    Unknown,
    Judged,
    Order(Stood),
}

/// What a key stands for.
#[derive(Clone, Copy)]
pub(super) struct Stood(u64);

impl Stood {
    pub(super) fn new(seat: Seat, units: Units, is_tendered: bool, number: u64) -> Self {
        let number = u32::try_from(number).expect("no store takes an order with such a number");
        let tendered = if is_tendered { IS_TENDERED } else { 0 };
        let units = u64::from(units.0 & 0xffff) << UNITS_AT;
        Self(u64::from(number) | units | tendered | u64::from(seat.number()) << SEAT_AT)
    }

    pub(super) const fn number(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    pub(super) const fn units(self) -> Units {
        Units((self.0 >> UNITS_AT & 0xffff) as u32)
    }

    /// Whether points or a coupon pay the order in part.
    pub(super) const fn is_tendered(self) -> bool {
        self.0 & IS_TENDERED != 0
    }

    /// Whether it may be of this seat. Two members' keys that are equal in their spreads are told apart by it.
    const fn is_of(self, seat: Seat) -> bool {
        self.0 >> SEAT_AT == (seat.number() as u64) << SEAT_AT >> SEAT_AT
    }
}

impl Cell {
    /// Whether no key ever had it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        // Ordering: Relaxed, tests look when their threads are joined.
        self.owner.load(Ordering::Relaxed) == 0
    }

    /// What it says of this seat's key; `None` if it is another key's.
    #[inline]
    pub(super) fn look(&self, owner: u64, seat: Seat) -> Option<Look> {
        // Ordering: Relaxed, the cell's own word publishes nothing. A click that met what a key's click had claimed
        // finds the key here: it was written before the claim, which is Release, and is read behind an Acquire.
        match self.owner.load(Ordering::Relaxed) {
            0 => Some(Look::Unknown),
            found if found == owner => self.look_own(seat),
            _ => None,
        }
    }

    /// The number of the order that the cell's key stands for, and the key in its member's spread.
    #[cfg(not(flash_loom))]
    pub(super) fn order(&self) -> Option<(u64, u64)> {
        let number = Stood(self.stands_for()).number();
        // Ordering: Relaxed, written before what was acquired above.
        (number != 0).then(|| (number, self.owner.load(Ordering::Relaxed)))
    }

    /// From now on the cell's key stands for an order.
    #[inline]
    pub(super) fn keep(&self, stood: Stood) {
        // Ordering: Release, paired with the Acquire in `stands_for`.
        self.stands_for.store(stood.0, Ordering::Release);
    }

    /// The click of the cell's key was refused.
    #[inline]
    pub(super) fn forget(&self) {
        // Ordering: Relaxed. A click that begins again at once may still meet what this one had claimed, as any click
        // beside another one of its member may.
        self.stands_for.store(FORGOTTEN, Ordering::Relaxed);
    }

    fn stands_for(&self) -> u64 {
        // Ordering: Acquire, paired with the Release in `keep`: the order is on the board.
        self.stands_for.load(Ordering::Acquire)
    }

    fn look_own(&self, seat: Seat) -> Option<Look> {
        match self.stands_for() {
            JUDGED => Some(Look::Judged),
            FORGOTTEN => Some(Look::Unknown),
            stood if Stood(stood).is_of(seat) => Some(Look::Order(Stood(stood))),
            _ => None,
        }
    }

    /// Takes the cell for a key that is unknown; inside, `None` if the key is known.
    #[inline]
    #[expect(clippy::option_option, reason = "the outer one ends a path")]
    pub(super) fn begin(&self, owner: u64, seat: Seat) -> Option<Option<&Self>> {
        // Ordering: Relaxed, as in `look`.
        let taken = self.owner.compare_exchange(0, owner, Ordering::Relaxed, Ordering::Relaxed);
        match taken {
            Ok(_) => Some(Some(self)),
            Err(found) if found == owner => self.begin_own(seat),
            Err(_) => None,
        }
    }

    #[expect(clippy::option_option, reason = "the outer one ends a path")]
    fn begin_own(&self, seat: Seat) -> Option<Option<&Self>> {
        match self.look_own(seat)? {
            Look::Unknown => {
                // Ordering: Relaxed, as in `look`: a click that meets what is claimed after this finds it judged.
                let again = self.stands_for.compare_exchange(
                    FORGOTTEN,
                    JUDGED,
                    Ordering::Relaxed,
                    Ordering::Relaxed, // Ordering: the value is not used.
                );
                Some(again.is_ok().then_some(self))
            }
            Look::Judged | Look::Order(_) => Some(None),
        }
    }
}

/// The key in its member's own spread: two keys of a member never become one.
#[inline]
pub(super) fn owner(seat: Seat, key: IdempotencyKey) -> u64 {
    match key.0.get() ^ spread(seat) {
        // No key is 0, so the spread itself is no other key's.
        0 => spread(seat),
        owner => owner,
    }
}

/// Not 0 for any seat: an odd factor loses nothing.
#[inline]
pub(super) fn spread(seat: Seat) -> u64 {
    (u64::from(seat.number()) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The key that is this in its member's spread.
#[cfg(not(flash_loom))]
pub(super) fn key(owner: u64, seat: Seat) -> Option<IdempotencyKey> {
    let key = NonZeroU64::new(owner ^ spread(seat)).or(NonZeroU64::new(spread(seat)));
    key.map(IdempotencyKey)
}
