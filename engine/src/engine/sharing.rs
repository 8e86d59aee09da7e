//! Sharing sales with other nodes: which of them this process takes, keeps and hands over, and where the others are.

use super::archive::moving;
use super::{Engine, NoSale};
use crate::nodes::duty::Duty;
use crate::nodes::sharing::{Elsewhere, Look, Sharing};
use crate::open::sale::OpenSale;
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::{Ownership, StoreError};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sales that are looked at, or handed over, at once.
const SIDE_BY_SIDE: usize = 16;
/// Sales that are kept at once: all of them must be, before the lease is over again.
const KEPT_AT_ONCE: usize = 256;
/// Sales that a node hands over at once because another one is wanted as their owner.
const MOVES_MAX: usize = 4;

/// Where a sale is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This process answers for it, also that there is no such sale.
    Here,
    /// Another one does.
    Elsewhere(Elsewhere),
}

impl Engine {
    /// The other nodes; `None` if this process shares its store with nobody.
    #[must_use]
    pub fn sharing(&self) -> Option<&Sharing> {
        self.sharing.as_deref()
    }

    /// Where this sale is answered for. A sale that is to be this node's is taken over at once.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn locate(&self, id: &str) -> Result<Place, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(Place::Here) };
        match self.sale(id) {
            // Also while its lease is over or its store is away: clicks are told `busy`, and the rest is answered.
            Ok(_) => return Ok(Place::Here),
            Err(NoSale::NotOpened) => return Ok(self.not_opened_place(id)),
            Err(_) => {}
        }
        let Ok(id) = id.parse::<SaleId>() else { return Ok(Place::Here) };
        match sharing.known(&id) {
            Some(at) => Ok(Place::Elsewhere(at)),
            None => {
                let found = self.find(sharing, &id).await;
                if found.is_err() {
                    // Those who wait to look for it, too, fail with this one.
                    sharing.note(&id, &Elsewhere::Moving);
                }
                found
            }
        }
    }

    /// A sale that is on its way is there soon; one that cannot be opened is not.
    fn not_opened_place(&self, id: &str) -> Place {
        match self.not_opened.lock().get(id) {
            Some(error) if *error == moving() => Place::Elsewhere(Elsewhere::Moving),
            _ => Place::Here,
        }
    }

    /// The id of the sale with this number, wherever it is sold; `None` if this process alone can say.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn id_of(&self, number: u32) -> Result<Option<SaleId>, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(None) };
        if let Ok(open) = self.sale_numbered(number) {
            return Ok(Some(open.sale.terms().id.clone()));
        }
        match sharing.numbered(number, Vec::new()).await? {
            Some(known) => Ok(Some(known)),
            // The list is read again twice a second at most.
            None => sharing.numbered(number, self.listed_anew().await?).await,
        }
    }

    /// Whether clicks on this sale may be judged by this node's lease.
    fn holds(&self, sharing: &Sharing, open: &OpenSale) -> bool {
        open.right().is_held(sharing.lease(), self.now())
    }

    /// Looks in the store where a sale is.
    async fn find(&self, sharing: &Sharing, id: &SaleId) -> Result<Place, StoreError> {
        let _looking = sharing.looking(id).await;
        if let Some(at) = sharing.known(id) {
            return Ok(Place::Elsewhere(at));
        }
        if self.sale(id.as_str()).is_ok() {
            return Ok(Place::Here);
        }
        let Some(look) = sharing.look(id).await? else { return Ok(Place::Here) };
        let place = sharing.place(id, &look);
        let is_at_owner = matches!(&place, Elsewhere::At(node) if look.ownership.owner.as_ref() == Some(&node.id));
        // What is archived is read by whoever is asked.
        if !is_at_owner && self.store.archiving.is_taken(id).await? {
            return Ok(Place::Here);
        }
        if let Duty::Take { .. } = look.duty {
            return match self.adopt(sharing, id, &look).await {
                Ok(()) => Ok(Place::Here),
                Err(StoreError::OtherOwner) => Ok(Place::Elsewhere(Elsewhere::Moving)),
                Err(error) => Err(error),
            };
        }
        sharing.note(id, &place);
        Ok(Place::Elsewhere(place))
    }

    /// Takes over a sale that a look has found to be this node's, and begins to sell it.
    async fn adopt(&self, sharing: &Sharing, id: &SaleId, look: &Look) -> Result<(), StoreError> {
        self.is_not_stopping()?;
        let (opened, term) = sharing.take(id, look.ownership.seen).await?;
        let open = self.resume(opened, Some(term))?;
        let mut confirmers = self.confirmers.lock().await;
        self.is_not_stopping()?;
        self.begin_to_confirm(std::slice::from_ref(&open), &mut confirmers);
        self.not_opened.lock().remove(id);
        sharing.forget(id.as_str());
        tracing::info!(sale = %id, "this node sells the sale from now on");
        Ok(())
    }

    /// Takes over a sale that this process has made, opens anew or takes out of the archive: nobody else has it.
    pub(super) async fn take_own(
        &self,
        sharing: &Sharing,
        id: &SaleId,
    ) -> Result<Arc<OpenSale>, StoreError> {
        let look = sharing.look(id).await?.ok_or(StoreError::UnknownSale)?;
        let Ownership { owner, next, seen } = look.ownership;
        let other = |node: &NodeId| {
            Some(node) != sharing.me() && look.living.iter().any(|living| living.id == *node)
        };
        if owner.iter().chain(&next).any(other) {
            return Err(StoreError::OtherOwner);
        }
        let (opened, term) = sharing.take(id, seen).await?;
        self.resume(opened, Some(term))
    }

    /// Renews this node's lease, and lets its sales be sold as long as that lasts. Returns whether other nodes live
    /// than before.
    ///
    /// # Errors
    /// [`StoreError`]; once the lease is over, clicks are told `busy`.
    pub async fn renew_lease(&self) -> Result<bool, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(false) };
        let others = sharing.renew().await?;
        let lease = sharing.lease();
        for open in self.sales() {
            open.right().follow(&open.sale, lease);
        }
        Ok(others)
    }

    /// Keeps the sales that this node took before its lease was over, and lets go of those that others have taken.
    ///
    /// # Errors
    /// [`StoreError`]; it is tried again.
    pub async fn keep_own(&self) -> Result<(), StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(()) };
        let keeping = stream::iter(self.sales()).map(async |open| {
            if open.trouble() == Some(StoreError::Fenced) {
                return self.let_go(&open, None).await;
            }
            if self.holds(sharing, &open) || open.has_lost_history() {
                return Ok(());
            }
            match sharing.keep(&open.sale.terms().id, open.sale.epoch()).await {
                Ok(term) => {
                    open.right().keep(&open.sale, term, sharing.lease());
                    Ok(())
                }
                Err(StoreError::Fenced) => {
                    open.fence();
                    Ok(())
                }
                Err(error) => Err(error),
            }
        });
        let kept: Vec<_> = keeping.buffer_unordered(KEPT_AT_ONCE).collect().await;
        kept.into_iter().collect()
    }

    /// Follows what other nodes change that concerns more than one sale: who is blocked, and the plan.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn follow_others(&self) -> Result<(), StoreError> {
        if !self.has_others() {
            return Ok(());
        }
        let one_at_a_time = self.blocking.lock().await;
        self.read_blocked().await?;
        drop(one_at_a_time);
        self.book.plans.follow().await
    }

    /// Looks at every sale of the store: takes over what is to be this node's, and hands over what is to be
    /// another's. Returns the sales that were handed over, and to whom.
    ///
    /// # Errors
    /// [`StoreError`]; what could not be done is tried again.
    pub async fn share(&self) -> Result<Vec<(SaleId, NodeId)>, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(Vec::new()) };
        let sales: BTreeSet<SaleId> = self.store.reading.sales().await?.into_iter().collect();
        sharing.retain(|sale| sales.contains(sale));
        let others: Vec<_> =
            sales.iter().filter(|sale| self.sale(sale.as_str()).is_err()).cloned().collect();
        // Owners first, then who lives: see `Sharing::look`.
        let owners: Vec<_> = stream::iter(others)
            .map(async |sale| (sharing.owner(&sale).await, sale))
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        sharing.renew().await?;
        let living = sharing.living();
        let following = stream::iter(owners).map(async |(owner, sale)| {
            let taken = match owner {
                Ok(Some(ownership)) => self.follow(sharing, &sale, ownership, &living).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            taken.inspect_err(|error| self.note_not_opened(&sale, error))
        });
        let followed: Vec<_> = following.buffer_unordered(SIDE_BY_SIDE).collect().await;
        followed.into_iter().collect::<Result<(), _>>()?;
        self.hand_over_some(sharing, MOVES_MAX).await
    }

    /// Does what is to be done about a sale that is not open here.
    async fn follow(
        &self,
        sharing: &Sharing,
        sale: &SaleId,
        ownership: Ownership,
        living: &Arc<[Node]>,
    ) -> Result<(), StoreError> {
        let duty = sharing.duty(sale, &ownership, living, false, false);
        let look = Look { ownership, living: Arc::clone(living), duty };
        if !matches!(look.duty, Duty::Take { .. }) {
            sharing.note(sale, &sharing.place(sale, &look));
            self.not_opened.lock().remove(sale);
            return Ok(());
        }
        // One task of this process takes it: another one would fence the sale that was just taken.
        let _looking = sharing.looking(sale).await;
        // It may have been asked for, or put away, since the list was read.
        let is_gone =
            self.sale(sale.as_str()).is_ok() || self.store.archiving.is_taken(sale).await?;
        if is_gone {
            return Ok(());
        }
        match self.adopt(sharing, sale, &look).await {
            // Another node was quicker.
            Err(StoreError::OtherOwner) => Ok(()),
            adopted => adopted,
        }
    }
}
