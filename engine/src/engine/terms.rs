//! Terms: changing a sale's terms. Before its first window opens everything may change but the id; after
//! that the title, the picture, a later close, and the time to pay of orders to come.

use super::{Confirmers, Engine};
use crate::fault::crash_point;
use crate::open::marks::Mark;
use crate::open::sale::OpenSale;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// Why terms did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// A window has opened, so these fields stay as they are.
    #[error("a window has opened; these stay as they are: {}", .0.join(", "))]
    HasOpened(Vec<&'static str>),
    /// The sale is over.
    #[error("the sale is closed")]
    Closed,
    /// The store did not do it. If the error is transient, ask again.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Gives a sale other terms: first on disk, then in memory. `change` makes them of those of now and of
    /// the units that were added to the stock; no other change comes in between. Returns the sale as it is
    /// sold from now on.
    ///
    /// # Errors
    /// [`NotChanged`], or what `change` says.
    pub async fn change_terms<E: From<NotChanged>>(
        &self,
        open: &Arc<OpenSale>,
        change: impl FnOnce(&Terms, Units) -> Result<Terms, E>,
    ) -> Result<Arc<OpenSale>, E> {
        let mut confirmers = self.confirmers.lock().await;
        let _one_at_a_time = open.switching.lock().await;
        let (sale, now) = (&open.sale, self.now());
        if open.is_retired() {
            let why = StoreError::Refused("the sale was changed in between".into());
            return Err(NotChanged::from(why).into());
        }
        if sale.is_over(now) {
            return Err(NotChanged::Closed.into());
        }
        let before = open.terms_now();
        let added = Units(sale.stock().level().total().0 - sale.terms().stock.0);
        let terms = &change(&before, added)?;
        if before == *terms {
            return Ok(Arc::clone(open));
        }
        let changed = match is_live(&before, terms) {
            true => self.change_live(open, terms).await,
            false => self.change_all(open, &before, terms, &mut confirmers).await,
        };
        changed.map_err(E::from)
    }

    /// Changes what may change while the sale sells.
    async fn change_live(
        &self,
        open: &Arc<OpenSale>,
        terms: &Terms,
    ) -> Result<Arc<OpenSale>, NotChanged> {
        let sale = &open.sale;
        if !open.live().has_room() {
            let why = "the time to pay has changed too often";
            return Err(StoreError::Refused(why.into()).into());
        }
        self.store.operating.change_terms(sale.epoch(), terms).await?;
        crash_point("terms_changed");
        open.live().follow(terms, &self.clock);
        sale.close_at(terms.windows.closes_at());
        open.marks().note(self.now(), Mark::Changed);
        open.wake();
        // An order that is made once this has answered has the new time to pay, which begins with the next
        // millisecond.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Arc::clone(open))
    }

    /// Changes anything, before the first window opens: the sale is opened anew.
    async fn change_all(
        &self,
        open: &Arc<OpenSale>,
        before: &Terms,
        terms: &Terms,
        confirmers: &mut Confirmers,
    ) -> Result<Arc<OpenSale>, NotChanged> {
        let sale = &open.sale;
        // No click is judged by terms that are no longer those of the store, or not yet.
        let was_paused = sale.stock().level().is_paused();
        sale.stock().set_paused(true);
        let has_orders = sale.next_number() > 1;
        if has_orders || self.now() >= before.windows.first_opens_at() {
            sale.stock().set_paused(was_paused);
            return Err(NotChanged::HasOpened(fixed(before.differences(terms))));
        }
        let written = self.store.operating.change_terms(sale.epoch(), terms).await;
        if let Err(error) = &written
            && !matches!(error, StoreError::Unknown(_))
        {
            sale.stock().set_paused(was_paused);
            return Err(error.clone().into());
        }
        crash_point("terms_changed");
        // If the outcome is not known, the sale goes on with whatever is there.
        let reopened = self.reopen(open, confirmers).await?;
        if reopened.terms_now() != *terms {
            written?;
        }
        reopened.marks().note(self.now(), Mark::Changed);
        Ok(reopened)
    }
}

/// Whether only that changes which may change while a sale sells.
fn is_live(before: &Terms, now: &Terms) -> bool {
    let closes_at: Millis = now.windows.closes_at();
    let live = Terms {
        title: now.title.clone(),
        image_url: now.image_url.clone(),
        pay_within_s: now.pay_within_s,
        windows: before.windows.closing_at(closes_at.max(before.windows.closes_at())),
        ..before.clone()
    };
    live == *now
}

/// Those fields that do not change while a sale sells.
fn fixed(changed: Vec<&'static str>) -> Vec<&'static str> {
    changed
        .into_iter()
        .filter(|field| !["title", "image_url", "pay_within_s"].contains(field))
        .collect()
}
