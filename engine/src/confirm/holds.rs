//! Holds: what orders are paid with beside money is kept in the book before they are committed.

use super::confirmer::Confirmer;
use super::work::Committing;
use crate::fault::crash_point;
use crate::members::{Ask, HoldAsk};
use crate::rules::order::OrderId;
use crate::rules::why::Why;
use crate::sale::queued::Queued;
use crate::store::{Batch, ReservedOrder, StoreError, Who};
use membership::MemberId;
use membership::event::{Event, Tender};
use membership::posting::Source;
use std::collections::BTreeMap;
use std::time::Duration;

/// A hold outlives the time to pay by this much: its order is told to the book as paid or over long before.
const HOLD_SLACK: Duration = Duration::from_secs(3_600);

impl Confirmer {
    /// Has the book keep points and coupons for orders. Those of which it has not said so wait until they are
    /// asked for again, and keep no other order from being committed, whatever ails the book.
    pub(super) async fn hold_or_park(&mut self, committing: &mut Committing) {
        let Err(error) = self.hold(committing).await else {
            self.book_failures = 0;
            return;
        };
        self.book_failures += 1;
        if self.book_failures == 1 {
            let sale = &self.open.sale.terms().id;
            tracing::warn!(%sale, %error, "orders with points wait for the members' book");
        }
        let Committing { batch, asked } = committing;
        let is_ready =
            |order: &&ReservedOrder| order.money.is_plain() || asked.contains(&order.number);
        let (ready, parked): (Vec<_>, Vec<_>) =
            batch.orders.iter().partition::<Vec<_>, _>(is_ready);
        let reserved = |order: &&ReservedOrder| {
            let queued = Queued { key: order.key, is_mixed: true };
            let order = self.open.sale.board().read(order.number);
            (queued, order.expect("an order on its way is on the board"))
        };
        self.parked.extend(parked.iter().map(reserved));
        batch.orders = ready.into_iter().cloned().collect();
    }

    /// Marks the orders that the book says no to.
    ///
    /// # Errors
    /// [`StoreError`]; of some it may not be known whether they are kept. Ask again: each hold is made once.
    async fn hold(&self, committing: &mut Committing) -> Result<(), StoreError> {
        let Committing { batch, asked } = committing;
        let is_to_ask =
            |order: &&ReservedOrder| !order.money.is_plain() && !asked.contains(&order.number);
        let (asks, numbers): (Vec<_>, Vec<_>) = batch
            .orders
            .iter()
            .filter(is_to_ask)
            .map(|order| (self.hold_of(batch, order), order.number))
            .unzip();
        if asks.is_empty() {
            return Ok(());
        }
        let (answers, outcome) = self.book.hold(asks).await;
        let said = |(number, answer): (u64, Option<Result<(), Why>>)| Some((number, answer?));
        let said: BTreeMap<u64, _> = numbers.into_iter().zip(answers).filter_map(said).collect();
        asked.extend(said.keys());
        let orders = batch.orders.iter().map(|order| match said.get(&order.number) {
            Some(Err(why)) => ReservedOrder { refused: Some(*why), ..order.clone() },
            _ => order.clone(),
        });
        batch.orders = orders.collect();
        crash_point("held");
        outcome
    }

    fn hold_of(&self, batch: &Batch, order: &ReservedOrder) -> HoldAsk {
        let reserved = self.open.sale.board().read(order.number);
        let (sale, epoch, number) = (batch.sale.clone(), batch.epoch, order.number);
        HoldAsk {
            seat: reserved.expect("an order on its way is on the board").seat,
            member: order.member.clone(),
            order: Source(OrderId { sale, epoch, number }.to_string()),
            tender: order.money.tender(),
            until: batch.pay_by + HOLD_SLACK,
        }
    }

    /// Ends the holds of orders that another process kept from the store: nobody else will.
    pub(super) async fn end_fenced(&mut self) {
        let fenced = std::mem::take(&mut self.fenced);
        if fenced.is_empty() {
            return;
        }
        let at = self.clock.now();
        let ask = |(member, order, with): (MemberId, Source, Tender)| Ask {
            who: Who::Named(member),
            event: Event::Ended { order, with },
            at,
        };
        // Err: the holds end by themselves when their time is over.
        self.book.take_all(fenced.into_iter().map(ask).collect()).await.ok();
    }

    /// Notes that an order will never be in the store, though the book keeps what it was to be paid with.
    pub(super) fn note_fenced(&mut self, batch: &Batch, order: &ReservedOrder) {
        let (sale, epoch, number) = (batch.sale.clone(), batch.epoch, order.number);
        let id = Source(OrderId { sale, epoch, number }.to_string());
        self.fenced.push((order.member.clone(), id, order.money.tender()));
    }

    /// Gives back what an order took of its member's purse that was released before the book had a hold for
    /// it.
    pub(super) fn give_back_to_purse(&self, order: &ReservedOrder) {
        if let Some(reserved) = self.open.sale.board().read(order.number) {
            self.book.purses().give_back(reserved.seat, &order.money);
        }
    }
}
