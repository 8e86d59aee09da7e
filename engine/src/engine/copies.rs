//! Copies: archived sales that were asked for lately, as they are read from the store, without their
//! members.

use crate::open::sale::OpenSale;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A copy that nobody has asked for so long is dropped.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Most copies that are kept.
const COPIES_MAX: usize = 64;

/// Copies of archived sales that were asked for lately, the newest last.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<Vec<(Arc<OpenSale>, Millis)>>);

impl Copies {
    pub(super) fn find(&self, id: &str, now: Millis) -> Option<Arc<OpenSale>> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|(copy, _)| copy.sale.terms().id.as_str() == id)?;
        let (copy, _) = kept.remove(at);
        kept.push((Arc::clone(&copy), now));
        Some(copy)
    }

    pub(super) fn keep(&self, copy: Arc<OpenSale>, now: Millis) {
        let mut kept = self.0.lock();
        kept.retain(|(other, _)| other.sale.terms().id != copy.sale.terms().id);
        kept.push((copy, now));
        if kept.len() > COPIES_MAX {
            kept.remove(0);
        }
    }

    pub(super) fn forget(&self, id: &SaleId) {
        self.0.lock().retain(|(copy, _)| copy.sale.terms().id != *id);
    }

    pub(super) fn tidy(&self, now: Millis) {
        self.0.lock().retain(|(_, used_at)| now.since(*used_at) < KEPT_FOR);
    }
}
