//! Letting go: a sale leaves this node for another one once everything that it has accepted is settled.

use super::Engine;
use super::archive::moving;
use crate::clock::Stopwatch;
use crate::fault::crash_point;
use crate::nodes::duty::Duty;
use crate::nodes::sharing::{Elsewhere, Sharing};
use crate::open::sale::OpenSale;
use crate::rules::node::NodeId;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Ownership, StoreError};
use futures_util::stream::{self, StreamExt};
use std::sync::Arc;
use std::time::Duration;

/// Sales that are handed over at once when this node ends.
const SIDE_BY_SIDE: usize = 16;
/// A sale stays where it is from so long before its first window opens until so long after its last one has.
const STAYS_BEFORE: Duration = Duration::from_secs(30);
const STAYS_AFTER: Duration = Duration::from_secs(300);
/// How often it is looked whether everything that a sale has accepted is settled.
const SETTLED_EVERY: Duration = Duration::from_millis(2);
/// A sale of which not everything is settled after so long stays where it is.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// How often a hand-over of which the outcome is not known is asked for.
const HAND_OVER_TRIES: u32 = 3;

/// A sale that callers are told is on its way. It is shown again if it does not leave, also when its leaving is cut off.
struct Leaving<'a> {
    engine: &'a Engine,
    sharing: &'a Sharing,
    open: &'a Arc<OpenSale>,
}

impl<'a> Leaving<'a> {
    fn begin(engine: &'a Engine, sharing: &'a Sharing, open: &'a Arc<OpenSale>) -> Self {
        engine.hide(&open.sale.terms().id, moving());
        // After this no click takes anything; what was taken is settled by the sale's confirmer.
        open.give_up();
        Self { engine, sharing, open }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.open.is_retired() {
            return;
        }
        self.open.take_back(self.sharing.lease());
        let id = &self.open.sale.terms().id;
        // One that was fenced may have been taken anew by now.
        if !self.engine.sales.load().contains_key(id) {
            self.engine.show(std::slice::from_ref(self.open));
            self.engine.not_opened.lock().remove(id);
        }
    }
}

impl Engine {
    /// Hands over at most so many sales to the nodes that are wanted as their owners.
    pub(super) async fn hand_over_some(
        &self,
        sharing: &Sharing,
        most: usize,
    ) -> Result<Vec<(SaleId, NodeId)>, StoreError> {
        let (living, now) = (sharing.living(), self.now());
        let mut moves = Vec::new();
        for open in self.sales() {
            let id = &open.sale.terms().id;
            let stays = stays(&open, now) && !sharing.is_leaving();
            let owner = sharing.me().cloned();
            let ownership = Ownership { owner, ..Ownership::default() };
            let duty = sharing.duty(id, &ownership, &living, true, stays);
            if let Duty::HandOver { to } = duty
                && open.trouble().is_none()
                && moves.len() < most
            {
                moves.push((open, to));
            }
        }
        let moving = stream::iter(moves).map(async |(open, to)| {
            let moved = self.let_go(&open, Some(&to)).await;
            (moved, open.sale.terms().id.clone(), to)
        });
        let mut handed_over = Vec::new();
        let mut moved = moving.buffer_unordered(SIDE_BY_SIDE);
        while let Some((outcome, sale, to)) = moved.next().await {
            match outcome {
                Ok(()) => handed_over.push((sale, to)),
                Err(error) => tracing::warn!(%sale, %error, "the sale is not handed over"),
            }
        }
        Ok(handed_over)
    }

    /// Hands every sale over to other nodes, if there are any: this process is to end. It serves until then.
    /// Returns the sales that were handed over, and to whom.
    ///
    /// # Errors
    /// [`StoreError`]; what is left is confirmed when the engine drains.
    pub async fn leave(&self) -> Result<Vec<(SaleId, NodeId)>, StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(Vec::new()) };
        sharing.note_leaving();
        sharing.renew().await?;
        let mut handed_over = Vec::new();
        loop {
            let some = self.hand_over_some(sharing, SIDE_BY_SIDE).await?;
            if some.is_empty() {
                return Ok(handed_over);
            }
            handed_over.extend(some);
        }
    }

    /// Takes a sale out of memory once everything that it has accepted is settled, and leaves it to another node, or
    /// to the one that has taken it. Until then clicks are told `busy`.
    pub(super) async fn let_go(
        &self,
        open: &Arc<OpenSale>,
        to: Option<&NodeId>,
    ) -> Result<(), StoreError> {
        let Some(sharing) = &self.sharing else { return Ok(()) };
        let id = &open.sale.terms().id;
        {
            let _one_at_a_time = open.switching.lock().await;
            if open.is_retired() {
                return Ok(());
            }
            let _leaving = Leaving::begin(self, sharing, open);
            if !self.is_settled(open).await {
                // The store is away, or has lost something: the sale stays, and an operator finds it here.
                return Err(StoreError::Refused("what it has accepted is not settled".into()));
            }
            open.retire();
            open.ended().await;
        }
        crash_point("let_go");
        self.ends.forget(open.sale_number);
        let left = match to {
            Some(to) => self.hand_over(sharing, open, to).await,
            None => Err(StoreError::Fenced),
        };
        let place = match (&left, to) {
            (Ok(()), Some(to)) => {
                tracing::info!(sale = %id, %to, "handed over to another node");
                let living = sharing.living();
                living.iter().find(|node| node.id == *to).cloned().map(Elsewhere::At)
            }
            // The next one has it already, or another one took it: it is looked for.
            (Ok(()) | Err(StoreError::Fenced), _) => {
                tracing::warn!(sale = %id, "another node has taken the sale over");
                None
            }
            (Err(error), _) => {
                // If the store still has this node as its owner, it is taken again.
                self.not_opened.lock().insert(id.clone(), error.clone());
                return left;
            }
        };
        // It is elsewhere before it is no more on its way: at no moment there is no such sale.
        sharing.note(id, &place.unwrap_or(Elsewhere::Moving));
        self.not_opened.lock().remove(id);
        Ok(())
    }

    /// Waits until everything that a sale has accepted is settled; false if that takes too long, or cannot be.
    async fn is_settled(&self, open: &OpenSale) -> bool {
        let watch = Stopwatch::start();
        // Two looks in a row: one alone may fall between two steps of a change.
        let mut looks = 0;
        while looks < 2 {
            let trouble = open.trouble();
            let is_lost =
                trouble.is_some_and(|why| !why.is_transient() && why != StoreError::Fenced);
            if is_lost || watch.elapsed() >= SETTLED_WITHIN {
                return false;
            }
            tokio::time::sleep(SETTLED_EVERY).await;
            looks = if open.is_all_settled() { looks + 1 } else { 0 };
        }
        true
    }

    async fn hand_over(
        &self,
        sharing: &Sharing,
        open: &OpenSale,
        to: &NodeId,
    ) -> Result<(), StoreError> {
        let (id, epoch) = (&open.sale.terms().id, open.sale.epoch());
        let mut outcome = Ok(());
        for _ in 0..HAND_OVER_TRIES {
            outcome = sharing.hand_over(id, epoch, to).await;
            match &outcome {
                Err(error) if error.is_transient() => {}
                _ => return outcome,
            }
        }
        outcome
    }
}

/// Whether a sale stays where it is while its owner lives: it opens soon, or has opened lately.
fn stays(open: &OpenSale, now: Millis) -> bool {
    let windows = &open.sale.terms().windows;
    let (first, last) = (windows.first_opens_at(), windows.last_opens_at());
    now + STAYS_BEFORE >= first && now < last + STAYS_AFTER && !open.sale.is_over(now)
}
