//! Lanes: orders that wait for the store, by tier.

use crate::rules::order::Order;
use crate::rules::time::Millis;
use crate::sale::queued::Queued;
use membership::Tier;
use std::collections::VecDeque;
use std::time::Duration;

/// A waiting order rises by one tier each time that it has waited this long, so that no tier
/// starves.
const AGEING: Duration = Duration::from_millis(100);

/// Orders by tier. Within a tier they keep their order of arrival.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: [VecDeque<(Queued, Order)>; 5],
}

impl Lanes {
    /// Orders that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Whether no order waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts an order behind those of its tier.
    pub fn push(&mut self, queued: Queued, order: Order) {
        self.lanes[order.tier as usize].push_back((queued, order));
    }

    /// When the order that has waited longest was reserved.
    #[must_use]
    pub fn oldest(&self) -> Option<Millis> {
        self.lanes.iter().filter_map(VecDeque::front).map(|(_, order)| order.reserved_at).min()
    }

    /// Takes the order whose tier, raised by its age, is highest; of two equals, the older one.
    pub fn pop(&mut self, now: Millis) -> Option<(Queued, Order)> {
        let precedence = |tier: Tier| {
            let (_, order) = self.lanes[tier as usize].front()?;
            let aged = now.since(order.reserved_at).as_millis() / AGEING.as_millis();
            Some((tier as u128 + aged, std::cmp::Reverse(order.number), tier))
        };
        let (_, _, tier) = Tier::ALL.into_iter().filter_map(precedence).max()?;
        self.lanes[tier as usize].pop_front()
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::order::Status;
    use crate::rules::seat::Seat;
    use crate::rules::units::Units;

    fn waiting(number: u64, tier: Tier, reserved_at: u64) -> (Queued, Order) {
        let order = Order {
            number,
            seat: Seat::new(0),
            tier,
            units: Units(1),
            status: Status::Reserved,
            reserved_at: Millis(reserved_at),
            settled_at: None,
            changed_at: None,
        };
        (Queued { key: None, is_mixed: false }, order)
    }

    fn served(orders: &[(u64, Tier, u64)], now: u64) -> Vec<u64> {
        let mut lanes = Lanes::default();
        for &(number, tier, at) in orders {
            let (queued, order) = waiting(number, tier, at);
            lanes.push(queued, order);
        }
        let next = || lanes.pop(Millis(now)).map(|(_, order)| order.number);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn higher_tiers_are_served_first_and_each_tier_in_order_of_arrival() {
        use Tier::{Diamond, Gold, Regular};
        let orders =
            [(1, Regular, 0), (2, Gold, 0), (3, Regular, 0), (4, Diamond, 0), (5, Gold, 0)];
        assert_eq!(served(&orders, 10), [4, 2, 5, 1, 3]);
    }

    #[test]
    fn a_regular_order_that_has_waited_long_enough_goes_before_a_fresh_diamond_one() {
        let orders = [(1, Tier::Regular, 0), (2, Tier::Diamond, 500)];
        assert_eq!(served(&orders, 300), [2, 1]);
        assert_eq!(served(&orders, 500), [1, 2]);
    }
}
