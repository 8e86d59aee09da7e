//! Archive: a sale that is over leaves memory. What is asked of it later is answered by a copy that is read
//! from the store, and what still becomes of its orders takes it out of the archive again.

use super::{Confirmers, Engine, NoSale};
use crate::open::sale::OpenSale;
use crate::rules::seat::Seat;
use crate::rules::terms::SaleId;
use crate::rules::units::Units;
use crate::store::{Holding, Keyed, Opened, Record, StoreError};
use membership::MemberId;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A member's orders in one sale that a copy knows of; no member can make more.
const ORDERS_MAX: usize = u16::MAX as usize;

/// Why a sale that is on its way is not open: into the archive, out of it, or to another node.
pub(super) fn moving() -> StoreError {
    StoreError::Refused("the sale is on its way; try again soon".into())
}

/// A sale as one member's orders make it.
fn with_orders(opened: Opened, member: MemberId, orders: &[Record]) -> Opened {
    let units = orders.iter().filter(|order| order.status.holds_units()).map(|order| order.units.0);
    let made = u32::try_from(orders.len()).unwrap_or(u32::MAX);
    let holding = Holding { member, units: Units(units.sum()), orders: made };
    let keyed = orders.iter().filter_map(|order| {
        let tender = order.money.tender();
        Some(Keyed { holder: 0, key: order.key?, units: order.units, tender, number: order.number })
    });
    Opened { holdings: vec![holding], keyed: keyed.collect(), ..opened }
}

