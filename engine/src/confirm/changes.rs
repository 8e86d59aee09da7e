//! Changes: payments, cancellations, expiry and the waitlist, made by the same task that confirms
//! orders.
//!
//! The store decides each step by what it has stored; memory follows the store's answers in their
//! order.

use super::confirmer::Confirmer;
use super::work::{Making, Progress, Work};
use crate::fault::crash_point;
use crate::open::asks::{Answer, Ask};
use crate::open::found::Found;
use crate::rules::order;
use crate::rules::time::Millis;
use crate::store::{Change, Changed, Changes, StoreError};
use std::time::Duration;

/// The longest that an idle sale sleeps when no payment is due.
const NAP: Duration = Duration::from_secs(60);

impl Confirmer {
    /// How long this task may sleep before a payment is due or the sale is over.
    pub(super) fn until_due(&self) -> Duration {
        if self.open.sale.stock().level().is_halted() {
            // A halted sale makes no changes: payments that are overdue wait for the operator.
            return NAP;
        }
        let due = self.deadlines.next().map(|pay_by| pay_by.since(self.clock.now()));
        due.into_iter().chain(self.until_over()).fold(NAP, Duration::min)
    }

    /// Gathers changes that were asked for and overdue payments, as many as go into one transaction:
    /// payments at most half of it, and all that was asked for three quarters, so that no flood of
    /// asks delays the expiry of others' orders.
    pub(super) fn gather_changes(&mut self) -> Option<Making> {
        let (now, most) = (self.clock.now(), self.store.selling.batch_orders_max());
        let mut asked = Vec::new();
        // A payment may come with the expiry of its order.
        while asked.len() + 2 <= (most / 2).max(2)
            && let Some(payment) = self.open.asks().take_payment()
        {
            asked.extend(self.expiry_before(&payment));
            asked.push(payment);
        }
        asked.extend(
            self.open.asks().take_others((most / 4 * 3).saturating_sub(asked.len()).max(1)),
        );
        // What came first is done first.
        asked.sort_by_key(|ask| ask.nth);
        let (mut changes, mut answers): (Vec<_>, Vec<_>) =
            asked.into_iter().map(|ask| (ask.change, ask.answer)).unzip();
        let overdue = self.take_overdue(now, most.saturating_sub(changes.len()));
        answers.extend(overdue.iter().map(|_| None));
        changes.extend(overdue);
        let (sale, epoch) = (self.open.sale.terms().id.clone(), self.open.sale.epoch());
        (!changes.is_empty()).then(|| Making {
            changes: Changes { sale, epoch, at: now, changes: changes.into() },
            answers,
            is_in_doubt: false,
        })
    }

    /// The expiry of an order whose payment was heard of too late, if the order has not expired yet.
    fn expiry_before(&self, payment: &Ask) -> Option<Ask> {
        let Change::Order { step: order::Step::Pay, epoch, number } = payment.change else {
            return None;
        };
        let (of, pay_by) = self.open.due(number)?;
        let is_in_time =
            payment.received_at < pay_by || self.open.asks().is_paid_in_time(epoch, number, pay_by);
        let is_late = of == epoch && !is_in_time;
        let change = Change::Order { step: order::Step::Expire, epoch, number };
        is_late.then_some(Ask { change, answer: None, ..*payment })
    }

    /// Takes at most `most` orders that are not paid in time, for their expiry. An order whose payment
    /// was heard of in time and waits for the store does not expire.
    fn take_overdue(&mut self, now: Millis, most: usize) -> Vec<Change> {
        let (mut overdue, mut paid) = (Vec::new(), Vec::new());
        while overdue.len() < most
            && let Some(number) = self.deadlines.pop_due(now)
        {
            let Some((epoch, pay_by)) = self.open.due(number) else { continue };
            if self.open.asks().is_paid_in_time(epoch, number, pay_by) {
                paid.push((pay_by, number));
            } else {
                overdue.push(Change::Order { step: order::Step::Expire, epoch, number });
            }
        }
        // These payments may still be refused by a halted sale.
        paid.into_iter().for_each(|(pay_by, number)| self.deadlines.push(pay_by, number));
        overdue
    }

    /// Memory follows what the store says of each change.
    pub(super) fn settle_changes(&self, making: &mut Making, made: Vec<Changed>) -> Progress {
        assert_eq!(made.len(), making.changes.changes.len(), "the store answers for each change");
        let mut moved = Vec::new();
        for (change, made) in making.changes.changes.iter().zip(&made) {
            match (change, made) {
                (_, Changed::Order(record)) => {
                    moved.extend(self.open.settle(record, &self.roster));
                }
                (Change::Join(_), Changed::Waits(waiting)) => {
                    self.open.joined(waiting, &self.roster)
                }
                (Change::Leave(member), _) => self.open.left(member, &self.roster),
                (Change::Dissolve, _) => self.open.dissolved(),
                (
                    _,
                    Changed::NoOrder
                    | Changed::BadRefund(_)
                    | Changed::Waits(_)
                    | Changed::DoesNotWait,
                ) => {}
            }
            crash_point("changing");
        }
        let steps = moved.len();
        self.open.feed().changed(moved.into_iter().map(|found| match found {
            Found::Here(order) => (order.seat, found),
            Found::Before(ref record) => {
                let seat = self.roster.seat(record.member.as_str());
                (seat.expect("a former order's member has a seat"), found)
            }
        }));
        crash_point("changed");
        making.answer(made);
        Progress::Settled(steps.max(1))
    }

    /// Tells each caller that asks for a change why the sale is halted. Overdue payments stay
    /// overdue.
    pub(super) fn refuse_changes(&mut self) {
        let why = self.open.trouble().unwrap_or(StoreError::Fenced);
        match self.in_flight.take() {
            // Once the sale is resumed, the store is asked again. Until then nothing is known.
            Some(Work::Changes(mut making))
                if making.is_in_doubt && self.open.has_lost_history() =>
            {
                let why = "the store has lost part of its history; ask again once the sale goes on";
                refuse(making.take_answers(), &StoreError::Unknown(why.into()));
                self.in_flight = Some(Work::Changes(making));
            }
            Some(Work::Changes(making)) => {
                for change in making.changes.changes.iter() {
                    if let Change::Order { step: order::Step::Expire, number, .. } = change {
                        self.deadlines.push(making.changes.at, *number);
                    }
                }
                refuse(making.answers, &why);
            }
            orders => self.in_flight = orders,
        }
        refuse(self.open.asks().take_all().into_iter().map(|ask| ask.answer), &why);
    }
}

fn refuse(answers: impl IntoIterator<Item = Answer>, why: &StoreError) {
    for answer in answers.into_iter().flatten() {
        // Err: the caller has given up.
        answer.send(Err(why.clone())).ok();
    }
}
