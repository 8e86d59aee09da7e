//! A sale that is over: whether everything about it is settled, and copies of archived ones.

use super::OpenSale;
use crate::open::blocked::Blocked;
use crate::roster::Roster;
use crate::rules::order::Status;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::ORDERS_PER_MEMBER;
use crate::store::{Opened, StoreError};
use std::sync::Arc;
use tokio::sync::watch;

impl OpenSale {
    /// A copy of an archived sale: it is closed, and no task confirms anything of it.
    ///
    /// # Errors
    /// As for [`OpenSale::resume`].
    pub(crate) fn archived(opened: Opened, roster: &Roster) -> Result<Self, StoreError> {
        let room = Units(u32::try_from(opened.holdings.len()).unwrap_or(u32::MAX));
        let (_, stopping) = watch::channel(true);
        let (blocked, most) = (Arc::<Blocked>::default(), ORDERS_PER_MEMBER);
        let copy = Self::with_room_for(room, opened, most, roster, blocked, stopping)?;
        copy.sale.stock().close();
        Ok(Self { is_archived: true, ..copy })
    }

    /// Whether this is a copy of an archived sale.
    #[must_use]
    pub const fn is_archived(&self) -> bool {
        self.is_archived
    }

    /// Whether nothing can become of any order by itself any more: the sale is closed, nothing waits for the
    /// store, for a payment, for units, or for money to go back.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let (level, stored) = (self.sale.stock().level(), self.sale.meter().stored());
        let is_open = |status: Status| stored.sum(status).orders > 0;
        level.is_closed()
            && !level.is_halted()
            && self.trouble().is_none()
            && self.sale.queue().is_empty()
            && self.reserved().iter().all(|(_, tally)| tally.orders == 0)
            && ![Status::Confirmed, Status::RefundDue].into_iter().any(is_open)
            && self.waiting() == 0
            && self.asks.is_empty()
    }

    /// Since when everything is settled, as far as this process knows; `None` if it is not.
    pub(crate) fn settled_since(&self, now: Millis) -> Option<Millis> {
        let mut since = self.settled_since.lock();
        *since = if self.is_settled() { since.or(Some(now)) } else { None };
        *since
    }

    /// Notes since when everything is settled of a sale that was taken over, if it is.
    pub(crate) fn note_settled(&self, since: Millis) {
        *self.settled_since.lock() = Some(since);
    }

    /// Notes that the sale's confirmer has ended.
    pub(crate) fn note_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Resolves when the sale's confirmer has ended.
    pub(crate) async fn ended(&self) {
        // Err: nobody could end any more.
        self.ended.subscribe().wait_for(|ended| *ended).await.ok();
    }
}
