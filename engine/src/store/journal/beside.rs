//! Beside: the files beside the journal, which are read on demand.

use super::archive::ArchiveFile;
use crate::store::book::BookFile;
use crate::store::rows::Stored;
use std::path::Path;
use std::sync::Arc;

/// The files beside the journal. A journal without a folder has none: its book is in memory, and it archives
/// nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    pub(super) book: Option<Arc<BookFile>>,
    pub(super) archive: Option<Arc<ArchiveFile>>,
}

impl Beside {
    /// Opens the files in this folder; makes them if they are not there.
    pub(super) fn open(folder: &Path) -> Stored<Self> {
        Ok(Self {
            book: Some(Arc::new(BookFile::open(folder)?)),
            archive: Some(Arc::new(ArchiveFile::open(folder)?)),
        })
    }

    /// Opens those files that are in this folder.
    pub(super) fn find(folder: &Path) -> Stored<Self> {
        let is_there = |name| folder.join(name).exists();
        let book = is_there("book.redb").then(|| BookFile::open(folder)).transpose()?;
        let archive = is_there("archive.redb").then(|| ArchiveFile::open(folder)).transpose()?;
        Ok(Self { book: book.map(Arc::new), archive: archive.map(Arc::new) })
    }
}
