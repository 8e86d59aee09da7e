//! The audit of a run: the clients' receipts against the operator's list against the store.

use crate::load::afterwards::Lives;
use crate::run::operator::{ListedOrder, SaleReport};
use crate::told::tally::Tally;
use engine::rules::order::Status;
use engine::store::SaleAudit;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// What was compared, and what did not fit.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// Each check with its outcome, in the order in which they were made.
    pub checks: Vec<Check>,
    /// Whether orders that were only reserved may be gone, because a process was killed.
    #[serde(skip)]
    pub reserved_may_go: bool,
}

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What must hold.
    pub promise: String,
    /// What breaks the promise: the first ten findings, or none.
    pub broken_by: Vec<String>,
    /// How many findings break the promise.
    pub broken: u64,
}

impl Audit {
    /// Whether every promise holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.broken == 0)
    }

    fn check(&mut self, promise: impl Into<String>, broken_by: Vec<String>) {
        let broken = broken_by.len() as u64;
        let broken_by = broken_by.into_iter().take(10).collect();
        self.checks.push(Check { promise: promise.into(), broken_by, broken });
    }

    /// Compares the receipts with the operator's list of orders.
    ///
    /// `joined` says how often each member joined the waitlist. Each time the member may have been
    /// offered one order.
    pub fn orders(
        &mut self,
        tally: &Tally,
        listed: &[ListedOrder],
        report: &SaleReport,
        joined: &HashMap<String, u64>,
    ) {
        let by_id: HashMap<&str, &ListedOrder> =
            listed.iter().map(|order| (order.order_id.as_str(), order)).collect();
        let mut seen = HashSet::new();
        let (mut wrong, mut gone) = (Vec::new(), 0);
        for receipt in &tally.receipts {
            if !seen.insert(receipt.order_id.as_str()) {
                wrong.push(format!("{} was given out twice", receipt.order_id));
            }
            match by_id.get(receipt.order_id.as_str()) {
                None if self.reserved_may_go && !receipt.was_confirmed => gone += 1,
                None => wrong.push(format!("{} is not on the list", receipt.order_id)),
                Some(order) => {
                    let same = order.member == receipt.member
                        && order.tier == receipt.tier
                        && order.units == receipt.units;
                    if !same {
                        wrong.push(format!("{} is another order on the list", receipt.order_id));
                    }
                    if receipt.was_confirmed && !order.was_confirmed() {
                        let (id, status) = (&receipt.order_id, &order.status);
                        wrong.push(format!("{id} was told to be confirmed and is {status}"));
                    }
                }
            }
        }
        let receipts = tally.receipts.len();
        let but = match gone {
            0 => String::new(),
            gone => format!(", but for {gone} that were only reserved when a process was killed"),
        };
        self.check(format!("each of {receipts} receipts is an order on the list{but}"), wrong);

        let mut offers = joined.clone();
        let strangers = listed.iter().filter(|order| {
            let may_be_offer = offers.get_mut(&order.member).filter(|left| **left > 0);
            let is_known = seen.contains(order.order_id.as_str());
            !is_known && may_be_offer.map(|left| *left -= 1).is_none()
        });
        let strangers: Vec<_> = strangers.map(|order| order.order_id.clone()).collect();
        let unanswered = tally.unanswered;
        if strangers.len() as u64 > unanswered {
            self.check("no order without a receipt", strangers);
        } else {
            let spared = format!("no order without a receipt ({unanswered} clicks unanswered)");
            self.check(spared, Vec::new());
        }

        let repeated = tally.repeated;
        let wrong = tally.repeated_wrong.clone();
        self.check(format!("each of {repeated} repeated clicks got the same answer"), wrong);

        let undecided = listed.iter().filter(|order| order.status == "reserved");
        let undecided = undecided.map(|order| format!("{} is reserved", order.order_id)).collect();
        self.check("every accepted order reached its end", undecided);
        self.rules(listed, report);
    }

    /// Checks stock, limits and windows from the list alone.
    fn rules(&mut self, listed: &[ListedOrder], report: &SaleReport) {
        let held_now = || listed.iter().filter(|order| order.holds_units());
        let sold: u64 = held_now().map(|order| u64::from(order.units)).sum();
        let mut uneven = Vec::new();
        if sold + report.left != report.stock || sold != held_by(report) {
            let (left, stock, said) = (report.left, report.stock, held_by(report));
            uneven.push(format!("{sold} sold (report: {said}) + {left} left, of {stock}"));
        }
        self.check(format!("{sold} units sold + {} left = {}", report.left, report.stock), uneven);

        let mut held: HashMap<&str, u64> = HashMap::new();
        let mut over = Vec::new();
        for order in held_now() {
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

    /// Compares the store's own sums with the operator's list.
    pub fn store(&mut self, stored: Option<&SaleAudit>, listed: &[ListedOrder]) {
        let Some(stored) = stored else {
            self.check("the store has the sale", vec!["it has not".into()]);
            return;
        };
        self.check("the store adds up", stored.differences.clone());
        let mut uneven = Vec::new();
        for status in Status::STORED {
            let listed = listed.iter().filter(|order| order.status == status.as_str()).count();
            let (word, stored) = (status.as_str(), stored.tallies.sum(status).orders);
            if stored != listed as u64 {
                uneven.push(format!("{word}: {listed} on the list, {stored} in the store"));
            }
        }
        let orders = listed.len();
        self.check(format!("the store has the {orders} orders of the list where they are"), uneven);
    }

    /// Notes what the book has of members and what differs from their orders.
    pub fn book(&mut self, members: usize, differences: Vec<String>) {
        let promise = format!("the book has of {members} members what their orders come to");
        self.check(promise, differences);
    }

    /// Compares what was told after the clicks with the list at the end.
    pub fn lives(&mut self, lives: &Lives, listed: &[ListedOrder], report: &SaleReport) {
        self.check(
            "every payment, cancellation and wish was answered rightly",
            lives.wrong.clone(),
        );
        let by_id: HashMap<&str, &ListedOrder> =
            listed.iter().map(|order| (order.order_id.as_str(), order)).collect();
        let differs = |(id, told): (&String, &String)| match by_id.get(id.as_str()) {
            Some(order) if order.status == *told => None,
            Some(order) => Some(format!("{id} was told to be {told} and is {}", order.status)),
            None => Some(format!("{id} was told to be {told} and is not on the list")),
        };
        let told = lives.told.len();
        let wrong = lives.told.iter().filter_map(differs).collect();
        self.check(format!("each of {told} orders ended as was told"), wrong);

        let mut early = Vec::new();
        for order in listed.iter().filter(|order| order.status == "expired") {
            let due =
                order.confirmed_at.map(|at| at.as_millisecond() + report.pay_within_s * 1_000);
            let expired = order.changed_at.map(Timestamp::as_millisecond);
            if due.is_none() || expired < due || lives.told.contains_key(&order.order_id) {
                early.push(format!("{} expired at {expired:?}, due {due:?}", order.order_id));
            }
        }
        self.check("only unpaid orders expired, and none before its time", early);
        let unpaid = listed.iter().filter(|order| order.status == "confirmed");
        let unpaid = unpaid.map(|order| order.order_id.clone()).collect();
        self.check("nobody owes anything any more", unpaid);
        let stranded = report.waiting > 0 && report.left > 0;
        let stranded = stranded.then(|| format!("{} left, {} wait", report.left, report.waiting));
        self.check(
            "no unit is on sale while somebody waits for one",
            stranded.into_iter().collect(),
        );
    }
}

/// Units that orders on disk hold.
const fn held_by(report: &SaleReport) -> u64 {
    report.confirmed + report.paid + report.returned
}
