//! Disk: the files of a journal. Tests put a disk here that fails, lies or loses its power.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder of files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// The names of all files.
    ///
    /// # Errors
    /// The disk's error, here and below.
    fn names(&self) -> Result<Vec<String>>;

    /// Everything in a file.
    ///
    /// # Errors
    /// As above.
    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// So many bytes of a file, or as many as there are.
    ///
    /// # Errors
    /// As above.
    fn read_at(&self, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>>;

    /// A file to append to, empty at first.
    ///
    /// # Errors
    /// As above.
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>>;

    /// Gives a file another name; a file that has that name is replaced. It lasts once
    /// [`Disk::sync_names`] returns.
    ///
    /// # Errors
    /// As above.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file. It lasts as a renaming does.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, name: &str) -> Result<()>;

    /// Cuts a file off behind so many bytes, and makes that last.
    ///
    /// # Errors
    /// As above.
    fn cut(&self, name: &str, bytes: u64) -> Result<()>;

    /// Makes the names of files last.
    ///
    /// # Errors
    /// As above.
    fn sync_names(&self) -> Result<()>;
}

/// A file that is appended to.
pub trait DiskFile: Debug + Send {
    /// Writes behind what was appended before, into the room that was made there.
    ///
    /// # Errors
    /// The disk's error; part of the bytes may be written.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes everything that was written last.
    ///
    /// # Errors
    /// The disk's error; nothing is known then of what was written since the last call.
    fn sync(&mut self) -> Result<()>;

    /// Makes room: writes zeros from one place in the file to another, and makes them last. Nothing
    /// may have been appended there yet. A sync of what lies in room is cheaper: the file need not grow.
    ///
    /// # Errors
    /// The disk's error; what was appended is not touched, and can be appended to as before.
    fn make_room(&mut self, from: u64, to: u64) -> Result<()>;
}

/// A folder of the machine's own disk.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at this path, which must be there.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Disk for Folder {
    fn names(&self) -> Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn read_at(&self, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut read = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(self.0.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn cut(&self, name: &str, bytes: u64) -> Result<()> {
        let file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn sync_names(&self) -> Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.sync_data()
    }

    fn make_room(&mut self, from: u64, to: u64) -> Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut at = from;
        while at < to {
            let left = usize::try_from(to - at).unwrap_or(usize::MAX);
            let piece = &ZEROS[..left.min(ZEROS.len())];
            self.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        self.sync_data()
    }
}
