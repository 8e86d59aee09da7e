//! Format: the version of the layout of a sale's keys.

use crate::rules::terms::SaleId;
use crate::store::StoreError;

/// The version that is written here, as the functions have it.
pub(super) const FORMAT: &str = "3";
/// The version before, of which only the outbox is another. Opening a sale makes it one of [`FORMAT`].
const BEFORE: &str = "2";

/// Refuses a sale of another version, with what to do about it.
pub(super) fn check(sale: &SaleId, format: &str) -> Result<(), StoreError> {
    let is_newer = format.parse::<u32>().is_ok_and(|format| format > 3);
    match format {
        FORMAT | BEFORE => Ok(()),
        newer if is_newer => Err(StoreError::Unusable(format!(
            "{sale} was written by a newer version of Flashlane (format {newer}, and this version reads \
             {FORMAT}); run that version"
        ))),
        "1" => Err(StoreError::Unusable(format!(
            "{sale} was written by an older version of Flashlane; take it over with `flashlane upgrade \
             --redis URL`"
        ))),
        other => Err(StoreError::Damaged(format!("the format of {sale} reads `{other}`"))),
    }
}
