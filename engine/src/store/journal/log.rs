//! Log: the segment that the journal is written to.
//!
//! Blocks are written into room: zeros that are on disk already, so that a sync need not write how long
//! the file has become. Room is made behind a group whose callers are told, and cut off at the end of a
//! segment; what a crash leaves of it reads like a block that was never written.

use super::block::HEAD;
use super::disk::{Disk, DiskFile};
use super::files::{self, Unfinished};
use super::live::Live;
use super::recover::Recovered;
use crate::store::planted::is_planted;
use std::io::Result;

/// How much room is made at a time: some ten large groups, or a second of clicks over HTTP.
const ROOM_BYTES: u64 = 1 << 20;

/// The newest segment.
#[derive(Debug)]
pub(super) struct Log {
    file: Box<dyn DiskFile>,
    /// The number of its first block.
    first: u64,
    /// Where its next block begins.
    offset: u64,
    /// Where its room ends.
    room_end: u64,
    /// This segment goes on without room.
    has_failed_to_make_room: bool,
    /// A segment of this size is followed by a new one.
    pub(super) segment_bytes: u64,
    /// The number of the next block.
    pub(super) next_block: u64,
    /// The next block begins a segment, however small this one is.
    pub(super) is_over: bool,
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
        let offset = (HEAD + again.len()) as u64;
        Ok(Self {
            file,
            first,
            offset,
            room_end: offset,
            has_failed_to_make_room: false,
            segment_bytes,
            next_block: recovered.next_block,
            is_over: false,
            since_snapshot: recovered.replayed_bytes,
        })
    }

    /// Where the next block begins; a full segment is left for a new one first.
    pub(super) fn place(&mut self, disk: &dyn Disk, live: &Live) -> Result<u64> {
        if self.offset >= self.segment_bytes || self.is_over {
            let first = self.next_block;
            self.file = Unfinished::create(disk, files::segment(first), first)?.finish(disk)?;
            self.cut_room_off(disk)?;
            (self.first, self.offset, self.room_end) = (first, HEAD as u64, HEAD as u64);
            (self.has_failed_to_make_room, self.is_over) = (false, false);
            live.segments.write().insert(first);
        }
        Ok(self.offset)
    }

    /// Makes room behind the newest block, if there is little left. Without room, blocks are written
    /// all the same.
    pub(super) fn make_room(&mut self) {
        let is_enough = self.offset + ROOM_BYTES / 4 < self.room_end;
        if is_enough || self.has_failed_to_make_room || self.offset >= self.segment_bytes {
            return;
        }
        let from = self.offset.max(self.room_end);
        let to = from + ROOM_BYTES.min(self.segment_bytes);
        match self.file.make_room(from, to) {
            Ok(()) => self.room_end = to,
            // No block lies there, so nothing is lost; the last bytes of a full disk are for blocks.
            Err(error) => {
                self.has_failed_to_make_room = true;
                tracing::warn!(%error, "no room is made for the journal; it goes on, more slowly");
            }
        }
    }

    /// Ends the segment behind its newest block.
    pub(super) fn cut_room_off(&self, disk: &dyn Disk) -> Result<()> {
        if self.room_end > self.offset {
            disk.cut(&files::segment(self.first), self.offset)?;
        }
        Ok(())
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
