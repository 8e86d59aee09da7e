//! Look: what the file is, before it is opened and without changing it.

use super::failure::failed;
use crate::store::StoreError;
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, TableHandle};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// How a redb file begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// What stands at a path.
pub(super) enum Found {
    Nothing,
    EmptyFile,
    /// A store, open for reading alone.
    Store(ReadOnlyDatabase),
    /// A file that its process did not close; it can be read once it is repaired.
    Unclosed,
}

/// Looks at the file.
///
/// # Errors
/// [`StoreError::Unusable`] when this process may not read and write it, or when it is another
/// program's; [`StoreError::Damaged`] when it cannot be read.
pub(super) fn look(path: &Path) -> Result<Found, StoreError> {
    match begins(path)? {
        Some(0) => return Ok(Found::EmptyFile),
        None => return Ok(Found::Nothing),
        Some(_) => {}
    }
    let database = match Database::builder().open_read_only(path) {
        Err(DatabaseError::RepairAborted) => return Ok(Found::Unclosed),
        opened => opened.map_err(|error| explained(failed(error), path))?,
    };
    if is_foreign(&database).map_err(|error| explained(failed(error), path))? {
        return Err(StoreError::Unusable(foreign(path)));
    }
    Ok(Found::Store(database))
}

/// How many bytes of a redb file's beginning are there; `None` if there is no file.
fn begins(path: &Path) -> Result<Option<usize>, StoreError> {
    let shown = path.display();
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(StoreError::Unusable(format!(
                "{shown} cannot be opened ({error}); it must be a file that this user may read and \
                 write"
            )));
        }
    };
    let mut start = Vec::new();
    match file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start) {
        Err(error) => {
            Err(StoreError::Unusable(format!("{shown} cannot be read ({error}); repair its disk")))
        }
        Ok(bytes) if MAGIC.starts_with(&start) => Ok(Some(bytes)),
        Ok(_) => Err(StoreError::Unusable(foreign(path))),
    }
}

/// Whether the tables are another program's.
fn is_foreign(database: &ReadOnlyDatabase) -> Result<bool, redb::Error> {
    let seen = database.begin_read()?;
    let mut tables = seen.list_tables()?.peekable();
    Ok(tables.peek().is_some() && !tables.any(|table| table.name() == "sales"))
}

fn foreign(path: &Path) -> String {
    format!("{} is not a store of Flashlane; move it away or name another folder", path.display())
}

/// Says what to do about a file that is a store and cannot be opened.
pub(super) fn explained(error: StoreError, path: &Path) -> StoreError {
    let shown = path.display();
    match error {
        // redb names the version that it finds when it is newer than its own.
        StoreError::Damaged(why) if why.contains("file format version") => {
            StoreError::Unusable(format!(
                "{shown} was written by a newer version of Flashlane ({why}); run that version"
            ))
        }
        StoreError::Damaged(why) => {
            StoreError::Damaged(format!("{shown}: {why}; restore the file from a backup"))
        }
        other => other,
    }
}
