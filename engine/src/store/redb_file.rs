//! RedbFile: a redb file beside the journal that goes on when its disk does. redb refuses everything after an
//! error of its disk; so the file is closed then and opened anew.

use parking_lot::RwLock;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, TransactionError, WriteTransaction,
};
use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;

type Open = dyn Fn() -> Result<Database, DatabaseError> + Send + Sync;

/// A redb file.
pub(super) struct RedbFile {
    open: Box<Open>,
    /// `None` between a closing and an opening that failed.
    database: RwLock<Option<Database>>,
}

/// Whether an error is the disk's, and may be over.
pub(super) fn is_of_disk(error: &redb::Error) -> bool {
    use redb::Error::{Backend, DatabaseClosed, Io, PreviousIo};
    matches!(error, Io(_) | Backend(_) | PreviousIo | DatabaseClosed)
}

impl RedbFile {
    /// Opens the file; makes it if it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, redb::Error> {
        Self::opened_by(move || Database::builder().create(&path))
    }

    fn opened_by(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self, redb::Error> {
        let database = RwLock::new(Some(open()?));
        Ok(Self { open: Box::new(open), database })
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        self.begin(|database| database.begin_read())
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        self.begin(|database| database.begin_write())
    }

    fn begin<T>(
        &self,
        begin: impl Fn(&Database) -> Result<T, TransactionError>,
    ) -> Result<T, redb::Error> {
        let begun = |database: &Database| begin(database).map_err(redb::Error::from);
        match self.database.read().as_ref().map(begun) {
            None => {}
            Some(Err(error)) if is_of_disk(&error) => {}
            Some(begun) => return begun,
        }
        self.heal()?;
        self.database.read().as_ref().map_or(Err(redb::Error::PreviousIo), begun)
    }

    /// Opens the file anew if its disk has failed since it was opened. What is being read breaks off.
    pub(super) fn heal(&self) -> Result<(), redb::Error> {
        let mut database = self.database.write();
        // Nothing is written: a file whose disk has failed refuses before that.
        let refused = |open: &Database| open.try_begin_write().err().map(redb::Error::from);
        let is_well = |open: &Database| !refused(open).as_ref().is_some_and(is_of_disk);
        if !database.as_ref().is_some_and(is_well) {
            drop(database.take());
            *database = Some((self.open)()?);
        }
        Ok(())
    }
}

impl Debug for RedbFile {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.debug_struct("RedbFile").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::FileBackend;
    use redb::{StorageBackend, TableDefinition};
    use std::fs::OpenOptions;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("table");

    /// A disk that has no room while `is_full`.
    #[derive(Debug)]
    struct Disk {
        file: FileBackend,
        is_full: Arc<AtomicBool>,
    }

    impl Disk {
        fn room(&self) -> io::Result<()> {
            // Ordering: Relaxed, one thread only.
            match self.is_full.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room()?;
            self.file.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.room()?;
            self.file.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room()?;
            self.file.write(offset, data)
        }

        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }

    fn write(file: &RedbFile, key: u64) -> Result<(), redb::Error> {
        let transaction = file.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, key)?;
        Ok(transaction.commit()?)
    }

    fn read(file: &RedbFile, key: u64) -> Result<Option<u64>, redb::Error> {
        let table = file.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| value.value()))
    }

    #[test]
    fn a_disk_that_was_full_is_read_and_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (path, is_full) = (folder.path().join("file.redb"), Arc::new(AtomicBool::new(false)));
        let full = Arc::clone(&is_full);
        let open = move || {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
            let disk = Disk { file: FileBackend::new(file)?, is_full: Arc::clone(&full) };
            Database::builder().create_with_backend(disk)
        };
        let file = RedbFile::opened_by(open).unwrap();
        write(&file, 1).unwrap();
        // Ordering: Relaxed, one thread only.
        is_full.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(is_of_disk(&write(&file, 2).unwrap_err()));
        }
        // Ordering: Relaxed, one thread only.
        is_full.store(false, Ordering::Relaxed);
        file.heal().unwrap();
        assert_eq!(read(&file, 1).unwrap(), Some(1));
        write(&file, 3).unwrap();
        assert_eq!((read(&file, 2).unwrap(), read(&file, 3).unwrap()), (None, Some(3)));
    }
}
