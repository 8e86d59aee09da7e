//! What comes after confirmation: payments, cancellations, expiry and the waitlist, made by the same
//! task that confirms orders.
//!
//! The store decides each step by what it holds; memory follows its answers in their order.

use super::{Confirmer, Step, Work};
use crate::asks::Answer;
use crate::clock::Millis;
use crate::fault::crash_point;
use crate::open_sale::{Found, OpenSale};
use crate::order::{self, Status};
use crate::refusal::Refusal;
use crate::sale::Click;
use crate::store::{Change, Changed, Changes, Record, StoreError};
use crate::waitlist::Waiter;
use std::collections::VecDeque;
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

/// When payments are due, soonest first. Orders are confirmed in the order of time, so each new one is
/// the last; a clock that is set back delays what is already here, and loses nothing.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    orders: VecDeque<(Millis, u64)>,
}

impl Deadlines {
    /// Those that a former process has left.
    pub(super) fn of(open: &OpenSale) -> Self {
        let terms = open.sale.terms();
        let due = |record: &Record| (terms.pay_by(record.settled_at), record.number);
        let mut orders: Vec<_> = open.former().values().map(due).collect();
        orders.sort_unstable();
        Self { orders: orders.into() }
    }

    pub(super) fn push(&mut self, pay_by: Millis, number: u64) {
        self.orders.push_back((pay_by, number));
    }

    fn next(&self) -> Option<Millis> {
        self.orders.front().map(|(pay_by, _)| *pay_by)
    }

    fn pop_due(&mut self, now: Millis) -> Option<u64> {
        self.orders.pop_front_if(|(pay_by, _)| *pay_by <= now).map(|(_, number)| number)
    }
}

impl Confirmer {
    /// How long this task may sleep before a payment is due.
    pub(super) fn until_due(&self) -> Duration {
        self.deadlines.next().map_or(NAP, |pay_by| pay_by.since(self.clock.now()).min(NAP))
    }

    /// Payments that are overdue and changes that were asked for, as many as go into one transaction.
    pub(super) fn gather_changes(&mut self) -> Option<Making> {
        let (now, most) = (self.clock.now(), self.store.batch_orders_max());
        let (mut changes, mut answers) = (Vec::new(), Vec::new());
        while changes.len() < most {
            let Some(number) = self.deadlines.pop_due(now) else { break };
            if let Some((epoch, Status::Confirmed)) = self.open.status(number) {
                changes.push(Change::Order { step: order::Step::Expire, epoch, number });
                answers.push(None);
            }
        }
        for (change, answer) in self.open.asks().take(most - changes.len()) {
            changes.push(change);
            answers.push(answer);
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
                        self.deadlines.orders.push_front((making.changes.at, *number));
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
    pub(super) fn serve_waitlist(&mut self) {
        let (sale, now) = (&self.open.sale, self.clock.now());
        let mut list = self.open.waitlist();
        if list.is_empty() {
            return;
        }
        let level = sale.stock().level();
        if level.is_closed() || sale.terms().windows.is_over(now) {
            // Nothing is sold any more, and nobody need wait for it.
            sale.put_on_sale(true);
            if !self.has_dismissed {
                self.has_dismissed = true;
                list.iter().for_each(|waiter| self.dismiss(waiter));
            }
            return;
        }
        while !level.is_halted() && !level.is_paused() && sale.aside().units().0 > 0 {
            let Some(waiter) = list.first_within(sale.aside().units()) else {
                // What came back is too little for everyone who waits.
                sale.put_on_sale(false);
                break;
            };
            let Waiter { seat, tier, units, .. } = waiter;
            match sale.offer(now, Click { seat, tier, units, key: None }) {
                Ok(_) => {}
                // They have bought in the meantime: waiting longer would not change it.
                Err(Refusal::LimitReached { .. }) => self.dismiss(&waiter),
                Err(_) => break,
            }
            list.leave(seat);
        }
        if list.is_empty() {
            sale.put_on_sale(true);
        }
    }

    fn dismiss(&self, waiter: &Waiter) {
        self.open.asks().push(Change::Leave(self.roster.member(waiter.seat)));
    }
}
