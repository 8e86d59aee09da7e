//! Confirmer: takes a sale's orders from the queue, higher tiers first, commits them in batches and
//! settles the verdicts. It also makes every later change (`changes.rs`), so that one task alone
//! speaks to the store of a sale, and memory follows in the store's order.
//!
//! The confirmer lets go of an order only with a verdict. Until there is one, it sends the same ids
//! again: a unit is never given back because an answer did not come.

use super::back_off::back_off;
use super::deadlines::Deadlines;
use super::lanes::Lanes;
use super::work::{Committing, Progress, Work};
use crate::clock::Clock;
use crate::fault::crash_point;
use crate::members::Book;
use crate::open::sale::OpenSale;
use crate::roster::Roster;
use crate::rules::order::Order;
use crate::rules::time::Millis;
use crate::sale::queue::Intake;
use crate::sale::queued::Queued;
use crate::store::{BrokenOff, Store, StoreError};
use membership::MemberId;
use membership::event::Tender;
use membership::posting::Source;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// While orders pile up, each lower tier is shed earlier than the next higher one, by the longest
/// wait divided by this number. The store is asked three times within the longest wait, so that the
/// lowest tier, four steps earlier, is not shed where no order waits.
const SHED_STEPS: u32 = 10;
/// Orders do not gather where a batch has had this part of the most that it may have.
const MANY: usize = 8;
/// Orders that wait for the book keep all others waiting no longer than this.
const BOOK_RETRY_MOST: Duration = Duration::from_millis(100);

/// The order queue's only consumer.
#[derive(Debug)]
pub struct Confirmer {
    pub(super) open: Arc<OpenSale>,
    pub(super) roster: Arc<Roster>,
    pub(super) store: Store,
    pub(super) book: Arc<Book>,
    pub(super) clock: Clock,
    pub(super) intake: Intake,
    pub(super) lanes: Lanes,
    /// Orders that wait for the book: it has not said yet whether it keeps what they are paid with.
    pub(super) parked: Vec<(Queued, Order)>,
    pub(super) book_failures: u32,
    /// Orders that never come to the store, and what the book keeps for them.
    pub(super) fenced: Vec<(MemberId, Source, Tender)>,
    pub(super) deadlines: Deadlines,
    pub(super) in_flight: Option<Work>,
    /// Orders and changes take turns when both wait.
    pub(super) changes_next: bool,
    pub(super) failures: u32,
    pub(super) is_close_stored: bool,
    /// The longest that an order may wait for its verdict before new clicks are told `busy`.
    pub(super) patience: Duration,
}

impl Confirmer {
    /// A confirmer for one open sale; there must be only one.
    #[must_use]
    pub fn new(
        open: Arc<OpenSale>,
        roster: Arc<Roster>,
        store: &Store,
        book: Arc<Book>,
        clock: Clock,
        patience: Duration,
    ) -> Self {
        let deadlines = Deadlines::of(&open);
        let is_close_stored = open.sale.stock().level().is_closed();
        let intake = open.sale.intake();
        Self {
            open,
            roster,
            store: store.clone(),
            book,
            clock,
            intake,
            lanes: Lanes::default(),
            parked: Vec::new(),
            book_failures: 0,
            fenced: Vec::new(),
            deadlines,
            in_flight: None,
            changes_next: false,
            failures: 0,
            is_close_stored,
            patience,
        }
    }

    /// The store has just told of the sale: from now on clicks may be accepted.
    pub(crate) fn begin(&self) {
        self.vouch(self.clock.now());
    }

