//! Changes: payments, cancellations, expiry and the waitlist, made by the same task that confirms
//! orders.
//!
//! The store decides each step by what it has stored; memory follows the store's answers in their
//! order.

use super::confirmer::Confirmer;
use super::work::{Making, Progress, Work};
use crate::fault::crash_point;
use crate::open::found::Found;
use crate::rules::order::{self, Status};
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

    /// Gathers changes that were asked for and overdue payments, as many as go into one
    /// transaction. Changes that were asked for come first: a payment that was told in time and
    /// waited for the store is in time. A quarter of the room is kept for overdue payments, so that
    /// a flood of asks does not delay their expiry.
    pub(super) fn gather_changes(&mut self) -> Option<Making> {
        let (now, most) = (self.clock.now(), self.store.batch_orders_max());
        let asked = self.open.asks().take(most.div_ceil(4) * 3);
        let (mut changes, mut answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        while changes.len() < most {
            let Some(number) = self.deadlines.pop_due(now) else { break };
            if let Some((epoch, Status::Confirmed)) = self.open.status(number) {
                changes.push(Change::Order { step: order::Step::Expire, epoch, number });
                answers.push(None);
            }
        }
        let (sale, epoch) = (self.open.sale.terms().id.clone(), self.open.sale.epoch());
        (!changes.is_empty()).then(|| Making {
            changes: Changes { sale, epoch, at: now, changes: changes.into() },
            answers,
        })
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
                (_, Changed::NoOrder | Changed::Waits(_) | Changed::DoesNotWait) => {}
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
        let mut answers = Vec::new();
        match self.in_flight.take() {
            Some(Work::Changes(making)) => {
                for change in making.changes.changes.iter() {
                    if let Change::Order { step: order::Step::Expire, number, .. } = change {
                        self.deadlines.push(making.changes.at, *number);
                    }
                }
                answers = making.answers;
            }
            orders => self.in_flight = orders,
        }
        answers.extend(self.open.asks().take(usize::MAX).into_iter().map(|(_, answer)| answer));
        for answer in answers.into_iter().flatten() {
            // Err: the caller has given up.
            answer.send(Err(why.clone())).ok();
        }
    }
}
