//! Files: which files a journal has, and how each begins.
//!
//! `journal-N.log` has the blocks from number N on; `journal-N.snapshot` what all blocks up to N came
//! to. A file is written under another name and renamed once it is on disk, so a file with one of
//! these names was written whole.

use super::block::{FORMAT, HEAD};
use super::disk::{Disk, DiskFile};
use crate::store::StoreError;
use crate::store::rows::{Stored, damaged};
use std::io;

/// How each file begins, before the number in its name.
const MAGIC: &[u8; 16] = b"flashlane file\r\n";
/// What is being written, and does not count yet.
const UNFINISHED: &str = ".unfinished";

/// The files of a journal by their numbers, lowest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
}

pub(super) fn segment(first: u64) -> String {
    format!("journal-{first:020}.log")
}

pub(super) fn snapshot(covers: u64) -> String {
    format!("journal-{covers:020}.snapshot")
}

impl Files {
    pub(super) fn list(disk: &dyn Disk) -> io::Result<Self> {
        let mut files = Self::default();
        for name in disk.names()? {
            let Some((number, kind)) =
                name.strip_prefix("journal-").and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            match (number.parse(), kind) {
                (Ok(number), "log") => files.segments.push(number),
                (Ok(number), "snapshot") => files.snapshots.push(number),
                _ => {}
            }
        }
        files.segments.sort_unstable();
        files.snapshots.sort_unstable();
        Ok(files)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.snapshots.is_empty()
    }
}

fn head(number: u64, format: u16) -> [u8; HEAD] {
    let mut head = [0xff; HEAD];
    head[..16].copy_from_slice(MAGIC);
    head[16..24].copy_from_slice(&number.to_le_bytes());
    head[24..26].copy_from_slice(&format.to_le_bytes());
    let checksum = crc32fast::hash(&head[..28]);
    head[28..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// Checks how a file begins; returns where its blocks begin.
pub(super) fn check(name: &str, number: u64, bytes: &[u8]) -> Stored<usize> {
    let begins = bytes.get(..HEAD);
    if (1..=FORMAT).any(|format| begins == Some(&head(number, format))) {
        return Ok(HEAD);
    }
    // A later version keeps the number of its format there, and the head's checksum behind it: a bit of
    // the number that has changed is damage.
    let is_whole = |head: &[u8]| {
        head.starts_with(MAGIC) && head[28..] == crc32fast::hash(&head[..28]).to_le_bytes()
    };
    match begins.filter(|head| is_whole(head)) {
        Some([.., low, high, _, _, _, _, _, _]) if u16::from_le_bytes([*low, *high]) > FORMAT => {
            Err(newer(name, u16::from_le_bytes([*low, *high])))
        }
        _ => Err(damaged(format!("{name} does not begin as it was written"))),
    }
}

/// Refuses what a later version wrote.
pub(super) fn newer(name: &str, format: u16) -> StoreError {
    StoreError::Unusable(format!(
        "{name} was written by a newer version of Flashlane (format {format}, and this version reads \
         up to {FORMAT}); run that version"
    ))
}

/// A file that is being written under another name.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: Box<dyn DiskFile>,
    name: String,
}

impl Unfinished {
    pub(super) fn create(disk: &dyn Disk, name: String, number: u64) -> io::Result<Self> {
        let mut file = disk.create(&format!("{name}{UNFINISHED}"))?;
        file.append(&head(number, FORMAT))?;
        Ok(Self { file, name })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    /// Makes the file last, and lets it count.
    pub(super) fn finish(mut self, disk: &dyn Disk) -> io::Result<Box<dyn DiskFile>> {
        self.file.sync()?;
        disk.rename(&format!("{}{UNFINISHED}", self.name), &self.name)?;
        disk.sync_names()?;
        Ok(self.file)
    }
}

/// Removes what was never finished.
pub(super) fn sweep(disk: &dyn Disk) -> io::Result<()> {
    for name in disk.names()? {
        if name.starts_with("journal-") && name.ends_with(UNFINISHED) {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_named_as_that_and_a_flipped_bit_is_damage() {
        assert_eq!(check("a.log", 7, &head(7, FORMAT)), Ok(HEAD));
        let newer = check("a.log", 7, &head(7, FORMAT + 31));
        assert!(matches!(newer, Err(StoreError::Unusable(_))), "{newer:?}");
        for bit in 0..HEAD * 8 {
            let mut flipped = head(7, FORMAT);
            flipped[bit / 8] ^= 1 << (bit % 8);
            let damage = check("a.log", 7, &flipped);
            assert!(matches!(damage, Err(StoreError::Damaged(_))), "bit {bit}: {damage:?}");
        }
    }
}
