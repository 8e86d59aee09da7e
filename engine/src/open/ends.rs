//! Ends: where the outbox of each sale ended when the store was last asked.

use crate::store::OutboxEnd;
use parking_lot::Mutex;
use std::collections::HashMap;

/// By the sales' numbers: the end, and the steps that were told before the store was asked.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<u32, (u64, OutboxEnd)>>);

impl Ends {
    /// The end, if nothing was told since the store was asked.
    pub(crate) fn known(&self, sale: u32, steps: u64) -> Option<OutboxEnd> {
        let known = self.0.lock().get(&sale).copied();
        known.filter(|(as_of, _)| *as_of == steps).map(|(_, end)| end)
    }

    pub(crate) fn forget(&self, sale: u32) {
        self.0.lock().remove(&sale);
    }

    pub(crate) fn note(&self, sale: u32, steps: u64, end: OutboxEnd) {
        self.0.lock().insert(sale, (steps, end));
    }
}
