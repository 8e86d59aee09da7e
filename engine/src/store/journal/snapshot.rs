//! Snapshot: what all blocks up to one came to, so that a start need not read them again. Each sale's
//! rows say themselves up to which block they go: they are written one after the other while others
//! are sold on.

use super::block::{self, Bad};
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Unfinished};
use super::live::Kept;
use super::sale_frames;
use crate::rules::time::Millis;
use crate::store::rows::{Stored, damaged};
use crate::store::section::{Body, append};
use crate::store::{PlanVersion, StoreError};
use membership::MemberId;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A snapshot as it was read. By default nothing is stored.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) covers: u64,
    /// The oldest segment that is still needed.
    pub(super) oldest: u64,
    pub(super) next_sale: u32,
    pub(super) blocked: BTreeSet<MemberId>,
    pub(super) sales: Vec<Kept>,
    pub(super) bytes: u64,
    pub(super) book: BookIn,
    /// Members who are being erased, and their pseudonyms.
    pub(super) erasing: BTreeMap<MemberId, MemberId>,
    pub(super) plans: Vec<PlanVersion>,
    /// Up to which entry the book has taken in each sale's outbox.
    pub(super) taken_in: BTreeMap<u32, u64>,
    /// The version of the archive that it goes with.
    pub(super) archive: u64,
}

/// What the book's file had in it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct BookIn {
    /// The newest block with something about the book.
    pub(super) folded_to: u64,
    /// Up to this block nothing about the book is missing in the file.
    pub(super) whole_to: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (blocked, sales) = (BTreeSet::new(), Vec::new());
        Self {
            covers: 0,
            oldest: 1,
            next_sale: 1,
            blocked,
            sales,
            bytes: 0,
            book: BookIn::default(),
            erasing: BTreeMap::new(),
            plans: Vec::new(),
            taken_in: BTreeMap::new(),
            archive: 0,
        }
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) covers: u64,
    pub(super) oldest: u64,
    pub(super) next_sale: u32,
    pub(super) blocked: BTreeSet<MemberId>,
    pub(super) sales: Vec<Arc<RwLock<Kept>>>,
    pub(super) book: BookIn,
    /// Members who are being erased, and their pseudonyms.
    pub(super) erasing: BTreeMap<MemberId, MemberId>,
    pub(super) plans: Vec<PlanVersion>,
    /// Up to which entry the book has taken in each sale's outbox.
    pub(super) taken_in: BTreeMap<u32, u64>,
    /// The version of the archive that it goes with.
    pub(super) archive: u64,
}

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
struct Top {
    oldest: u64,
    next_sale: u32,
    blocked: BTreeSet<MemberId>,
    sales: u64,
}

struct Frames {
    file: Unfinished,
    number: u64,
    bytes: u64,
    frame: Vec<u8>,
}

impl Frames {
    /// Writes one frame with these values.
    fn put<T: Serialize>(&mut self, value: &T) -> std::io::Result<()> {
        let mut payload = Vec::new();
        append(&mut payload, value);
        self.put_payload(&payload)
    }

    fn put_payload(&mut self, payload: &[u8]) -> std::io::Result<()> {
        self.frame.clear();
        block::begin(&mut self.frame);
        self.frame.extend_from_slice(payload);
        self.number += 1;
        block::seal(&mut self.frame, 0, self.number, Millis(0));
        self.bytes += self.frame.len() as u64;
        self.file.append(&self.frame)
    }
}

