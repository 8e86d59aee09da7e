//! What redb's errors mean for a transaction.

use crate::store::StoreError;

/// An error of the disk leaves open whether the commit got through. When another process uses the
/// file, nothing has changed. Every other error is damage.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error @ (redb::Error::Io(_) | redb::Error::Backend(_) | redb::Error::PreviousIo) => {
            StoreError::Unknown(format!(
                "the disk of the data folder fails ({error}); free space or repair it"
            ))
        }
        error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch) => {
            StoreError::Refused(format!(
                "another process uses the data folder ({error}); stop it or choose another folder"
            ))
        }
        error => StoreError::Damaged(error.to_string()),
    }
}

/// What is stored is not what was written.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(error.to_string())
}
