//! Orders: the stored orders of one sale, by number, in 56 bytes each.

use super::holders::HolderNumber;
use crate::rules::key::IdempotencyKey;
use crate::rules::order::Status;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::Tier;
use serde::{Deserialize, Serialize};

/// A stored order, without what only few have: other money than the sale's price, and refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct OrderRow {
    pub(in crate::store) status: Status,
    pub(in crate::store) tier: Tier,
    /// At most a limit, which is at most 65,535.
    pub(in crate::store) units: u16,
    pub(in crate::store) holder: HolderNumber,
    /// Which of the sale's epochs took it.
    pub(in crate::store) epoch: u32,
    /// The holder's order that was stored before; 0 for none.
    pub(in crate::store) before: u32,
    /// From the verdict until its payment is due, at most 30 days.
    pub(in crate::store) pay_within_ms: u32,
    pub(in crate::store) reserved_at: Millis,
    pub(in crate::store) settled_at: Millis,
    pub(in crate::store) changed_at: Millis,
    pub(in crate::store) key: Option<IdempotencyKey>,
}

impl OrderRow {
    pub(in crate::store) fn units(&self) -> Units {
        Units(self.units.into())
    }
}

const CHUNK: usize = 1 << 10;

/// The orders of one sale. Numbers are dense but for orders that a crash took from memory.
#[derive(Debug, Default)]
pub(in crate::store) struct Orders {
    chunks: Vec<Option<Box<[Option<OrderRow>; CHUNK]>>>,
    len: u64,
}

/// The chunk and the place in it of a number.
fn split(number: u64) -> Option<(usize, usize)> {
    let number = usize::try_from(number).ok()?;
    Some((number / CHUNK, number % CHUNK))
}

impl Orders {
    /// The highest number that a stored order may have.
    pub(in crate::store) const NUMBER_MAX: u64 = u32::MAX as u64 - 1;

    /// Orders that are stored.
    pub(in crate::store) fn len(&self) -> u64 {
        self.len
    }

    pub(in crate::store) fn get(&self, number: u64) -> Option<&OrderRow> {
        let (chunk, at) = split(number)?;
        self.chunks.get(chunk)?.as_ref()?[at].as_ref()
    }

    pub(in crate::store) fn get_mut(&mut self, number: u64) -> Option<&mut OrderRow> {
        let (chunk, at) = split(number)?;
        self.chunks.get_mut(chunk)?.as_mut()?[at].as_mut()
    }

    /// Makes room for so many orders from a number on.
    pub(in crate::store) fn make_room(&mut self, number: u64, orders: usize) {
        let end = number.saturating_add(orders as u64).min(Self::NUMBER_MAX + 1);
        for chunk in (number..end).step_by(CHUNK).chain((number < end).then_some(end - 1)) {
            self.chunk(chunk);
        }
    }

    /// # Panics
    /// When the number is over [`Orders::NUMBER_MAX`].
    pub(in crate::store) fn put(&mut self, number: u64, row: OrderRow) {
        assert!(number <= Self::NUMBER_MAX, "order {number} is over any number");
        let (_, at) = split(number).expect("a small number");
        let chunk = self.chunk(number);
        let is_new = chunk[at].is_none();
        chunk[at] = Some(row);
        self.len += u64::from(is_new);
    }

    /// The chunk that a number is in, made if it is not there yet.
    fn chunk(&mut self, number: u64) -> &mut [Option<OrderRow>; CHUNK] {
        let (chunk, _) = split(number).expect("a small number");
        if chunk >= self.chunks.len() {
            self.chunks.resize_with(chunk + 1, || None);
        }
        self.chunks[chunk]
            .get_or_insert_with(|| vec![None; CHUNK].try_into().expect("a chunk has as many"))
    }

    /// Orders for which there is room, of those that are stored as well.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.chunks.iter().flatten().count() * CHUNK
    }

    /// Every order with a number over `after`, by number.
    pub(in crate::store) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &OrderRow)> {
        let from = after.saturating_add(1);
        let first = split(from).map_or(usize::MAX, |(chunk, _)| chunk);
        let chunks = self.chunks.iter().enumerate().skip(first);
        let rows = chunks.flat_map(|(nth, chunk)| {
            let rows = chunk.iter().flat_map(|chunk| chunk.iter().enumerate());
            rows.filter_map(move |(at, row)| Some(((nth * CHUNK + at) as u64, row.as_ref()?)))
        });
        rows.skip_while(move |(number, _)| *number < from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(before: u32) -> OrderRow {
        OrderRow {
            status: Status::Confirmed,
            tier: Tier::Gold,
            units: 1,
            holder: 0,
            epoch: 0,
            before,
            pay_within_ms: 0,
            reserved_at: Millis(1),
            settled_at: Millis(2),
            changed_at: Millis(2),
            key: None,
        }
    }

    #[test]
    fn orders_are_found_by_number_whatever_lies_between() {
        let mut orders = Orders::default();
        let numbers = [1, 2, 1_023, 1_024, 70_000];
        for number in numbers {
            orders.put(number, row(0));
            orders.put(number, row(7));
        }
        assert_eq!(orders.len(), 5);
        let after = |after| -> Vec<u64> { orders.after(after).map(|(number, _)| number).collect() };
        assert_eq!(after(0), numbers);
        assert_eq!(after(1_023), [1_024, 70_000]);
        assert_eq!((after(70_000), after(u64::MAX)), (vec![], vec![]));
        assert_eq!(orders.get(1_024), Some(&row(7)));
        assert_eq!((orders.get(3), orders.get(u64::MAX)), (None, None));
    }

    #[test]
    fn room_for_orders_is_made_once_and_shows_no_order() {
        let mut orders = Orders::default();
        orders.make_room(1_000, 0);
        assert!(orders.chunks.is_empty());
        orders.put(1_000, row(0));
        orders.make_room(1_001, 2_000);
        assert_eq!(orders.chunks.iter().flatten().count(), 3, "up to number 3,000");
        assert_eq!((orders.len(), orders.get(3_000), orders.after(0).count()), (1, None, 1));
        orders.put(3_000, row(0));
        assert_eq!((orders.len(), orders.chunks.len()), (2, 3));
    }

    #[test]
    fn an_order_takes_56_bytes() {
        assert_eq!(size_of::<Option<OrderRow>>(), 56);
    }
}
