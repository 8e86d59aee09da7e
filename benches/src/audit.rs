//! The audit of a run: the clients' receipts against the operator's list against the store.

use crate::operator::{ListedOrder, SaleReport};
use crate::tally::Tally;
use engine::order::Status;
use engine::store::SaleAudit;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// What was compared, and what did not fit.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// Each check with its outcome, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What must hold.
    pub promise: String,
    /// What breaks it; empty if nothing does. The first ten.
    pub broken_by: Vec<String>,
    /// How many break it.
    pub broken: u64,
}

impl Audit {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.broken == 0)
    }

    fn check(&mut self, promise: impl Into<String>, broken_by: Vec<String>) {
        let broken = broken_by.len() as u64;
        let broken_by = broken_by.into_iter().take(10).collect();
        self.checks.push(Check { promise: promise.into(), broken_by, broken });
    }

    /// Receipts against the operator's list of orders.
    pub fn orders(&mut self, tally: &Tally, listed: &[ListedOrder], report: &SaleReport) {
        let by_id: HashMap<&str, &ListedOrder> =
            listed.iter().map(|order| (order.order_id.as_str(), order)).collect();
        let mut seen = HashSet::new();
        let mut wrong = Vec::new();
        for receipt in &tally.receipts {
            if !seen.insert(receipt.order_id.as_str()) {
                wrong.push(format!("{} was given out twice", receipt.order_id));
            }
            match by_id.get(receipt.order_id.as_str()) {
                None => wrong.push(format!("{} is not on the list", receipt.order_id)),
                Some(order) => {
                    let same = order.member == receipt.member
                        && order.tier == receipt.tier
                        && order.units == receipt.units;
                    if !same {
                        wrong.push(format!("{} is another order on the list", receipt.order_id));
                    }
                    if receipt.was_confirmed && order.status != "confirmed" {
                        let (id, status) = (&receipt.order_id, &order.status);
                        wrong.push(format!("{id} was told to be confirmed and is {status}"));
                    }
                }
            }
        }
        let receipts = tally.receipts.len();
        self.check(format!("each of {receipts} receipts is an order on the list"), wrong);

        let strangers = listed.iter().filter(|order| !seen.contains(order.order_id.as_str()));
        let strangers: Vec<_> = strangers.map(|order| order.order_id.clone()).collect();
        let unanswered = tally.unanswered;
        if strangers.len() as u64 > unanswered {
            self.check("no order without a receipt", strangers);
        } else {
            let spared = format!("no order without a receipt ({unanswered} clicks unanswered)");
            self.check(spared, Vec::new());
        }

        let undecided = listed.iter().filter(|order| order.status == "reserved");
        let undecided = undecided.map(|order| format!("{} is reserved", order.order_id)).collect();
        self.check("every accepted order reached its end", undecided);
        self.rules(listed, report);
    }

    /// Stock, limits and windows, from the list alone.
    fn rules(&mut self, listed: &[ListedOrder], report: &SaleReport) {
        let confirmed = || listed.iter().filter(|order| order.status == "confirmed");
        let sold: u64 = confirmed().map(|order| u64::from(order.units)).sum();
        let mut uneven = Vec::new();
        if sold + report.left != report.stock || sold != report.confirmed {
            let (left, stock, said) = (report.left, report.stock, report.confirmed);
            uneven.push(format!("{sold} sold (report: {said}) + {left} left, of {stock}"));
        }
        self.check(format!("{sold} units sold + {} left = {}", report.left, report.stock), uneven);

        let mut held: HashMap<&str, u64> = HashMap::new();
        let mut over = Vec::new();
        for order in confirmed() {
            let units = held.entry(&order.member).or_default();
            *units += u64::from(order.units);
            let limit = report.limits.get(&order.tier).copied().unwrap_or(0);
            if *units > limit {
                over.push(format!("{} holds {units} of {limit}", order.member));
            }
        }
        self.check(format!("none of {} buyers is over the limit", held.len()), over);

        let mut early = Vec::new();
        for order in listed {
            let opens_at = report.windows.get(&order.tier).copied().unwrap_or(Timestamp::MAX);
            if order.reserved_at < opens_at || order.reserved_at >= report.closes_at {
                early.push(format!("{} at {}", order.order_id, order.reserved_at));
            }
        }
        self.check("no order before its tier's window or after the close", early);

        let gaps = listed.iter().zip(1..).filter(|(order, n)| order.number != *n);
        let gaps = gaps.map(|(order, n)| format!("{} stands at {n}", order.number)).take(1);
        self.check("the orders are numbered without a gap", gaps.collect());
    }

    /// The store's own sums against the operator's list.
    pub fn store(&mut self, stored: Option<&SaleAudit>, listed: &[ListedOrder]) {
        let Some(stored) = stored else {
            self.check("the store has the sale", vec!["it has not".into()]);
            return;
        };
        self.check("the store adds up", stored.differences.clone());
        let confirmed = listed.iter().filter(|order| order.status == "confirmed").count();
        let mut uneven = Vec::new();
        if stored.tallies.sum(Status::Confirmed).orders != confirmed as u64 {
            uneven.push(format!("the store has {}", stored.tallies.sum(Status::Confirmed).orders));
        }
        self.check(format!("the store has the {confirmed} confirmed orders of the list"), uneven);
    }
}
