//! Lock: one process uses a data folder at a time.

use crate::store::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Keeps other processes out of the folder.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("journal.lock");
    let shown = path.display();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| {
        StoreError::Unusable(format!(
            "{shown} cannot be opened ({error}); this user must be able to write in the folder"
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Refused(
            "another process uses the data folder; stop it or choose another folder".into(),
        )),
        Err(TryLockError::Error(error)) => {
            Err(StoreError::Unusable(format!("{shown} cannot be locked ({error})")))
        }
    }
}
