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
    /// Where it comes in the sequence in which this process heard of changes.
    pub(crate) nth: u64,
    /// When this process heard of it. This instant decides whether a payment is in time.
    pub(crate) received_at: Millis,
    pub(crate) change: Change,
    pub(crate) answer: Answer,
}

/// Changes that wait for the confirmer. Payments have a line of their own, and so have steps that were
/// asked for behind a payment of the same order; each line is first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    payments: VecDeque<Ask>,
    others: VecDeque<Ask>,
    /// The orders whose payments wait, by epoch and number.
    paying: HashMap<(u64, u64), Paying>,
    last: u64,
}

/// An order whose payment waits.
#[derive(Debug)]
struct Paying {
    /// When the earliest payment was heard of.
    paid_at: Millis,
    /// Steps of the order in the line of payments.
    steps: usize,
}

impl Heard {
    fn push(&mut self, change: Change, received_at: Millis, answer: Answer) {
        self.last += 1;
        let line = match order_of(&change) {
            Some(order) if self.is_payment_line(&change) => {
                let paying = self.paying.entry(order);
                let paying = paying.or_insert(Paying { paid_at: Millis::MAX, steps: 0 });
                paying.steps += 1;
                if is_payment(&change) {
                    paying.paid_at = paying.paid_at.min(received_at);
                }
                &mut self.payments
            }
            _ => &mut self.others,
        };
        line.push_back(Ask { nth: self.last, received_at, change, answer });
    }

    /// Whether the change belongs in the line of payments. A step that is asked for behind a payment of
    /// the same order must not overtake it.
    fn is_payment_line(&self, change: &Change) -> bool {
        is_payment(change) || order_of(change).is_some_and(|order| self.paying.contains_key(&order))
    }
}

/// The order that a step is of, by epoch and number.
fn order_of(change: &Change) -> Option<(u64, u64)> {
    match *change {
        Change::Order { epoch, number, .. } | Change::Refund { epoch, number, .. } => {
            Some((epoch, number))
        }
        Change::Join(_) | Change::Leave(_) | Change::Dissolve => None,
    }
}

const fn is_payment(change: &Change) -> bool {
    matches!(change, Change::Order { step: Step::Pay, .. })
}

impl Asks {
    /// The most asks of clients that may wait in a line; further ones are refused. The engine's own
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
        let mut heard = self.heard.lock();
        let is_payment = heard.is_payment_line(&change);
        let line = if is_payment { &heard.payments } else { &heard.others };
        if line.len() >= Self::MAX {
            return Err(StoreError::Refused("too many changes wait for the store".into()));
        }
        heard.push(change, received_at, Some(tell));
        Ok(told)
    }

    /// Asks for a change whose outcome only the confirmer looks at.
    pub(crate) fn push(&self, change: Change, now: Millis) {
        self.heard.lock().push(change, now, None);
    }

    /// Takes what has waited longest in the line of payments.
    pub(crate) fn take_payment(&self) -> Option<Ask> {
        let mut heard = self.heard.lock();
        let ask = heard.payments.pop_front()?;
        if let Some(order) = order_of(&ask.change)
            && let Some(paying) = heard.paying.get_mut(&order)
        {
            paying.steps -= 1;
            if paying.steps == 0 {
                heard.paying.remove(&order);
            }
        }
        Some(ask)
    }

    /// Takes at most `most` asks that are no payments, those that have waited longest.
    pub(crate) fn take_others(&self, most: usize) -> Vec<Ask> {
        let mut heard = self.heard.lock();
        let most = most.min(heard.others.len());
        heard.others.drain(..most).collect()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        let heard = self.heard.lock();
        heard.payments.is_empty() && heard.others.is_empty()
    }

    /// Takes everything that waits.
    pub(crate) fn take_all(&self) -> Vec<Ask> {
        let mut heard = std::mem::take(&mut *self.heard.lock());
        heard.payments.drain(..).chain(heard.others.drain(..)).collect()
    }

    /// Whether a payment of this order waits that was heard of before `pay_by`.
    pub(crate) fn is_paid_in_time(&self, epoch: u64, number: u64, pay_by: Millis) -> bool {
        self.heard.lock().paying.get(&(epoch, number)).is_some_and(|paying| paying.paid_at < pay_by)
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
        drop(asks.ask(pay(7), Millis(2)).expect("payments have a line of their own"));
        drop(asks.ask(pay(7), Millis(9)).expect("room"));
        assert!(asks.is_paid_in_time(1, 7, Millis(3)) && !asks.is_paid_in_time(1, 7, Millis(2)));
        assert!(!asks.is_paid_in_time(2, 7, Millis(3)), "an order of another epoch");
        assert_eq!(asks.take_payment().map(|ask| ask.received_at), Some(Millis(2)));
        assert_eq!(asks.take_others(9).len(), 9);
        assert!(asks.is_paid_in_time(1, 7, Millis(3)), "its other payment waits");
        assert_eq!(asks.take_all().len(), Asks::MAX - 9 + 1);
        assert!(asks.take_payment().is_none() && !asks.is_paid_in_time(1, 7, Millis(3)));
    }
}
