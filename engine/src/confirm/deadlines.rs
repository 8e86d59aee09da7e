//! Deadlines: when unpaid orders expire.

use crate::open::sale::OpenSale;
use crate::rules::time::Millis;
use crate::store::Record;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// When payments are due, soonest first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    orders: BinaryHeap<Reverse<(Millis, u64)>>,
}

impl Deadlines {
    /// The deadlines of orders that former processes left unpaid.
    pub(super) fn of(open: &OpenSale) -> Self {
        let due = |record: &Record| Reverse((record.pay_by, record.number));
        Self { orders: open.former().values().map(due).collect() }
    }

    pub(super) fn push(&mut self, pay_by: Millis, number: u64) {
        self.orders.push(Reverse((pay_by, number)));
    }

    pub(super) fn next(&self) -> Option<Millis> {
        self.orders.peek().map(|Reverse((pay_by, _))| *pay_by)
    }

    pub(super) fn pop_due(&mut self, now: Millis) -> Option<u64> {
        self.next().filter(|pay_by| *pay_by <= now)?;
        self.orders.pop().map(|Reverse((_, number))| number)
    }
}
