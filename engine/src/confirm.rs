//! Confirmer: takes a sale's orders from the queue, higher tiers first, commits them in batches and
//! settles the verdicts.
//!
//! An order leaves its hands only with a verdict. Whatever else happens, the same ids are sent
//! again: a unit is never given back because an answer did not come.

use crate::clock::{Clock, Millis};
use crate::fault::crash_point;
use crate::open_sale::OpenSale;
use crate::order::{Order, Status};
use crate::queue::Queued;
use crate::roster::Roster;
use crate::store::{Batch, Placed, Store, StoreError, Verdict};
use membership::Tier;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A waiting order gains one tier's precedence for each of these, so that no tier starves.
const AGEING: Duration = Duration::from_millis(100);
/// After a batch this large, the next one gathers for a moment: larger batches cost less an order.
/// After a full one, the next is full already.
const RUSH_ORDERS: usize = 256;
const GATHER: Duration = Duration::from_millis(20);
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// What one step did.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// A batch was settled.
    Settled(usize),
    /// The store gave no verdicts; the same batch is to be sent again after this long.
    Retry(Duration),
    /// The sale was halted: another process sells it, or the store is damaged.
    Halted,
}

/// The queue's only consumer.
#[derive(Debug)]
pub struct Confirmer {
    open: Arc<OpenSale>,
    roster: Arc<Roster>,
    store: Arc<dyn Store>,
    clock: Clock,
    lanes: Lanes,
    in_flight: Option<Batch>,
    failures: u32,
    /// The longest that an order may wait for its verdict before new clicks are told `busy`.
    patience: Duration,
}

impl Confirmer {
    /// A confirmer for one open sale; there must be only one.
    #[must_use]
    pub fn new(
        open: Arc<OpenSale>,
        roster: Arc<Roster>,
        store: Arc<dyn Store>,
        clock: Clock,
        patience: Duration,
    ) -> Self {
        let lanes = Lanes::default();
        Self { open, roster, store, clock, lanes, in_flight: None, failures: 0, patience }
    }