/// Why a sale was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDeleted {
    /// There is none with this id, or it cannot be read.
    #[error("{0}")]
    NoSale(#[from] NoSale),
    /// It is not archived, and has opened or has orders.
    #[error(
        "the sale is not archived yet: it is, some time after it is over and everything is settled"
    )]
    NotArchived,
    /// The store did not do it. If the error is transient, ask again.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Sales of the store that could not be opened, and why; without those that are on their way into the
    /// archive or out of it, with which nothing is wrong.
    #[must_use]
    pub fn not_opened(&self) -> BTreeMap<SaleId, StoreError> {
        let mut not_opened = self.not_opened.lock().clone();
        not_opened.retain(|_, why| *why != moving());
        not_opened
    }

    /// The sale with this id, or a copy of it if it is archived. The copy knows nothing of members:
    /// [`Engine::any_sale_of`] does.
    ///
    /// # Errors
    /// [`NoSale`]
    pub async fn any_sale(&self, id: &str) -> Result<Arc<OpenSale>, NoSale> {
        match self.sale(id) {
            Err(NoSale::Unknown) => self.copy(id).await?.ok_or(NoSale::Unknown),
            found => found,
        }
    }

    /// As [`Engine::any_sale`]; a copy knows what this member holds, and the keys of their clicks.
    ///
    /// # Errors
    /// [`NoSale`]
    pub async fn any_sale_of(&self, id: &str, seat: Seat) -> Result<Arc<OpenSale>, NoSale> {
        let open = self.any_sale(id).await?;
        let sale = &open.sale.terms().id;
        let (reading, member) = (&self.store.reading, self.roster.member(seat));
        if !open.is_archived() {
            return Ok(open);
        }
        let orders = reading.orders_of(sale, &member, None, ORDERS_MAX).await?;
        let Some(opened) = self.store.archiving.look(sale).await?.filter(|_| !orders.is_empty())
        else {
            // They have none, or the sale was taken out of the archive.
            return match self.sale(id) {
                Err(NoSale::Unknown) => Ok(open),
                found => found,
            };
        };
        Ok(Arc::new(OpenSale::archived(with_orders(opened, member, &orders), &self.roster)?))
    }

    /// The sale with this id, if it can still be changed.
    ///
    /// # Errors
    /// [`NoSale`]; [`NoSale::Archived`] if it is over for good.
    pub async fn sale_to_change(&self, id: &str) -> Result<Arc<OpenSale>, NoSale> {
        match self.any_sale(id).await? {
            open if open.is_archived() => Err(NoSale::Archived),
            open => Ok(open),
        }
    }

    /// The sale with this number, or a copy of it if it is archived.
    ///
    /// # Errors
    /// [`NoSale`]
    pub(super) async fn any_sale_numbered(&self, number: u32) -> Result<Arc<OpenSale>, NoSale> {
        match self.sale_numbered(number) {
            Err(NoSale::Unknown) => {
                let id = self.store.archiving.archived_numbered(number).await?;
                self.any_sale(id.ok_or(NoSale::Unknown)?.as_str()).await
            }
            found => found,
        }
    }

    /// A copy of the archived sale with this id; `None` if none has it.
    async fn copy(&self, id: &str) -> Result<Option<Arc<OpenSale>>, StoreError> {
        let Ok(sale) = id.parse::<SaleId>() else { return Ok(None) };
        if let Some(copy) = self.copies.find(id, self.now()) {
            return Ok(Some(copy));
        }
        let Some(opened) = self.store.archiving.look(&sale).await? else {
            // It may have been taken out of the archive between the two looks.
            return Ok(self.sale(id).ok());
        };
        let open = Arc::new(OpenSale::archived(opened, &self.roster)?);
        self.copies.keep(Arc::clone(&open), self.now());
        Ok(Some(open))
    }

    /// Makes a consistent copy of the store in a folder that is not there yet, while it goes on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let _backing_up = self.backing_up.lock().await;
        self.store.archiving.back_up(to).await
    }

    /// Whether a sale that is archived or was deleted has this id.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn is_taken(&self, sale: &SaleId) -> Result<bool, StoreError> {
        self.store.archiving.is_taken(sale).await
    }

    /// At most `most` archived sales with ids over `after`, by id, as lists show them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn archived_after(
        &self,
        after: &str,
        most: usize,
    ) -> Result<Vec<Arc<OpenSale>>, StoreError> {
        let sales = self.store.archiving.archived_after(after, most).await?;
        let copy = |opened: Opened| Ok(Arc::new(OpenSale::archived(opened, &self.roster)?));
        sales.into_iter().map(copy).collect()
    }

    /// The archived sales in which this member has orders.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn archived_of(&self, member: &MemberId) -> Result<Vec<SaleId>, StoreError> {
        self.store.archiving.archived_of(member).await
    }

    /// Archives the sales of which everything is settled for this long. A sale that cannot be archived now
    /// goes on, and is tried again.
    ///
    /// # Errors
    /// [`StoreError`] of the last one that could not be.
    pub async fn archive_due(&self, after: Duration) -> Result<(), StoreError> {
        let now = self.now();
        self.copies.tidy(now);
        let mut outcome = Ok(());
        for open in self.sales() {
            if open.settled_since(now).is_some_and(|since| now.since(since) >= after) {
                let archived = self.archive(&open).await;
                outcome = outcome.and(archived);
            }
        }
        // No sale is taken out of the archive meanwhile.
        let _confirmers = self.confirmers.lock().await;
        outcome.and(self.store.archiving.trim(now).await)
    }

    /// Archives a sale now, if everything about it is settled.
    ///
    /// # Errors
    /// [`StoreError`]; the sale goes on, or is opened again.
    pub async fn archive(&self, open: &OpenSale) -> Result<(), StoreError> {
        let mut confirmers = self.confirmers.lock().await;
        if open.is_retired() || !open.is_settled() {
            return Ok(());
        }
        self.put_away(open, &mut confirmers).await
    }

    /// Takes a sale out of memory and into the archive, once the book has taken in what became of its orders.
    /// While a backup is being made, nothing is done.
    async fn put_away(
        &self,
        open: &OpenSale,
        confirmers: &mut Confirmers,
    ) -> Result<(), StoreError> {
        // While a backup is made, which takes a while, nothing goes into the archive.
        let Ok(_no_backup) = self.backing_up.try_lock() else { return Ok(()) };
        let _one_at_a_time = open.switching.lock().await;
        if open.is_retired() {
            // It went to another node meanwhile.
            return Ok(());
        }
        let (id, number) = (&open.sale.terms().id, open.sale_number);
        while self.book.feed(&*self.store.reading, open).await? {}
        let end = self.store.reading.outbox_end(id).await?;
        if !self.book.has_taken_in(open, end.seq).await? {
            return Ok(());
        }
        self.hide(id, moving());
        // What was asked for until now is done first; then nothing is on its way to the store.
        open.retire();
        open.ended().await;
        while confirmers.running.try_join_next().is_some() {}
        self.ends.forget(number);
        let changed_at = end.newest_at.unwrap_or(open.sale.closes_at());
        let archived = match self.store.reading.outbox_end(id).await {
            Ok(now) if now != end => Err(StoreError::Refused("the sale has changed".into())),
            Ok(_) => self.store.archiving.archive(id, open.sale.epoch(), changed_at).await,
            Err(error) => Err(error),
        };
        if let Err(error) = archived {
            // It is opened again, as after a start.
            self.not_opened.lock().insert(id.clone(), error.clone());
            return Err(error);
        }
        confirmers.created.remove(id);
        self.copies.forget(id);
        self.not_opened.lock().remove(id);
        tracing::info!(sale = %id, "archived: what is asked of this sale is read from the store");
        Ok(())
    }

    /// Takes a sale out of the archive, because something becomes of its orders.
    ///
    /// # Errors
    /// [`StoreError`]; ask again.
    pub(super) async fn unarchive(&self, id: &SaleId) -> Result<Arc<OpenSale>, StoreError> {
        let mut confirmers = self.confirmers.lock().await;
        if let Ok(open) = self.sale(id.as_str()) {
            return Ok(open);
        }
        // Whoever asks meanwhile asks again; if this is broken off, it is opened as after a start.
        self.not_opened.lock().insert(id.clone(), moving());
        let open = match self.take_over(id).await {
            Ok(open) => open,
            Err(error) => {
                let mut not_opened = self.not_opened.lock();
                match error {
                    StoreError::UnknownSale => drop(not_opened.remove(id)),
                    _ => drop(not_opened.insert(id.clone(), error.clone())),
                }
                return Err(error);
            }
        };
        open.note_settled(self.now());
        self.copies.forget(id);
        self.begin_to_confirm(std::slice::from_ref(&open), &mut confirmers);
        self.not_opened.lock().remove(id);
        tracing::info!(sale = %id, "taken out of the archive: something becomes of its orders");
        Ok(open)
    }

    /// Deletes a sale for good that is archived, or that has not opened yet and has no orders. Its id stays
    /// taken.
    ///
    /// # Errors
    /// [`NotDeleted`]
    pub async fn delete(&self, id: &SaleId) -> Result<(), NotDeleted> {
        let mut confirmers = self.confirmers.lock().await;
        match self.sale(id.as_str()) {
            Ok(open) => {
                let (stock, terms) = (open.sale.stock(), open.sale.terms());
                // No click comes in between.
                let was_paused = stock.level().is_paused();
                stock.set_paused(true);
                let has_opened = self.now() >= terms.windows.first_opens_at();
                let is_new = !has_opened && open.sale.next_number() == 1;
                let put_away = match is_new {
                    true => self.put_away(&open, &mut confirmers).await,
                    false => Ok(()),
                };
                if self.sale(id.as_str()).is_ok() {
                    stock.set_paused(was_paused);
                    put_away?;
                    return Err(NotDeleted::NotArchived);
                }
                put_away?;
            }
            Err(NoSale::Unknown) => {}
            Err(none) => return Err(none.into()),
        }
        self.copies.forget(id);
        Ok(self.store.archiving.delete(id).await?)
    }
}
