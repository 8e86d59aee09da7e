//! ReadLately: archived sales that were read whole, for whoever reads on.

use super::live::Kept;
use crate::rules::terms::SaleId;
use std::sync::Arc;

/// Most archived sales that are kept once they were read.
const LATELY_MAX: usize = 8;
/// Those are kept that have so many orders in all; the newest one always is.
const LATELY_ORDERS_MAX: u64 = 1_000_000;

/// Archived sales that were read lately, the newest last.
#[derive(Debug, Default)]
pub(super) struct ReadLately(Vec<Arc<Kept>>);

impl ReadLately {
    pub(super) fn find(&mut self, number: u32) -> Option<Arc<Kept>> {
        let at = self.0.iter().position(|kept| kept.rows.number == number)?;
        let kept = self.0.remove(at);
        self.0.push(Arc::clone(&kept));
        Some(kept)
    }

    pub(super) fn keep(&mut self, kept: Arc<Kept>) {
        self.0.push(kept);
        let is_too_much = |kept: &[Arc<Kept>]| {
            let orders: u64 = kept.iter().map(|kept| kept.rows.orders.len()).sum();
            kept.len() > LATELY_MAX || kept.len() > 1 && orders > LATELY_ORDERS_MAX
        };
        while is_too_much(&self.0) {
            self.0.remove(0);
        }
    }

    /// Forgets a sale that is written anew or deleted, or is not archived any more.
    pub(super) fn forget(&mut self, sale: &SaleId) {
        self.0.retain(|kept| kept.rows.terms.id != *sale);
    }
}
