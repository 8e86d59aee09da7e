//! Aside: units that came back while a member waits. They are offered to the waitlist first, and no
//! click can take them before that.

use crate::rules::units::Units;
use crate::sync::{AtomicU64, Ordering};

const SOMEBODY_WAITS: u64 = 1 << 63;

/// Units that are taken from the stock and in no order. While no member waits there are none.
#[derive(Debug, Default)]
pub struct Aside {
    /// Bit 63: a member waits; the rest: units. One word, so that no unit is put aside for a
    /// waitlist that has just become empty.
    word: AtomicU64,
}

fn units(word: u64) -> Units {
    Units(u32::try_from(word & !SOMEBODY_WAITS).expect("fewer units than a sale may have"))
}

impl Aside {
    /// From now on a member waits.
    pub fn begin(&self) {
        // Ordering: Relaxed, no unit changes hands. `Stock::withdraw` publishes that a member waits.
        self.word.fetch_or(SOMEBODY_WAITS, Ordering::Relaxed);
    }

    /// From now on no member waits. Returns the units that lie here; they are the caller's now.
    #[must_use]
    pub fn end(&self) -> Units {
        // Ordering: Acquire, paired with the Release in `put`: when these units go on sale, their last
        // holder's limit must be seen to be free again.
        units(self.word.swap(0, Ordering::Acquire))
    }

    /// Lays units aside. Returns `false` if no member waits; the units are then still the caller's.
    #[must_use]
    pub fn put(&self, more: Units) -> bool {
        // Ordering: Relaxed, a first guess for the exchange.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & SOMEBODY_WAITS != 0 {
            let next = word + u64::from(more.0);
            // Ordering: Release, paired with the Acquire in `take`, `take_all` and `end`. On failure
            // only the value is used, and tried again.
            match self.word.compare_exchange_weak(
                word,
                next,
                Ordering::Release,
                Ordering::Relaxed, // Ordering: see above.
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes units for an order, all or none.
    #[must_use]
    pub fn take(&self, wanted: Units) -> Option<Taken<'_>> {
        // Ordering: Relaxed, a first guess for the exchange.
        let mut word = self.word.load(Ordering::Relaxed);
        while units(word) >= wanted {
            let next = word - u64::from(wanted.0);
            // Ordering: Acquire, paired with the Release in `put`: the member who is offered the units
            // may be the one who gave them up, and a pause that came before them must be seen. On
            // failure only the value is used.
            match self.word.compare_exchange_weak(
                word,
                next,
                Ordering::Acquire,
                Ordering::Relaxed, // Ordering: see above.
            ) {
                Ok(_) => return Some(Taken { aside: self, units: wanted }),
                Err(now) => word = now,
            }
        }
        None
    }

    /// Takes all units that lie here; members who wait go on waiting.
    #[must_use]
    pub fn take_all(&self) -> Units {
        // Ordering: Acquire, as in `end`.
        units(self.word.fetch_and(SOMEBODY_WAITS, Ordering::Acquire))
    }

    /// Units that lie here.
    #[must_use]
    pub fn units(&self) -> Units {
        // Ordering: Relaxed, the caller only looks at the count; `take` decides.
        units(self.word.load(Ordering::Relaxed))
    }
}

/// Units taken from those that lay aside; laid back when dropped unless kept. Only the task that
/// serves the members who wait takes any, so a member still waits when they are laid back.
#[must_use = "dropping it lays its units back"]
#[derive(Debug)]
pub struct Taken<'a> {
    aside: &'a Aside,
    units: Units,
}

impl Taken<'_> {
    /// How many units were taken.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// The units now belong to an order.
    pub fn keep(mut self) {
        self.units = Units(0);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.units.0 > 0 {
            let is_put = self.aside.put(self.units);
            assert!(is_put, "the member who is offered these units waits");
        }
    }
}
