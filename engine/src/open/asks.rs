//! Asks: changes that a caller wants made, on their way to the confirmer, and the answers back.

use crate::rules::order::Step;
use crate::rules::time::Millis;
use crate::store::{Change, Changed, StoreError};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

/// Where an answer goes; `None` where no caller waits for it.
pub(crate) type Answer = Option<oneshot::Sender<Result<Changed, StoreError>>>;

/// A change that is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Its place in the order in which this process heard of changes.
    pub(crate) place: u64,
    /// When this process heard of it. This instant decides whether a payment is in time.
    pub(crate) received_at: Millis,
    pub(crate) change: Change,
    pub(crate) answer: Answer,
}

/// Changes that wait for the confirmer. Payments have a lane of their own; each lane is first in,
/// first out.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    payments: VecDeque<Ask>,
    others: VecDeque<Ask>,
    /// The orders whose payments wait, by epoch and number, and when the first payment of each was
    /// heard of.
    paying: HashMap<(u64, u64), Millis>,
    last_place: u64,
}

impl Lanes {
    fn push(&mut self, change: Change, received_at: Millis, answer: Answer) {
        self.last_place += 1;
        let ask = Ask { place: self.last_place, received_at, change, answer };
        match paid_order(&ask.change) {
            Some(order) => {
                self.paying.entry(order).or_insert(received_at);
                self.payments.push_back(ask);
            }
            None => self.others.push_back(ask),
        }
    }
}

/// The order that a payment is for, by epoch and number.
fn paid_order(change: &Change) -> Option<(u64, u64)> {
    match *change {
        Change::Order { step: Step::Pay, epoch, number } => Some((epoch, number)),
        _ => None,
    }
}

impl Asks {
    /// The most asks of clients that may wait in a lane; further ones are refused. The engine's own
    /// asks come on top: each of them concerns a stored order or a member who waits.
    const MAX: usize = 65_536;

    /// Asks for a change that this process heard of at `received_at`; the answer comes when the store
    /// has it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when too many wait.
    pub(crate) fn ask(
        &self,
        change: Change,
        received_at: Millis,
    ) -> Result<oneshot::Receiver<Result<Changed, StoreError>>, StoreError> {
        let (tell, told) = oneshot::channel();
        let mut lanes = self.lanes.lock();
        let lane = if paid_order(&change).is_some() { &lanes.payments } else { &lanes.others };
        if lane.len() >= Self::MAX {
            return Err(StoreError::Refused("too many changes wait for the store".into()));
        }
        lanes.push(change, received_at, Some(tell));
        Ok(told)
    }

    /// Asks for a change whose outcome only the confirmer looks at.
    pub(crate) fn push(&self, change: Change, now: Millis) {
        self.lanes.lock().push(change, now, None);
    }

    /// Takes the payment that has waited longest.
    pub(crate) fn take_payment(&self) -> Option<Ask> {
        let mut lanes = self.lanes.lock();
        let ask = lanes.payments.pop_front()?;
        paid_order(&ask.change).and_then(|order| lanes.paying.remove(&order));
        Some(ask)
    }

    /// Takes at most `most` asks that are no payments, those that have waited longest.
    pub(crate) fn take_others(&self, most: usize) -> Vec<Ask> {
        let mut lanes = self.lanes.lock();
        let most = most.min(lanes.others.len());
        lanes.others.drain(..most).collect()
    }

    /// Takes everything that waits.
    pub(crate) fn take_all(&self) -> Vec<Ask> {
        let mut lanes = std::mem::take(&mut *self.lanes.lock());
        lanes.payments.drain(..).chain(lanes.others.drain(..)).collect()
    }

    /// Whether a payment of this order waits that was heard of before `pay_by`.
    pub(crate) fn is_paid_in_time(&self, epoch: u64, number: u64, pay_by: Millis) -> bool {
        self.lanes.lock().paying.get(&(epoch, number)).is_some_and(|at| *at < pay_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_other_asks_keeps_no_payment_out() {
        let asks = Asks::default();
        let cancel = |number| Change::Order { step: Step::Cancel, epoch: 1, number };
        let pay = |number| Change::Order { step: Step::Pay, epoch: 1, number };
        for number in 0..Asks::MAX as u64 {
            drop(asks.ask(cancel(number), Millis(1)).expect("room"));
        }
        assert!(asks.ask(cancel(1), Millis(1)).is_err());
        drop(asks.ask(pay(7), Millis(2)).expect("payments have a lane of their own"));
        drop(asks.ask(pay(7), Millis(9)).expect("room"));
        assert!(asks.is_paid_in_time(1, 7, Millis(3)) && !asks.is_paid_in_time(1, 7, Millis(2)));
        assert!(!asks.is_paid_in_time(2, 7, Millis(3)), "an order of another epoch");
        assert_eq!(asks.take_payment().map(|ask| ask.received_at), Some(Millis(2)));
        assert_eq!(asks.take_others(9).len(), 9);
        assert_eq!(asks.take_all().len(), Asks::MAX - 9 + 1);
        assert!(asks.take_payment().is_none());
    }
}
