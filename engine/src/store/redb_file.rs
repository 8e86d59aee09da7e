//! RedbFile: a redb file beside the journal that goes on when its disk does. redb refuses everything after an
//! error of its disk; so the file is closed then and opened anew.

use crate::sync::{AtomicU32, Ordering};
use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TransactionError,
    WriteTransaction,
};
use std::fmt::{self, Debug, Formatter};
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A file whose disk failed is opened anew once nobody begins to read it any more; that takes no longer.
const OPEN_WITHIN: Duration = Duration::from_millis(20);

/// Opens the file; `true` makes it if it is not there.
type Open = dyn Fn(bool) -> io::Result<Box<dyn StorageBackend>> + Send + Sync;

/// A redb file.
pub(super) struct RedbFile {
    open: Box<Open>,
    /// `None` between a closing and an opening that failed.
    opened: RwLock<Option<Opened>>,
}

struct Opened {
    database: Database,
    disk: Arc<Disk>,
}

/// A disk, and whether it has failed.
#[derive(Debug)]
struct Disk {
    file: Box<dyn StorageBackend>,
    failures: AtomicU32,
}

impl Disk {
    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.is_err() {
            // Ordering: Relaxed, a count publishes nothing but itself.
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}

/// The disk as redb takes it.
#[derive(Debug)]
struct Watched(Arc<Disk>);

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.0.note(self.0.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.note(self.0.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.note(self.0.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.note(self.0.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.note(self.0.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }
}

/// Whether an error is the disk's, and may be over. This process has the folder to itself: a file that is open
/// already is one that a transaction of before still holds.
pub(super) fn is_of_disk(error: &redb::Error) -> bool {
    use redb::Error::{Backend, DatabaseAlreadyOpen, DatabaseClosed, Io, PreviousIo};
    matches!(error, Io(_) | Backend(_) | PreviousIo | DatabaseClosed | DatabaseAlreadyOpen)
}

fn backend(path: &PathBuf, makes_it: bool) -> io::Result<Box<dyn StorageBackend>> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(makes_it).truncate(false).open(path)?;
    let file = FileBackend::new(file).map_err(|error| match error {
        DatabaseError::Storage(redb::StorageError::Io(error)) => error,
        error => io::Error::other(error.to_string()),
    })?;
    Ok(Box::new(file))
}

impl RedbFile {
    /// Opens the file; makes it if it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, redb::Error> {
        Self::opened_by(move |makes_it| backend(&path, makes_it))
    }

    fn opened_by(
        open: impl Fn(bool) -> io::Result<Box<dyn StorageBackend>> + Send + Sync + 'static,
    ) -> Result<Self, redb::Error> {
        let file = Self { open: Box::new(open), opened: RwLock::new(None) };
        *file.opened.write() = Some(file.opened(true)?);
        Ok(file)
    }

    fn opened(&self, makes_it: bool) -> Result<Opened, redb::Error> {
        let file = (self.open)(makes_it)?;
        let disk = Arc::new(Disk { file, failures: AtomicU32::new(0) });
        let database = Database::builder().create_with_backend(Watched(Arc::clone(&disk)))?;
        Ok(Opened { database, disk })
    }

    /// Keeps the file from being opened anew, which may repair it and so write, for as long as this is held.
    #[must_use]
    pub(super) fn kept_open(&self) -> impl Sized + '_ {
        self.opened.read()
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
        if let Some(opened) = self.opened.read().as_ref().filter(|opened| opened.is_well()) {
            return Ok(begin(&opened.database)?);
        }
        // Whoever copies the file holds it for longer: nobody waits for that with other locks in hand.
        let opened = self.opened.try_write_for(OPEN_WITHIN);
        let mut opened = opened.ok_or(redb::Error::PreviousIo)?;
        if !opened.as_ref().is_some_and(Opened::is_well) {
            // What is being read breaks off. A file that has gone is not made anew.
            drop(opened.take());
            *opened = Some(self.opened(false)?);
        }
        let opened = opened.as_ref().ok_or(redb::Error::PreviousIo)?;
        Ok(begin(&opened.database)?)
    }
}

impl Opened {
    fn is_well(&self) -> bool {
        // Ordering: Relaxed, as in `Disk::note`; a failure that is seen late is met by the next call.
        self.disk.failures.load(Ordering::Relaxed) == 0
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
    use redb::TableDefinition;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("table");

    /// A disk that has no room while `is_full`.
    #[derive(Debug)]
    struct Small {
        file: Box<dyn StorageBackend>,
        is_full: Arc<AtomicBool>,
    }

    impl Small {
        fn room(&self) -> io::Result<()> {
            // Ordering: Relaxed, one thread only.
            match self.is_full.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for Small {
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

    /// A file on such a disk, with a row.
    fn on_small_disk(path: &Path) -> (RedbFile, Arc<AtomicBool>) {
        let (at, is_full) = (path.to_owned(), Arc::new(AtomicBool::new(false)));
        let full = Arc::clone(&is_full);
        let open = move |makes_it| {
            let small = Small { file: backend(&at, makes_it)?, is_full: Arc::clone(&full) };
            Ok(Box::new(small) as Box<dyn StorageBackend>)
        };
        let file = RedbFile::opened_by(open).unwrap();
        write(&file, 1).unwrap();
        (file, is_full)
    }

    #[test]
    fn a_file_that_is_copied_is_not_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (file, is_full) = on_small_disk(&folder.path().join("file.redb"));
        is_full.store(true, Ordering::Relaxed); // Ordering: Relaxed, one thread only.
        write(&file, 2).unwrap_err();
        is_full.store(false, Ordering::Relaxed); // Ordering: Relaxed, one thread only.
        let copied = file.kept_open();
        assert!(is_of_disk(&write(&file, 2).unwrap_err()), "for now");
        drop(copied);
        write(&file, 2).unwrap();
        assert_eq!(read(&file, 2).unwrap(), Some(2));
    }

    #[test]
    fn a_disk_that_was_full_is_read_and_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.redb");
        let (file, is_full) = on_small_disk(&path);
        // Ordering: Relaxed, one thread only.
        is_full.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(is_of_disk(&write(&file, 2).unwrap_err()));
        }
        // Ordering: Relaxed, one thread only.
        is_full.store(false, Ordering::Relaxed);
        assert_eq!(read(&file, 1).unwrap(), Some(1));
        write(&file, 3).unwrap();
        assert_eq!((read(&file, 2).unwrap(), read(&file, 3).unwrap()), (None, Some(3)));
        // A file that has gone with its disk is not made anew, empty.
        // Ordering: Relaxed, one thread only.
        is_full.store(true, Ordering::Relaxed);
        write(&file, 4).unwrap_err();
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        is_full.store(false, Ordering::Relaxed); // Ordering: Relaxed, one thread only.
        assert!(is_of_disk(&read(&file, 1).unwrap_err()));
        assert!(!path.exists());
    }
}
