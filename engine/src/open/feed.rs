//! Feed: tells a caller that waits for an order that it was settled, and a member who watches their
//! orders of each step.

use crate::open::found::Found;
use crate::rules::order::Order;
use crate::rules::seat::Seat;
use crate::sync::{AtomicU64, Ordering};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

/// The most steps that wait for a watcher that does not read. With one more the watcher is dropped.
const UNREAD_MAX: usize = 64;

/// The most streams on which one member may watch a sale; with one more the oldest ends.
const WATCHERS_MAX: usize = 16;

/// The callers that wait and the members who watch. Bounded by the orders that are reserved, and by
/// open connections.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    waiting: Mutex<HashMap<u64, Vec<oneshot::Sender<Order>>>>,
    watching: Mutex<HashMap<Seat, Vec<mpsc::Sender<Found>>>>,
    steps: AtomicU64,
}

impl Feed {
    /// Returns a receiver that resolves when the order is settled after this call. The caller looks
    /// at the board once more afterwards: for an order that was settled before, the receiver would
    /// never resolve.
    pub(crate) fn wait(&self, number: u64) -> oneshot::Receiver<Order> {
        let (told, wait) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let all = waiting.entry(number).or_default();
        // A caller that gave up waiting leaves a closed channel behind.
        all.retain(|told| !told.is_closed());
        all.push(told);
        wait
    }

    /// Returns each step of the member's orders from now on. The stream ends when the watcher is
    /// too slow.
    pub(crate) fn watch(&self, seat: Seat) -> mpsc::Receiver<Found> {
        let (tell, told) = mpsc::channel(UNREAD_MAX);
        let mut watching = self.watching.lock();
        let all = watching.entry(seat).or_default();
        all.retain(|tell| !tell.is_closed());
        if all.len() >= WATCHERS_MAX {
            // The oldest of the member's streams ends.
            all.remove(0);
        }
        all.push(tell);
        told
    }

    /// Notes that the store has something new, also where no watcher is told of it.
    pub(crate) fn note_step(&self) {
        // Ordering: Release, paired with the Acquire in `steps`.
        self.steps.fetch_add(1, Ordering::Release);
    }

    /// Counts up whenever the store has something new.
    pub(crate) fn steps(&self) -> u64 {
        // Ordering: Acquire, paired with the Release in `note_step`: what the store is asked after this
        // look has all that was noted before it.
        self.steps.load(Ordering::Acquire)
    }

    /// Forgets watchers that are gone.
    pub(crate) fn sweep(&self) {
        self.watching.lock().retain(|_, all| {
            all.retain(|tell| !tell.is_closed());
            !all.is_empty()
        });
    }

    /// Tells the callers that wait for these orders, and the members who watch them. Only the
    /// confirmer calls this, once for each order.
    pub(crate) fn settled(&self, orders: &[Order]) {
        self.resolve(orders);
        self.changed(orders.iter().map(|order| (order.seat, Found::Here(*order))));
    }

    /// Tells the callers that wait for these orders, and nobody who watches.
    pub(crate) fn resolve(&self, orders: &[Order]) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        let taken = orders.iter().filter_map(|order| Some((order, waiting.remove(&order.number)?)));
        let taken: Vec<_> = taken.collect();
        // A caller that is told may run at once on another thread, and come here to wait for its next order.
        drop(waiting);
        for (order, all) in taken {
            for told in all {
                // Err: the caller has given up waiting, so there is none left to tell.
                told.send(*order).ok();
            }
        }
    }

    /// Tells the watchers of these members' orders. Only the confirmer calls this, so that steps
    /// are told in their order.
    pub(crate) fn changed(&self, orders: impl Iterator<Item = (Seat, Found)>) {
        self.note_step();
        let mut watching = self.watching.lock();
        if watching.is_empty() {
            return;
        }
        for (seat, order) in orders {
            if let Some(all) = watching.get_mut(&seat) {
                // A full channel means that the watcher does not read, a closed one that it is
                // gone.
                all.retain(|tell| tell.try_send(order.clone()).is_ok());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::order::Status;
    use crate::rules::time::Millis;
    use crate::rules::units::Units;
    use membership::Tier;

    #[test]
    fn a_watcher_who_does_not_read_is_dropped_and_not_buffered_for() {
        let feed = Feed::default();
        let (slow, mut quick) = (feed.watch(Seat::new(1)), feed.watch(Seat::new(1)));
        let order = Order {
            number: 1,
            seat: Seat::new(1),
            tier: Tier::Gold,
            units: Units(1),
            status: Status::Confirmed,
            reserved_at: Millis(1),
            settled_at: Some(Millis(2)),
            changed_at: Some(Millis(2)),
        };
        for _ in 0..=UNREAD_MAX {
            feed.settled(&[order]);
            assert_eq!(quick.try_recv(), Ok(Found::Here(order)));
        }
        assert_eq!(slow.len(), UNREAD_MAX);
        assert!(slow.is_closed(), "no sender is left");
        assert_eq!(feed.watching.lock()[&Seat::new(1)].len(), 1);
        drop(quick);
        feed.sweep();
        assert!(feed.watching.lock().is_empty());
    }
}
