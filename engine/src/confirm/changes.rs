//! What comes after confirmation: payments, cancellations, expiry and the waitlist, made by the same
//! task that confirms orders.
//!
//! The store decides each step by what it holds; memory follows its answers in their order.

use super::confirmer::{Confirmer, Step, Work};
use crate::fault::crash_point;
use crate::open::asks::Answer;
use crate::open::found::Found;
use crate::rules::order::{self, Status};
use crate::rules::refusal::Refusal;
use crate::rules::units::Units;
use crate::rules::waitlist::Waiter;
use crate::sale::Click;
use crate::store::{Change, Changed, Changes, StoreError};
use std::time::Duration;

/// The longest that an idle sale sleeps when no payment is due.
const NAP: Duration = Duration::from_secs(60);

/// Changes on their way to the store, and who waits for each.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) changes: Changes,
    answers: Vec<Answer>,
}

impl Making {
    /// Tells those who wait. Only when memory has followed: who is told can see it.
    fn answer(&mut self, made: Vec<Changed>) {
        for (answer, made) in std::mem::take(&mut self.answers).into_iter().zip(made) {
            if let Some(answer) = answer {
                // Err: whoever asked has given up; asking again finds it done.
                answer.send(Ok(made)).ok();
            }
        }
    }
}

impl Confirmer {
    /// How long this task may sleep before a payment is due.
    pub(super) fn until_due(&self) -> Duration {
        // A halted sale makes no changes: what is overdue waits for the operator.
        let due = self.deadlines.next().filter(|_| !self.open.sale.stock().level().is_halted());
        due.map_or(NAP, |pay_by| pay_by.since(self.clock.now()).min(NAP))
    }

    /// Changes that were asked for and payments that are overdue, as many as go into one transaction.
    /// What was asked for comes first: a payment that was told in time and waited for the store is in
    /// time. A quarter is kept for what is overdue, so that a flood of asks does not hold it up.
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
    pub(super) fn follow(&self, making: &mut Making, made: Vec<Changed>) -> Step {
        assert_eq!(made.len(), making.changes.changes.len(), "the store answers for each change");
        let mut moved = Vec::new();
        for (change, made) in making.changes.changes.iter().zip(&made) {
            match (change, made) {
                (_, Changed::Order(record)) => {
                    moved.extend(self.open.follow(record, &self.roster));
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
        Step::Settled(steps.max(1))
    }

    /// The sale is halted: whoever asks for a change is told why. What is overdue stays so.
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
            // Err: whoever asked has given up.
            answer.send(Err(why.clone())).ok();
        }
    }

    /// Offers what came back to those who wait, higher tiers first, then by arrival; what they leave
    /// goes on sale.
    pub(super) fn serve_waitlist(&self) {
        let (sale, now) = (&self.open.sale, self.clock.now());
        let mut list = self.open.waitlist();
        if list.is_empty() {
            return;
        }
        if sale.stock().level().is_closed() || sale.terms().windows.is_over(now) {
            // Nothing is sold any more, and nobody need wait for it.
            list.dissolve().iter().for_each(|waiter| self.dismiss(waiter));
            sale.put_on_sale(true);
            return;
        }
        while sale.aside().units().0 > 0 {
            let level = sale.stock().level();
            if level.is_halted() || level.is_paused() {
                return;
            }
            let aside = sale.aside().units();
            let Some(waiter) = list.first_within(Units(aside.0 + level.left().0)) else {
                // What there is is too little for everyone who waits.
                break;
            };
            let Waiter { seat, tier, units, .. } = waiter;
            if self.open.is_blocked(seat) {
                list.leave(seat);
                self.dismiss(&waiter);
                continue;
            }
            if units > aside {
                // Together with what is on sale already it is enough.
                sale.set_aside();
                continue;
            }
            match sale.offer(now, Click { seat, tier, units, key: None }) {
                Ok(number) => list.serve(seat, number),
                // They have bought in the meantime: waiting longer would not change it.
                Err(Refusal::LimitReached { .. }) => {
                    list.leave(seat);
                    self.dismiss(&waiter);
                }
                // Paused, closed or halted this instant.
                Err(_) => return,
            }
        }
        sale.put_on_sale(list.is_empty());
    }

    fn dismiss(&self, waiter: &Waiter) {
        self.open.asks().push(Change::Leave(self.roster.member(waiter.seat)));
    }
}