    /// Confirms until the sale is told to stop and nothing is left to confirm.
    pub(crate) async fn run(mut self) {
        let _mourner = Mourner(Arc::clone(&self.open));
        self.begin();
        // At this interval the task asks the store whether this process still sells the sale,
        // whatever else wakes it, and also when no new work comes.
        let mut looks = tokio::time::interval(self.patience / 3);
        let gather = self.store.selling.gather();
        let many = self.store.selling.batch_orders_max() / MANY;
        loop {
            match self.make_progress().await {
                // Under load, what comes gathers for a moment: each commit costs the clicks a share of the
                // processor. A caller that waits for a verdict ends that, but for one turn of the runtime, so that requests
                // that were read by then come along. A lone order never waits, and where many come at once as many
                // wait by now.
                Progress::Settled(orders)
                    if (2..many).contains(&orders) && gather > Duration::ZERO =>
                {
                    tokio::task::yield_now().await;
                    tokio::select! {
                        () = self.open.hurried() => {}
                        () = tokio::time::sleep(gather) => {}
                    }
                }
                Progress::Settled(_) | Progress::Halted => {}
                Progress::Idle if self.open.is_stopping() => return,
                Progress::Idle if self.failures > 0 => tokio::select! {
                    () = tokio::time::sleep(back_off(self.failures)) => self.look().await,
                    () = self.open.woken() => {}
                },
                Progress::Idle => tokio::select! {
                    biased;
                    _ = looks.tick() => self.look().await,
                    () = self.open.woken() => {}
                    () = tokio::time::sleep(self.until_due()) => {}
                },
                Progress::Retry(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Asks the store whether this process still sells the sale, so that the process learns of a
    /// change without any click.
    pub async fn look(&mut self) {
        self.open.feed().sweep();
        if self.open.sale.stock().level().is_halted() {
            return;
        }
        let (id, asked_at) = (&self.open.sale.terms().id, self.clock.now());
        match self.store.selling.still_sells(id, self.open.sale.epoch()).await {
            Ok(()) => self.note_answer(asked_at),
            Err(error) if error.is_transient() => self.note_failure(&error),
            Err(error) => self.halt(error),
        }
    }

    /// Does one piece of work: gathers what waits, sends it, and follows what the store says.
    pub async fn make_progress(&mut self) -> Progress {
        self.drain();
        if let Some(asked) = self.open.take_asked_to_put_back() {
            // Err: the operator has given up waiting; asking again finds it done.
            asked.send(self.put_back().await).ok();
            return Progress::Settled(1);
        }
        if self.open.sale.stock().level().is_halted()
            && let Some(progress) = self.while_halted()
        {
            return progress;
        }
        if let Some(progress) = self.close_if_over().await {
            return progress;
        }
        let resend = self.in_flight.take();
        let is_resend = resend.is_some();
        let Some(mut work) = resend.or_else(|| self.next_work()) else {
            return Progress::Idle;
        };
        let sent_at = self.clock.now();
        match self.send(&mut work, sent_at).await {
            Ok(progress) => {
                match progress {
                    Progress::Halted | Progress::Retry(_) => {}
                    // Verdicts on orders that were stored before do not say which process sells the
                    // sale now.
                    _ if is_resend => self.look().await,
                    _ => self.note_answer(sent_at),
                }
                self.serve_waitlist();
                progress
            }
            Err(error) => {
                // It is not known what the store did with the work: its orders stay reserved, its
                // changes unanswered.
                self.in_flight = Some(work);
                if error.is_transient() {
                    self.note_failure(&error);
                    return Progress::Retry(back_off(self.failures));
                }
                self.halt(error);
                Progress::Halted
            }
        }
    }

    /// What a halted sale comes to; `None` if orders on their way are to be asked for once more.
    fn while_halted(&mut self) -> Option<Progress> {
        match self.open.trouble() {
            // What the lost history means for the waiting orders is not known before the sale is
            // resumed.
            Some(StoreError::HistoryLost(_)) => {
                self.refuse_changes();
                Some(Progress::Idle)
            }
            // Some of the orders on their way may have been stored before.
            Some(StoreError::Fenced) if matches!(self.in_flight, Some(Work::Orders(_))) => None,
            // Another node is to have it; what was taken before is confirmed by this one.
            why if self.open.right().is_given_up() && is_passing(why.as_ref()) => None,
            // It was to go and stays: it goes on since it was found halted.
            _ if !self.open.sale.stock().level().is_halted() => None,
            _ => Some(self.release_all()),
        }
    }

    /// Sends work to the store, with the time of this try or of the one before if the clock went back,
    /// and follows what the store says.
    pub(super) async fn send(
        &mut self,
        work: &mut Work,
        sent_at: Millis,
    ) -> Result<Progress, StoreError> {
        crash_point("gathered");
        match work {
            Work::Orders(committing) => {
                let batch = &mut committing.batch;
                // An order that the store decides only at this try is confirmed now, so its time to
                // pay begins now, too.
                batch.at = batch.at.max(sent_at);
                batch.pay_by = self.open.pay_by(batch.at);
                self.hold_or_park(committing).await;
                let batch = &mut committing.batch;
                if batch.orders.is_empty() {
                    // The sale goes on without them, and asks the store whether it may.
                    self.look().await;
                    return Ok(Progress::Retry(back_off(self.book_failures).min(BOOK_RETRY_MOST)));
                }
                match self.store.selling.commit(batch).await {
                    Ok(verdicts) => {
                        let progress = self.settle(batch, &verdicts);
                        self.end_fenced().await;
                        Ok(progress)
                    }
                    Err(BrokenOff { error, answered }) => {
                        self.settle_answered(batch, &answered);
                        Err(error)
                    }
                }
            }
            Work::Changes(making) => {
                making.changes.at = making.changes.at.max(sent_at);
                match self.store.selling.change(&making.changes).await {
                    Ok(made) => Ok(self.settle_changes(making, made)),
                    Err(error) => {
                        making.is_in_doubt |= matches!(error, StoreError::Unknown(_));
                        Err(error)
                    }
                }
            }
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        self.serve_waitlist();
        self.drain();
        let changes_first = std::mem::replace(&mut self.changes_next, false);
        if changes_first && let Some(making) = self.gather_changes() {
            return Some(Work::Changes(making));
        }
        self.changes_next = true;
        if let Some(batch) = self.gather() {
            return Some(Work::Orders(Committing { batch, asked: BTreeSet::new() }));
        }
        self.gather_changes().map(Work::Changes)
    }

    /// Notes that the store has answered. The time for which this task vouches for it begins at
    /// `asked_at`, or when the oldest waiting order came, whichever is earlier.
    fn note_answer(&mut self, asked_at: Millis) {
        if self.failures > 0 {
            tracing::info!(sale = %self.open.sale.terms().id, "the store confirms again");
        }
        self.failures = 0;
        self.open.set_trouble(None);
        self.vouch(self.lanes.oldest().unwrap_or(asked_at).min(asked_at));
    }

    fn vouch(&self, from: Millis) {
        self.open.right().vouch(&self.open.sale, from + self.patience, self.patience / SHED_STEPS);
    }

    pub(super) fn note_failure(&mut self, error: &StoreError) {
        self.failures += 1;
        if self.open.sale.stock().level().is_halted() {
            // The reason why the sale is halted matters more: it says what becomes of these orders.
            return;
        }
        if self.failures == 1 {
            let sale = &self.open.sale.terms().id;
            tracing::warn!(%sale, %error, "orders wait for the store");
        }
        self.open.set_trouble(Some(error.clone()));
    }

    /// Halts the sale: the store takes no more orders of this process, or no orders at all.
    pub(super) fn halt(&self, error: StoreError) {
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
}

/// Whether this trouble, if it is any, may pass.
fn is_passing(trouble: Option<&StoreError>) -> bool {
    trouble.is_none_or(StoreError::is_transient)
}

/// Halts the sale when its confirmer panics: the sale must not take orders that are never
/// confirmed.
struct Mourner(Arc<OpenSale>);

impl Drop for Mourner {
    fn drop(&mut self) {
        // An operator who waits for this task hears that it has ended.
        drop(self.0.take_asked_to_put_back());
        self.0.note_ended();
        if std::thread::panicking() {
            self.0.sale.stock().halt();
            let why = "the sale's confirmer failed; restart this process";
            self.0.set_trouble(Some(StoreError::Unusable(why.into())));
        }
    }
}
