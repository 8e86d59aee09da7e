//! Feed: tells whoever waits for an order that it was settled.

use crate::order::Order;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Those who wait, by order number. Bounded by the orders that are reserved.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    waiting: Mutex<HashMap<u64, Vec<oneshot::Sender<Order>>>>,
}

impl Feed {
    /// Resolves when the order is settled after this call. Look at the board once more afterwards: an
    /// order that was settled before would never resolve.
    pub(crate) fn wait(&self, number: u64) -> oneshot::Receiver<Order> {
        let (told, wait) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let all = waiting.entry(number).or_default();
        // Whoever gave up waiting leaves a closed channel behind.
        all.retain(|told| !told.is_closed());
        all.push(told);
        wait
    }

    /// Tells those who wait for these orders.
    pub(crate) fn settled(&self, orders: &[Order]) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        for order in orders {
            for told in waiting.remove(&order.number).into_iter().flatten() {
                // Err: whoever waited has given up, and nobody is left to tell.
                told.send(*order).ok();
            }
        }
    }
}
