//! Verdicts: memory follows what the store said of orders.

use super::confirmer::Confirmer;
use super::deadlines::Deadlines;
use super::work::Progress;
use crate::fault::crash_point;
use crate::rules::order::Status;
use crate::rules::why::Why;
use crate::store::{Batch, StoreError, Verdict};
use std::sync::Arc;

impl Confirmer {
    /// Settles the verdicts that came although the commit broke off. The other orders stay in the
    /// batch.
    pub(super) fn settle_answered(&mut self, batch: &mut Batch, answered: &[Option<Verdict>]) {
        let (mut verdicts, mut settled, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (order, verdict) in batch.orders.iter().zip(answered) {
            match verdict {
                Some(verdict) => {
                    verdicts.push(*verdict);
                    settled.push(order.clone());
                }
                None => rest.push(order.clone()),
            }
        }
        if !settled.is_empty() {
            self.settle(&Batch { orders: settled.into(), ..batch.clone() }, &verdicts);
            batch.orders = rest.into();
        }
    }

    /// Follows the store's verdicts: the board moves on, units and limit stay taken or go back, and
    /// members are told.
    pub(super) fn settle(&mut self, batch: &Batch, verdicts: &[Verdict]) -> Progress {
        assert_eq!(verdicts.len(), batch.orders.len(), "the store answers for each order");
        let open = Arc::clone(&self.open);
        let sale = &open.sale;
        let mut settled = Vec::with_capacity(verdicts.len());
        let mut is_fenced = false;
        for (order, verdict) in batch.orders.iter().zip(verdicts) {
            let (status, at, why) = match *verdict {
                Verdict::Stored(status, at) => (status, at, None),
                Verdict::Released(why, at) => (Status::Released, at, Some(why)),
                Verdict::Fenced => {
                    is_fenced = true;
                    (Status::Released, batch.at, Some(Why::Fenced))
                }
            };
            if is_fenced {
                // The sale is halted before any unit goes back: this process must not sell that
                // unit again.
                sale.stock().halt();
            }
            if let Some(why) = why {
                self.open.note_why(order.number, why);
            }
            let moved = sale.settle(order.number, status, at);
            if moved.is_some() && order.refused.is_some() {
                self.give_back_to_purse(order);
            } else if why == Some(Why::Fenced) && !order.money.is_plain() {
                self.note_fenced(batch, order);
            }
            settled.extend(moved);
            if order.is_offer {
                self.open.offer_settled(order.number);
            }
            if status == Status::Confirmed {
                self.deadlines.push(self.open.pay_by(at), order.number);
            }
            crash_point("settling");
        }
        let now = self.clock.now();
        for order in &settled {
            sale.meter().confirming().record(now.since(order.reserved_at));
        }
        crash_point("settled");
        self.open.feed().settled(&settled);
        crash_point("told");
        if is_fenced {
            self.halt(StoreError::Fenced);
            self.release_all();
            return Progress::Halted;
        }
        Progress::Settled(settled.len())
    }

    /// Releases a halted sale's orders that never were on their way to the store, and tells each
    /// caller that asks for a change why.
    pub(super) fn release_all(&mut self) -> Progress {
        self.refuse_changes();
        self.deadlines = Deadlines::default();
        let sale = &self.open.sale;
        let now = self.clock.now();
        let is_fenced = self.open.trouble() == Some(StoreError::Fenced);
        let mut released = Vec::new();
        while let Some((queued, order)) = self.parked.pop().or_else(|| self.lanes.pop(now)) {
            if is_fenced {
                self.open.note_why(order.number, Why::Fenced);
            }
            let moved = sale.settle(order.number, Status::Released, now);
            if let Some(order) = moved.filter(|_| queued.is_mixed) {
                self.book.purses().give_back(order.seat, &sale.money(&order));
            }
            released.extend(moved);
        }
        self.open.feed().settled(&released);
        if released.is_empty() { Progress::Idle } else { Progress::Halted }
    }
}
