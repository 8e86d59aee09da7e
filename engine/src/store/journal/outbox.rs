//! Outbox: where in the journal the entries of a sale's outbox are.

use serde::{Deserialize, Serialize};

/// The entries that one section makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spot {
    /// The entry before the first one.
    pub(super) after: u64,
    /// The block that the section is in, and where that begins in its segment.
    pub(super) block: u64,
    pub(super) offset: u32,
}

/// The sections that made entries, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outbox {
    spots: Vec<Spot>,
}

impl Outbox {
    pub(super) fn push(&mut self, spot: Spot) {
        self.spots.push(spot);
    }

    /// The spots from the one on that has the entry behind `after`.
    pub(super) fn from(&self, after: u64) -> &[Spot] {
        let first = self.spots.partition_point(|spot| spot.after <= after);
        &self.spots[first.saturating_sub(1)..]
    }

    /// Forgets what is in blocks before `block`. Returns the entry before the first one that is left;
    /// `None` if nothing was forgotten.
    pub(super) fn trim(&mut self, block: u64, newest: u64) -> Option<u64> {
        let gone = self.spots.partition_point(|spot| spot.block < block);
        self.spots.drain(..gone);
        (gone > 0).then(|| self.spots.first().map_or(newest, |spot| spot.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_the_one_before_them() {
        let mut outbox = Outbox::default();
        for (after, block) in [(0, 1), (3, 1), (4, 7), (9, 8)] {
            outbox.push(Spot { after, block, offset: 32 });
        }
        let from = |outbox: &Outbox, after| outbox.from(after).first().map(|spot| spot.after);
        assert_eq!(from(&outbox, 0), Some(0));
        assert_eq!(
            (from(&outbox, 2), from(&outbox, 3), from(&outbox, 99)),
            (Some(0), Some(3), Some(9))
        );
        assert_eq!(outbox.trim(1, 12), None);
        assert_eq!(outbox.trim(8, 12), Some(9));
        assert_eq!((outbox.trim(9, 12), from(&outbox, 0)), (Some(12), None));
    }
}
