//! Closing: a sale that the clock has closed stays closed, whatever the clock says later, here and in
//! the store.

use super::back_off::back_off;
use super::confirmer::Confirmer;
use super::work::Progress;
use crate::store::Switch;
use std::time::Duration;

impl Confirmer {
    /// How long until the sale is over by the clock; `None` once the store knows that it is.
    pub(super) fn until_over(&self) -> Option<Duration> {
        let closes_at = self.open.sale.closes_at();
        (!self.is_close_stored).then(|| closes_at.since(self.clock.now()))
    }

    /// Closes a sale that is over: first in memory, so that no click gets in when the clock goes
    /// back, then in the store, so that none gets in after a restart. Returns `None` if there is
    /// nothing to do, or nobody to do it: a halted sale takes no click anyway.
    pub(super) async fn close_if_over(&mut self) -> Option<Progress> {
        let sale = &self.open.sale;
        let is_halted = sale.stock().level().is_halted();
        if self.is_close_stored || is_halted || !sale.is_over(self.clock.now()) {
            return None;
        }
        sale.stock().close();
        let (id, epoch) = (&sale.terms().id, sale.epoch());
        match self.store.operating.switch(id, epoch, Switch::Close).await {
            Ok(()) => {
                self.is_close_stored = true;
                None
            }
            Err(error) if error.is_transient() => {
                self.note_failure(&error);
                Some(Progress::Retry(back_off(self.failures)))
            }
            Err(error) => {
                self.halt(error);
                Some(Progress::Halted)
            }
        }
    }
}
