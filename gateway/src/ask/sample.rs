//! Sample: which part of many things is taken, at random.

use engine::sync::{AtomicU32, Ordering};

/// A part of all that can be changed while it is used.
#[derive(Debug)]
pub(crate) struct Sample(AtomicU32);

impl Sample {
    /// Takes this part, from 0 to 1.
    pub(crate) fn new(part: f32) -> Self {
        Self(AtomicU32::new(part.to_bits()))
    }

    /// Takes this part from now on.
    pub(crate) fn set(&self, part: f32) {
        // Ordering: Relaxed, a number that publishes nothing but itself.
        self.0.store(part.to_bits(), Ordering::Relaxed);
    }

    /// Whether the next one is taken.
    pub(crate) fn takes(&self) -> bool {
        // Ordering: Relaxed, as in `set`.
        let part = f32::from_bits(self.0.load(Ordering::Relaxed));
        part > 0.0 && fastrand::f32() < part
    }
}