    /// Confirms until the sale is told to stop and nothing is left to confirm.
    pub(crate) async fn run(mut self) {
        let _mourner = Mourner(Arc::clone(&self.open));
        self.vouch(self.clock.now());
        let rush = RUSH_ORDERS..self.store.batch_orders_max();
        // Whatever wakes this task: a sale of which nothing new is asked is looked at all the same.
        let mut looks = tokio::time::interval(self.patience / 3);
        loop {
            match self.step().await {
                Step::Settled(orders) if rush.contains(&orders) => tokio::time::sleep(GATHER).await,
                Step::Settled(_) | Step::Halted => {}
                Step::Idle if self.open.is_stopping() => return,
                Step::Idle if self.failures > 0 => tokio::select! {
                    () = tokio::time::sleep(back_off(self.failures)) => self.look().await,
                    () = self.open.woken() => {}
                },
                Step::Idle => tokio::select! {
                    biased;
                    _ = looks.tick() => self.look().await,
                    () = self.open.woken() => {}
                },
                Step::Retry(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Asks the store whether this process still sells the sale, so that it notices without clicks.
    pub async fn look(&mut self) {
        if self.open.sale.stock().level().is_halted() {
            return;
        }
        let (id, asked_at) = (&self.open.sale.terms().id, self.clock.now());
        match self.store.hold(id, self.open.sale.epoch()).await {
            Ok(()) => self.is_well(asked_at),
            Err(error) if error.is_transient() => self.is_troubled(&error),
            Err(error) => self.halt(error),
        }
    }

    /// One batch: gathers what waits, sends it, settles the verdicts.
    pub async fn step(&mut self) -> Step {
        self.drain();
        if self.open.sale.stock().level().is_halted() {
            match self.open.trouble() {
                // What it means for them is not known before the sale is resumed.
                Some(StoreError::HistoryLost(_)) => return Step::Idle,
                // Some of these may have been stored before.
                Some(StoreError::Fenced) if self.in_flight.is_some() => {}
                _ => return self.release_all(),
            }
        }
        let resend = self.in_flight.take();
        let is_resend = resend.is_some();
        let Some(batch) = resend.or_else(|| self.gather()) else {
            return Step::Idle;
        };
        let sent_at = self.clock.now();
        crash_point("gathered");
        match self.store.commit(&batch).await {
            Ok(verdicts) => {
                assert_eq!(verdicts.len(), batch.orders.len(), "the store answers for each order");
                let step = self.settle(&batch, &verdicts);
                match step {
                    Step::Halted => {}
                    // Orders that were stored before tell nothing of who sells the sale by now.
                    _ if is_resend => self.look().await,
                    _ => self.is_well(sent_at),
                }
                step
            }
            Err(error) => {
                // What the store did with the batch is not known, so its orders stay reserved.
                self.in_flight = Some(batch);
                if error.is_transient() {
                    self.is_troubled(&error);
                    return Step::Retry(back_off(self.failures));
                }
                self.halt(error);
                Step::Halted
            }
        }
    }

    /// The store has answered: it is vouched for from `asked_at` on, or from when the oldest order
    /// came that still waits.
    fn is_well(&mut self, asked_at: Millis) {
        if self.failures > 0 {
            tracing::info!(sale = %self.open.sale.terms().id, "the store confirms again");
        }
        self.failures = 0;
        self.open.set_trouble(None);
        self.vouch(self.lanes.oldest().unwrap_or(asked_at).min(asked_at));
    }

    fn vouch(&self, from: Millis) {
        self.open.sale.vouch(from + self.patience);
    }

    fn is_troubled(&mut self, error: &StoreError) {
        self.failures += 1;
        if self.failures == 1 {
            let sale = &self.open.sale.terms().id;
            tracing::warn!(%sale, %error, "orders wait for the store");
        }
        self.open.set_trouble(Some(error.clone()));
    }

    /// The store takes no more orders of this process, or none at all.
    fn halt(&self, error: StoreError) {
        let sale = &self.open.sale;
        let error = match error {
            StoreError::UnknownSale => {
                StoreError::HistoryLost("the sale is not there; restore Redis, then resume".into())
            }
            error => error,
        };
        tracing::error!(sale = %sale.terms().id, %error, "the sale is halted");
        self.open.set_trouble(Some(error));
        sale.stock().halt();
    }

    fn drain(&mut self) {
        let sale = &self.open.sale;
        while let Some((queued, order)) = sale.take_in() {
            self.lanes.push(queued, order);
        }
        let units_max = sale.stock().level().total().0 as usize;
        assert!(self.lanes.len() <= units_max, "each queued order holds a unit at least");
    }

    fn gather(&mut self) -> Option<Batch> {
        let now = self.clock.now();
        let mut orders = Vec::new();
        while orders.len() < self.store.batch_orders_max() {
            let Some((queued, order)) = self.lanes.pop(now) else { break };
            orders.push(Placed {
                number: order.number,
                member: self.roster.member(order.seat),
                tier: order.tier,
                units: order.units,
                reserved_at: order.reserved_at,
                key: queued.key,
            });
        }
        (!orders.is_empty()).then(|| Batch {
            sale: self.open.sale.terms().id.clone(),
            epoch: self.open.sale.epoch(),
            at: now,
            orders: orders.into(),
        })
    }

    fn settle(&mut self, batch: &Batch, verdicts: &[Verdict]) -> Step {
        let sale = &self.open.sale;
        let mut settled = Vec::with_capacity(verdicts.len());
        let mut is_fenced = false;
        for (placed, verdict) in batch.orders.iter().zip(verdicts) {
            let (status, at) = match *verdict {
                Verdict::Stored(status, at) => (status, at),
                Verdict::Fenced => {
                    is_fenced = true;
                    (Status::Released, batch.at)
                }
            };
            if is_fenced {
                // Before any unit goes back: it must not be sold again by this process.
                sale.stock().halt();
            }
            settled.extend(sale.settle(placed.number, status, at));
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
            return Step::Halted;
        }
        Step::Settled(settled.len())
    }

    /// A halted sale's orders that never were on their way to the store end as released.
    fn release_all(&mut self) -> Step {
        let sale = &self.open.sale;
        let now = self.clock.now();
        let mut released = Vec::new();
        while let Some((queued, _)) = self.lanes.pop(now) {
            released.extend(sale.settle(queued.number, Status::Released, now));
        }
        self.open.feed().settled(&released);
        if released.is_empty() { Step::Idle } else { Step::Halted }
    }
}

/// A sale whose confirmer panicked must not go on taking orders that nobody confirms.
struct Mourner(Arc<OpenSale>);

impl Drop for Mourner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.sale.stock().halt();
            let why = "the sale's confirmer failed; restart this process";
            self.0.set_trouble(Some(StoreError::Unusable(why.into())));
        }
    }
}

/// Doubles up to a cap; half of it is chance, so that sales do not come back in step.
fn back_off(failures: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MOST);
    doubled.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

/// Orders by tier. Within a tier they keep their order of arrival.
#[derive(Debug, Default)]
struct Lanes {
    lanes: [VecDeque<(Queued, Order)>; 5],
}

impl Lanes {
    fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    fn push(&mut self, queued: Queued, order: Order) {
        self.lanes[order.tier as usize].push_back((queued, order));
    }

    /// When the order came that has waited longest.
    fn oldest(&self) -> Option<Millis> {
        self.lanes.iter().filter_map(VecDeque::front).map(|(_, order)| order.reserved_at).min()
    }

    /// The order whose tier, raised by its age, is highest; the older of two equals.
    fn pop(&mut self, now: Millis) -> Option<(Queued, Order)> {
        let precedence = |tier: Tier| {
            let (_, order) = self.lanes[tier as usize].front()?;
            let aged = now.since(order.reserved_at).as_millis() / AGEING.as_millis();
            Some((tier as u128 + aged, std::cmp::Reverse(order.number), tier))
        };
        let (_, _, tier) = Tier::ALL.into_iter().filter_map(precedence).max()?;
        self.lanes[tier as usize].pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Seat;
    use crate::stock::Units;

    fn waiting(number: u64, tier: Tier, reserved_at: u64) -> (Queued, Order) {
        let order = Order {
            number,
            seat: Seat::new(0),
            tier,
            units: Units(1),
            status: Status::Reserved,
            reserved_at: Millis(reserved_at),
            settled_at: None,
        };
        (Queued { number, key: None }, order)
    }

    fn served(orders: &[(u64, Tier, u64)], now: u64) -> Vec<u64> {
        let mut lanes = Lanes::default();
        for &(number, tier, at) in orders {
            let (queued, order) = waiting(number, tier, at);
            lanes.push(queued, order);
        }
        let next = || lanes.pop(Millis(now)).map(|(queued, _)| queued.number);
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

    #[test]
    fn the_pause_between_tries_grows_and_stays_under_its_cap() {
        for failures in 1..100 {
            let wait = back_off(failures);
            assert!(wait >= RETRY_FIRST / 2 && wait <= RETRY_MOST, "{wait:?}");
        }
        assert!(back_off(20) >= RETRY_MOST / 2);
    }
}
