//! Backup: a copy of the data folder's store while it goes on.
//!
//! The files beside the journal are copied while nothing is written to them, and the journal after them, up to
//! its last whole block: it may be ahead of them, as it is after a crash, and never behind. It is made on
//! the snapshotter's thread, behind a snapshot: so no file goes while it is copied.

use super::archive::ArchiveFile;
use super::block;
use super::disk::Folder;
use super::failure::failed;
use super::files::{self, Files};
use super::live::Live;
use crate::store::StoreError;
use crate::store::rows::Stored;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Behind the name of a backup that is not whole yet.
const UNFINISHED: &str = ".unfinished";

fn unfinished(to: &Path) -> PathBuf {
    // A slash at the end of a path is none of its components.
    let to: PathBuf = to.components().collect();
    PathBuf::from(format!("{}{UNFINISHED}", to.display()))
}

/// Refuses a place for a backup that has something.
pub(super) fn check(to: &Path) -> Stored<()> {
    let is_free = to.is_absolute() && !to.exists() && !unfinished(to).exists();
    match is_free {
        true => Ok(()),
        false => Err(StoreError::Refused(format!(
            "{0} must be an absolute path of a folder that is not there yet, nor {0}{UNFINISHED}, which \
             a backup leaves that was broken off",
            to.display()
        ))),
    }
}

/// Copies the store in `from` to the folder `to`, which must not be there; it is there when all of it is on
/// disk.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    live: &Live,
    archive: Option<&ArchiveFile>,
) -> Stored<()> {
    check(to)?;
    let _kept_open = archive.map(ArchiveFile::kept_open);
    let unfinished = unfinished(to);
    let copied = live.book.while_not_folding(|| write(from, &unfinished));
    let named = || -> io::Result<()> {
        fs::rename(&unfinished, to)?;
        to.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    match copied.and_then(|()| named().map_err(failed)) {
        Ok(()) => Ok(()),
        Err(error) => {
            // Nobody may take it for a backup.
            fs::remove_dir_all(&unfinished).ok();
            Err(error)
        }
    }
}

fn write(from: &Path, to: &Path) -> Stored<()> {
    let copy = |name: &str| -> io::Result<()> {
        fs::copy(from.join(name), to.join(name))?;
        File::open(to.join(name))?.sync_all()
    };
    fs::create_dir_all(to).map_err(failed)?;
    for name in ["book.redb", "archive.redb"] {
        copy(name).map_err(failed)?;
    }
    let Files { segments, snapshots } = Files::list(&Folder::new(from)).map_err(failed)?;
    if let Some(covers) = snapshots.last() {
        copy(&files::snapshot(*covers)).map_err(failed)?;
    }
    if let Some((newest, older)) = segments.split_last() {
        older.iter().try_for_each(|first| copy(&files::segment(*first))).map_err(failed)?;
        copy_newest(from, to, *newest)?;
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Copies the whole blocks of the segment that is being written: what was read of it behind them may have a
/// hole, which no crash leaves.
fn copy_newest(from: &Path, to: &Path, first: u64) -> Stored<()> {
    let name = files::segment(first);
    let bytes = fs::read(from.join(&name)).map_err(failed)?;
    let mut end = files::check(&name, first, &bytes)?;
    while let Ok(Some(block)) = block::read(&bytes, end) {
        end += block.bytes.len();
    }
    let write = || {
        let mut file = File::create(to.join(&name))?;
        file.write_all(&bytes[..end])?;
        file.sync_all()
    };
    write().map_err(failed)
}
