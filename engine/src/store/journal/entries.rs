//! Entries: a sale's outbox, read from the journal's blocks.

use super::block::{self, HEAD, Head};
use super::disk::Disk;
use super::failure::failed;
use super::files;
use super::live::{Kept, Live};
use super::outbox::Spot;
use crate::store::rows::{Stored, damaged};
use crate::store::{OutboxEntry, StoreError, section};

/// The outbox entries of one sale, read from the journal's blocks.
pub(super) struct Entries<'k> {
    disk: &'k dyn Disk,
    live: &'k Live,
    sale: u32,
    after: u64,
    spots: std::vec::IntoIter<Spot>,
    /// The block that was read last.
    block: (u64, Vec<u8>),
    read: std::vec::IntoIter<OutboxEntry>,
}

impl<'k> Entries<'k> {
    pub(super) fn new(disk: &'k dyn Disk, live: &'k Live, kept: &Kept, after: u64) -> Self {
        // What a copy of an archived sale says of segments that are gone is passed over.
        let oldest = live.segments.read().first().copied().unwrap_or(0);
        let spots = kept.outbox.from(after).iter().filter(|spot| spot.block >= oldest);
        let spots = spots.copied().collect::<Vec<_>>().into_iter();
        let sale = kept.rows.number;
        let (block, read) = ((0, Vec::new()), Vec::new().into_iter());
        Self { disk, live, sale, after, spots, block, read }
    }

    /// The number of the newest entry, and the entry, if it is still there.
    pub(super) fn newest(disk: &'k dyn Disk, live: &'k Live, kept: &Kept) -> (u64, Self) {
        let seq = kept.rows.counters.seq;
        (seq, Self::new(disk, live, kept, seq.saturating_sub(1)))
    }

    fn of(&mut self, spot: Spot) -> Stored<Vec<OutboxEntry>> {
        if self.block.0 != spot.block {
            self.block = (spot.block, self.read_block(spot)?);
        }
        let payload = match block::read(&self.block.1, 0) {
            Ok(Some(block)) if block.number == spot.block => block.payload,
            _ => return Err(self.changed(spot)),
        };
        let mut seq = 0;
        for section in section::sections(payload) {
            let section = section?;
            let is_it = section.sale == self.sale && section.seq > spot.after && seq <= spot.after;
            if is_it {
                return section.entries(spot.after);
            }
            seq = if section.sale == self.sale { section.seq } else { seq };
        }
        Err(self.changed(spot))
    }

    fn changed(&self, spot: Spot) -> StoreError {
        damaged(format!("block {} of the journal is not what was written", spot.block))
    }

    fn read_block(&self, spot: Spot) -> Stored<Vec<u8>> {
        let segments = self.live.segments.read();
        let first = segments.range(..=spot.block).next_back().copied().unwrap_or(spot.block);
        drop(segments);
        // The first block of a segment may have stood at the end of the one before it.
        let offset = if first == spot.block { HEAD as u64 } else { spot.offset.into() };
        let name = files::segment(first);
        let head = self.disk.read_at(&name, offset, HEAD).map_err(failed)?;
        let size = Head::read(&head).ok_or_else(|| self.changed(spot))?.size();
        self.disk.read_at(&name, offset, size).map_err(failed)
    }
}

impl Iterator for Entries<'_> {
    type Item = Stored<OutboxEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.next() {
                if entry.seq > self.after {
                    return Some(Ok(entry));
                }
                continue;
            }
            let spot = self.spots.next()?;
            match self.of(spot) {
                Ok(entries) => self.read = entries.into_iter(),
                Err(error) => {
                    self.spots = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}
