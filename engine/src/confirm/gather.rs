//! Gather: orders are taken in from the queue, and a batch is made of those that are first.

use super::confirmer::Confirmer;
use crate::rules::order::Order;
use crate::sale::queued::Queued;
use crate::store::{Batch, ReservedOrder};
use membership::MemberId;
use std::sync::Arc;

/// Enough for the waits for memory to overlap, few enough for what was found to be near when it is needed.
const TAKEN_IN_AT_ONCE: u64 = 64;

impl Confirmer {
    /// Takes in every order that waits.
    pub(super) fn drain(&mut self) {
        let sale = &self.open.sale;
        let mut taken = TAKEN_IN_AT_ONCE;
        while taken == TAKEN_IN_AT_ONCE {
            sale.bring_near(&self.intake, TAKEN_IN_AT_ONCE);
            taken = 0;
            while taken < TAKEN_IN_AT_ONCE
                && let Some((queued, order)) = sale.take_in(&mut self.intake)
            {
                self.lanes.push(queued, order);
                taken += 1;
            }
        }
        let units_max = sale.stock().level().total().0 as usize;
        assert!(self.lanes.len() <= units_max, "each queued order holds a unit at least");
    }

    /// Makes a batch of the orders that are to be committed next.
    pub(super) fn gather(&mut self) -> Option<Batch> {
        let (now, sale) = (self.clock.now(), &self.open.sale);
        let terms = sale.terms();
        let most = self.store.selling.batch_orders_max();
        // With room for all at once, so that a large batch is not copied while it grows.
        let mut taken = Vec::with_capacity(most.min(self.lanes.len() + self.parked.len()));
        taken.extend(std::iter::from_fn(|| self.lanes.pop(now)).take(most));
        let room = (most - taken.len()).min(self.parked.len());
        taken.extend(self.parked.drain(..room));
        if taken.is_empty() {
            return None;
        }
        let seats: Vec<_> = taken.iter().map(|(_, order)| order.seat).collect();
        let (members, waitlist) = (self.roster.members(&seats), self.open.waitlist());
        let reserved = |((queued, order), member): ((Queued, Order), MemberId)| ReservedOrder {
            number: order.number,
            member,
            tier: order.tier,
            units: order.units,
            reserved_at: order.reserved_at,
            money: match queued.is_mixed {
                true => sale.money(&order),
                false => terms.money(order.tier, order.units, order.reserved_at),
            },
            key: queued.key,
            is_offer: waitlist.is_offer(order.seat, order.number),
            refused: None,
        };
        let orders: Arc<[_]> = taken.into_iter().zip(members).map(reserved).collect();
        Some(Batch {
            sale: terms.id.clone(),
            epoch: self.open.sale.epoch(),
            at: now,
            pay_by: self.open.pay_by(now),
            orders,
        })
    }
}
