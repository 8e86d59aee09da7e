//! Deadlines: when unpaid orders expire.

use crate::open::sale::OpenSale;
use crate::rules::time::Millis;
use std::collections::{BTreeMap, VecDeque};

/// When payments are due. Orders that were confirmed together are due together: a row an instant, and eight bytes
/// an order.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    due: BTreeMap<Millis, VecDeque<u64>>,
}

impl Deadlines {
    /// The deadlines of orders that former processes left unpaid.
    pub(super) fn of(open: &OpenSale) -> Self {
        let mut deadlines = Self::default();
        open.former().values().for_each(|record| deadlines.push(record.pay_by, record.number));
        deadlines
    }

    pub(super) fn push(&mut self, pay_by: Millis, number: u64) {
        self.due.entry(pay_by).or_default().push_back(number);
    }

    pub(super) fn next(&self) -> Option<Millis> {
        self.due.first_key_value().map(|(pay_by, _)| *pay_by)
    }

    pub(super) fn pop_due(&mut self, now: Millis) -> Option<u64> {
        let mut first = self.due.first_entry().filter(|first| *first.key() <= now)?;
        let number = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_due_once_and_the_soonest_first() {
        let mut deadlines = Deadlines::default();
        for (pay_by, number) in [(9, 3), (7, 1), (9, 2), (8, 4)] {
            deadlines.push(Millis(pay_by), number);
        }
        assert_eq!((deadlines.next(), deadlines.pop_due(Millis(6))), (Some(Millis(7)), None));
        let due = std::iter::from_fn(|| deadlines.pop_due(Millis(8)));
        assert_eq!(due.collect::<Vec<_>>(), [1, 4]);
        let due = std::iter::from_fn(|| deadlines.pop_due(Millis(9)));
        assert_eq!(due.collect::<Vec<_>>(), [3, 2], "as they were confirmed");
        assert_eq!(deadlines.next(), None);
    }
}
