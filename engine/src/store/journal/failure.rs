//! What the disk's errors mean for a transaction.

use crate::store::StoreError;

/// An error of the disk leaves open what of a group is on it.
pub(super) fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unknown(format!(
        "the disk of the data folder fails ({error}); free space or repair it"
    ))
}
