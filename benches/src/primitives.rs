//! What an accepted click cannot do without, to be measured beside it.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// The words that an accepted click writes, in the same shape and size as a sale of so many units has them.
#[derive(Debug)]
pub struct Primitives {
    /// By open addressing, twice as many as units.
    members: Box<[AtomicU64]>,
    stock: CachePadded<AtomicU64>,
    number: CachePadded<AtomicU64>,
    slots: Box<[[AtomicU64; 4]]>,
}

impl Primitives {
    /// A sale of so many units, from 1.
    #[must_use]
    pub fn new(units: u32) -> Self {
        let words = |count: u32| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            members: words(2 * units),
            stock: CachePadded::new(AtomicU64::new(units.into())),
            number: CachePadded::new(AtomicU64::new(0)),
            slots: (0..units).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect(),
        }
    }

    /// One exchange on the member's word, found by a hash; one on the stock; a number; its slot. Returns what
    /// the member holds.
    ///
    /// # Panics
    /// When all units are sold.
    #[inline]
    pub fn all(&self, member: u32) -> u64 {
        let spread = u64::from(member.wrapping_mul(0x9e37_79b9));
        let mut at = ((spread * self.members.len() as u64) >> 32) as usize;
        let owner = u64::from(member) + 1;
        // Ordering: as on the engine's own words, so that the base is not cheaper than it could be.
        let mut held = self.members[at].load(Ordering::Relaxed);
        loop {
            if held != 0 && held >> 32 != owner {
                at = (at + 1) % self.members.len();
                held = self.members[at].load(Ordering::Relaxed);
                continue;
            }
            let more = owner << 32 | ((held & 0xffff_ffff) + 1);
            // Ordering: as above.
            let claimed = self.members[at].compare_exchange_weak(
                held,
                more,
                Ordering::Release,
                Ordering::Relaxed, // Ordering: as above.
            );
            match claimed {
                Ok(_) => break,
                Err(newer) => held = newer,
            }
        }
        // Ordering: as above.
        let mut left = self.stock.load(Ordering::Acquire);
        // Ordering: as above.
        while let Err(newer) = self.stock.compare_exchange_weak(
            left,
            left - 1,
            Ordering::AcqRel,
            Ordering::Acquire, // Ordering: as above.
        ) {
            left = newer;
        }
        // Ordering: as above.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let [seat, arrival, key, state] = &self.slots[usize::try_from(number).expect("a place")];
        for (word, value) in [(seat, owner), (arrival, number), (key, 0)] {
            // Ordering: as above.
            word.store(value, Ordering::Relaxed);
        }
        // Ordering: as above.
        state.store(1, Ordering::Release);
        // Ordering: as above.
        self.members[at].load(Ordering::Acquire)
    }
}
