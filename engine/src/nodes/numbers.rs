//! Numbers: sales of others by their numbers, as payment refs name them.

use crate::rules::terms::SaleId;
use crate::store::{Leasing, StoreError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Most sales that are remembered; there are no more open ones.
const NUMBERS_MAX: usize = 10_000;

/// The numbers that sales were seen to have. They never change.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Mutex<BTreeMap<u32, SaleId>>);

impl Numbers {
    /// The sale with this number, of these or of those that were looked at before.
    pub(crate) async fn find(
        &self,
        leasing: &dyn Leasing,
        number: u32,
        sales: Vec<SaleId>,
    ) -> Result<Option<SaleId>, StoreError> {
        let known: BTreeSet<SaleId> = self.0.lock().values().cloned().collect();
        for sale in sales.into_iter().filter(|sale| !known.contains(sale)) {
            let Some(of) = leasing.number(&sale).await? else { continue };
            let mut numbers = self.0.lock();
            if numbers.len() >= NUMBERS_MAX {
                numbers.pop_first();
            }
            numbers.insert(of, sale);
        }
        Ok(self.0.lock().get(&number).cloned())
    }
}
