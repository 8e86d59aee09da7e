//! Verdicts: memory follows what the store said of orders.

use super::confirmer::Confirmer;
use super::deadlines::Deadlines;
use super::work::Progress;
use crate::fault::crash_point;
use crate::rules::order::Status;
use crate::store::{Batch, StoreError, Verdict};

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
        let sale = &self.open.sale;
        let mut settled = Vec::with_capacity(verdicts.len());
        let mut is_fenced = false;
        for (order, verdict) in batch.orders.iter().zip(verdicts) {
            let (status, at) = match *verdict {
                Verdict::Stored(status, at) => (status, at),
                Verdict::Fenced => {
                    is_fenced = true;
                    (Status::Released, batch.at)
                }
            };
            if is_fenced {
                // The sale is halted before any unit goes back: this process must not sell that
                // unit again.
                sale.stock().halt();
            }
            settled.extend(sale.settle(order.number, status, at));
            if order.is_offer {
                self.open.offer_settled(order.number);
            }
            if status == Status::Confirmed {
                self.deadlines.push(sale.terms().pay_by(at), order.number);
            }
            crash_point("settling");
        }
        let now = self.clock.now();
        let waits = settled.iter().map(|order| now.since(order.reserved_at));
        sale.meter().confirmed_after(waits);
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
        let mut released = Vec::new();
        while let Some((queued, _)) = self.lanes.pop(now) {
            released.extend(sale.settle(queued.number, Status::Released, now));
        }
        self.open.feed().settled(&released);
        if released.is_empty() { Progress::Idle } else { Progress::Halted }
    }
}