/// Writes a snapshot; it counts when this returns its size in bytes. `None`: a sale's rows must not be
/// used, so none is made.
pub(super) fn write(disk: &dyn Disk, scene: &Scene, name: String) -> Stored<Option<u64>> {
    let file = Unfinished::create(disk, name, scene.covers).map_err(failed)?;
    let mut frames = Frames { file, number: 0, bytes: 0, frame: Vec::new() };
    let Scene { oldest, next_sale, ref blocked, ref sales, .. } = *scene;
    let top = Top { oldest, next_sale, blocked: blocked.clone(), sales: sales.len() as u64 };
    // What a later version adds stands behind.
    frames
        .put(&(top, scene.book, &scene.erasing, &scene.plans, &scene.taken_in, scene.archive))
        .map_err(failed)?;
    for sale in sales {
        let kept = sale.read();
        if kept.trouble.is_some() {
            return Ok(None);
        }
        sale_frames::write(&kept, &mut |payload| frames.put_payload(payload)).map_err(failed)?;
    }
    // The last frame says that no frame is missing.
    let last = frames.number + 1;
    frames.put(&last).map_err(failed)?;
    let bytes = frames.bytes;
    frames.file.finish(disk).map_err(failed)?;
    crate::fault::crash_point("snapshot");
    Ok(Some(bytes))
}

/// Reads the snapshot of the blocks up to `covers`.
pub(super) fn read(disk: &dyn Disk, covers: u64) -> Stored<Snapshot> {
    let name = files::snapshot(covers);
    let bytes = disk.read(&name).map_err(failed)?;
    let at = files::check(&name, covers, &bytes)?;
    let mut reader = FrameReader { name: &name, bytes: &bytes, at, number: 0 };
    let mut first = reader.frame()?;
    let Top { oldest, next_sale, blocked, sales } = first.next()?;
    // The formats before the third have none of these.
    let (book, (erasing, plans, taken_in)) = match first.is_empty() {
        true => (BookIn { whole_to: covers, ..BookIn::default() }, Default::default()),
        false => (first.next()?, first.next()?),
    };
    // The formats before the fifth know no archive.
    let archive: u64 = if first.is_empty() { 0 } else { first.next()? };
    let sales = (0..sales)
        .map(|_| sale_frames::read(&mut || reader.frame()))
        .collect::<Stored<Vec<_>>>()?;
    let last: u64 = reader.frame()?.next()?;
    if last != reader.number || reader.at != bytes.len() {
        return Err(reader.damaged("it does not end where it should"));
    }
    Ok(Snapshot {
        covers,
        oldest,
        next_sale,
        blocked,
        sales,
        bytes: bytes.len() as u64,
        book,
        erasing,
        plans,
        taken_in,
        archive,
    })
}

struct FrameReader<'a> {
    name: &'a str,
    bytes: &'a [u8],
    at: usize,
    number: u64,
}

impl<'a> FrameReader<'a> {
    fn frame(&mut self) -> Stored<Body<'a>> {
        self.number += 1;
        match block::read(self.bytes, self.at) {
            Ok(Some(frame)) if frame.number == self.number => {
                self.at += frame.bytes.len();
                Ok(frame.payload.into())
            }
            Err(Bad::Newer(format)) => Err(files::newer(self.name, format)),
            Ok(_) | Err(_) => Err(self.damaged("it is not what was written")),
        }
    }

    fn damaged(&self, why: &str) -> StoreError {
        damaged(format!("{}: frame {} at byte {}: {why}", self.name, self.number, self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::disk::Folder;

    #[test]
    fn a_snapshot_of_before_there_was_a_book_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Folder::new(folder.path());
        let file = Unfinished::create(&disk, files::snapshot(7), 7).unwrap();
        let mut frames = Frames { file, number: 0, bytes: 0, frame: Vec::new() };
        let blocked = BTreeSet::from(["ann".parse().unwrap()]);
        frames.put(&Top { oldest: 3, next_sale: 5, blocked: blocked.clone(), sales: 0 }).unwrap();
        frames.put(&2_u64).unwrap();
        frames.file.finish(&disk).unwrap();
        let read = read(&disk, 7).unwrap();
        assert_eq!((read.oldest, read.next_sale, read.blocked), (3, 5, blocked));
        assert_eq!(
            (read.book.folded_to, read.book.whole_to, read.erasing),
            (0, 7, BTreeMap::new())
        );
    }
}
