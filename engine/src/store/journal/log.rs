//! Log: the segment that the journal is written to.

use super::block::HEAD;
use super::disk::{Disk, DiskFile};
use super::files::{self, Unfinished};
use super::live::Live;
use super::recover::Recovered;
use crate::store::planted::is_planted;
use std::io::Result;

/// The newest segment.
#[derive(Debug)]
pub(super) struct Log {
    file: Box<dyn DiskFile>,
    /// Its size.
    offset: u64,
    /// A segment of this size is followed by a new one.
    pub(super) segment_bytes: u64,
    /// The number of the next block.
    pub(super) next_block: u64,
    /// Bytes of blocks that are in no snapshot.
    pub(super) since_snapshot: u64,
}

impl Log {
    /// Begins a new segment behind what was recovered. The newest block is written once more: what a
    /// process wrote last may be in the machine's memory alone, also when it reads well.
    pub(super) fn begin(
        disk: &dyn Disk,
        recovered: &Recovered,
        segment_bytes: u64,
    ) -> Result<Self> {
        files::sweep(disk)?;
        let tail = recovered.tail.as_ref();
        let first = tail.map_or(recovered.next_block, |tail| tail.number);
        let mut file = Unfinished::create(disk, files::segment(first), first)?;
        let mut again = tail.map_or(&[][..], |tail| &tail.bytes);
        if is_planted("tail-not-written-again") {
            again = &[];
        }
        file.append(again)?;
        let file = file.finish(disk)?;
        let mut segments = recovered.live.segments.write();
        for later in segments.split_off(&(first + 1)) {
            disk.remove(&files::segment(later))?;
        }
        if let Some(tail) = tail.filter(|tail| tail.segment != first) {
            disk.cut(&files::segment(tail.segment), tail.offset)?;
        }
        disk.sync_names()?;
        segments.insert(first);
        Ok(Self {
            file,
            offset: (HEAD + again.len()) as u64,
            segment_bytes,
            next_block: recovered.next_block,
            since_snapshot: recovered.replayed_bytes,
        })
    }

    /// Where the next block begins; a full segment is left for a new one first.
    pub(super) fn place(&mut self, disk: &dyn Disk, live: &Live) -> Result<u64> {
        if self.offset >= self.segment_bytes {
            let first = self.next_block;
            self.file = Unfinished::create(disk, files::segment(first), first)?.finish(disk)?;
            self.offset = HEAD as u64;
            live.segments.write().insert(first);
        }
        Ok(self.offset)
    }

    /// Writes a block; it is on disk when this returns `Ok`.
    pub(super) fn write(&mut self, block: &[u8]) -> Result<()> {
        self.file.append(block)?;
        crate::fault::crash_point("appended");
        if !is_planted("no-sync") {
            self.file.sync()?;
        }
        crate::fault::crash_point("synced");
        self.offset += block.len() as u64;
        self.since_snapshot += block.len() as u64;
        self.next_block += 1;
        Ok(())
    }
}
