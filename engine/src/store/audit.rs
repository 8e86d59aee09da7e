//! The audit: adds every order in a store up again and says what does not fit.

use super::rows::{SaleRows, Stored};
use super::{OutboxEntry, Record};
use crate::rules::order::Status;
use crate::rules::refusal::Refusal;
use crate::rules::tally::Tallies;
use crate::rules::terms::SaleId;
use crate::rules::units::Units;
use membership::MemberId;
use std::collections::HashMap;

/// What an audit found, sale by sale.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// One entry a sale, by id.
    pub sales: Vec<SaleAudit>,
}

impl Audit {
    /// Whether everything adds up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sales.iter().all(|sale| sale.differences.is_empty())
    }
}

/// One sale, added up from its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleAudit {
    /// Which sale.
    pub sale: SaleId,
    /// Units in all.
    pub stock: Units,
    /// Units that no stored order holds.
    pub left: Units,
    /// Orders by state and tier, from their records.
    pub tallies: Tallies,
    /// Members who wait for units that come back.
    pub waiting: u64,
    /// Members who hold units.
    pub holders: u64,
    /// The outbox begins after this entry; the entries up to it were trimmed.
    pub trimmed_to: u64,
    /// One sentence for each thing that does not add up; the first 100.
    pub differences: Vec<String>,
}

impl SaleAudit {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.complain(format!("{what}: the store says {found:?}, its orders say {expected:?}"));
        }
    }

    /// A sale that cannot be read; `why` is its only difference.
    pub(super) fn unreadable(sale: &SaleId, why: String) -> Self {
        Self {
            sale: sale.clone(),
            stock: Units(0),
            left: Units(0),
            tallies: Tallies::default(),
            waiting: 0,
            holders: 0,
            trimmed_to: 0,
            differences: vec![why],
        }
    }

    pub(super) fn complain(&mut self, difference: String) {
        if self.differences.len() < 100 {
            self.differences.push(difference);
        }
    }
}

/// Adds one sale up again. `outbox` are its entries, in their order.
pub(super) fn audit(
    rows: &SaleRows,
    outbox: impl Iterator<Item = Stored<OutboxEntry>>,
) -> SaleAudit {
    let mut found = SaleAudit {
        sale: rows.terms.id.clone(),
        stock: rows.counters.stock,
        left: rows.counters.left,
        waiting: rows.waiting.len() as u64,
        trimmed_to: rows.trimmed_to,
        ..SaleAudit::unreadable(&rows.terms.id, String::new())
    };
    found.differences.clear();
    let mut orders = Orders::default();
    for (number, row) in rows.orders.after(0) {
        match rows.read(number, row) {
            Ok(record) => orders.add(rows, &record, &mut found),
            Err(error) => found.complain(error.to_string()),
        }
    }
    audit_outbox(rows, outbox, &mut orders.told, &mut found);
    audit_holders(rows, orders.held, &mut found);
    audit_stock(rows, &orders.tallies, &mut found);
    for (status, found_here) in orders.tallies.iter() {
        let stored = rows.counters.tallies.of(status);
        found.expect(&format!("{} by tier", status.as_str()), stored, found_here);
    }
    found.tallies = orders.tallies;
    found
}

/// What a member's orders come to: units, the highest limit so far (a member's tier may have changed
/// between orders), and how many they are.
#[derive(Debug, Default)]
struct Held {
    units: u64,
    limit: Units,
    orders: u32,
}

/// What is to be told of an order, and how far the outbox has told it.
#[derive(Debug)]
struct Told {
    status: Status,
    entries: u64,
    steps: u64,
    told: u64,
}

/// A sale's orders, added up.
#[derive(Debug, Default)]
struct Orders {
    tallies: Tallies,
    held: HashMap<MemberId, Held>,
    told: HashMap<u64, Told>,
}

impl Orders {
    fn add(&mut self, rows: &SaleRows, record: &Record, found: &mut SaleAudit) {
        let (number, status) = (record.number, record.status);
        let entries = record.entries();
        self.told.insert(number, Told { status, entries, steps: 0, told: 0 });
        if status == Status::Reserved {
            return found.complain(format!("order {number} is stored undecided"));
        }
        self.tallies.count(record.tier, record.units, None, status);
        let held = self.held.entry(record.member.clone()).or_default();
        held.orders += 1;
        if status.holds_units() {
            held.units += u64::from(record.units.0);
            held.limit = rows.terms.limits[record.tier].max(held.limit);
            if held.units > u64::from(held.limit.0) {
                let (member, tier, Held { units, limit, .. }) = (&record.member, record.tier, held);
                found.complain(format!(
                    "order {number} brings {member} to {units} units; the limit of {tier} is {limit}"
                ));
            }
        }
        if status == Status::Expired && record.changed_at < record.pay_by {
            found.complain(format!("order {number} expired before its payment was due"));
        }
        if record.refunded() > record.money.due {
            found.complain(format!("more than was paid for order {number} went back"));
        }
        match rows.terms.windows.enter(record.tier, record.reserved_at) {
            Ok(_) => {}
            Err(Refusal::Closed) => found.complain(format!("order {number} came after the close")),
            Err(_) => {
                found.complain(format!("order {number} came before the window of its tier"));
            }
        }
        if record.epoch > rows.counters.epoch || number >= rows.counters.next_number {
            found.complain(format!("order {number} is ahead of its sale"));
        }
    }
}

/// Checks that the outbox has exactly one entry for each event of each order, in order, and no gaps
/// but those that were written down. `states` says where each order is, and how far the outbox has
/// told of it.
fn audit_outbox(
    rows: &SaleRows,
    outbox: impl Iterator<Item = Stored<OutboxEntry>>,
    states: &mut HashMap<u64, Told>,
    found: &mut SaleAudit,
) {
    let gap_after = |seq| rows.gaps.iter().find(|gap| gap.after == seq);
    let mut last = rows.trimmed_to;
    let mut untold: u64 = states.values().map(|told| told.entries).sum();
    for entry in outbox {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.complain(error.to_string());
                break;
            }
        };
        let next = gap_after(last).map_or(last, |gap| gap.to) + 1;
        if entry.seq != next {
            found.complain(format!("outbox entry {next} is missing"));
        }
        last = entry.seq;
        let Some(told) = states.get_mut(&entry.number) else {
            let number = entry.number;
            found
                .complain(format!("outbox entry {last} tells of order {number}, which is unknown"));
            continue;
        };
        audit_entry(&entry, told, rows.trimmed_to > 0, found);
        untold = untold.saturating_sub(1);
    }
    let gone = rows.gaps.iter().filter(|gap| gap.to <= rows.trimmed_to);
    let trimmed = rows.trimmed_to - gone.map(|gap| gap.to - gap.after).sum::<u64>();
    if untold != trimmed {
        // It is not known which of these orders lost their entries by trimming.
        let behind = states.iter().filter(|(_, told)| told.steps < told.status.steps());
        for number in behind.map(|(number, _)| number) {
            found.complain(format!("order {number} has no outbox entry for its last step"));
        }
        found.complain(format!("{untold} outbox entries are missing, and {trimmed} were trimmed"));
    }
    let last = gap_after(last).map_or(last, |gap| gap.to);
    found.expect("newest outbox entry", &rows.counters.seq, &last);
}

fn audit_entry(entry: &OutboxEntry, told: &mut Told, is_trimmed: bool, found: &mut SaleAudit) {
    let (seq, number, status) = (entry.seq, entry.number, entry.status);
    let is_part = entry.refund.is_some() && status.steps() == told.steps;
    // The beginning of an order's life may have been trimmed; nothing may be left out later on.
    let follows = status.steps() == told.steps + 1 || is_part || (told.told == 0 && is_trimmed);
    if !follows {
        found.complain(format!(
            "outbox entry {seq} tells of order {number}, which was told of before or not yet"
        ));
    } else if status.steps() > told.status.steps()
        || (status.steps() == told.status.steps() && status != told.status)
    {
        found.complain(format!(
            "order {number} is {}, its outbox entry says {}",
            told.status.as_str(),
            status.as_str()
        ));
    }
    told.steps = status.steps();
    told.told += 1;
}

fn audit_holders(rows: &SaleRows, mut held: HashMap<MemberId, Held>, found: &mut SaleAudit) {
    for row in rows.holders.rows() {
        let (member, holder) = (&row.member, row.holder);
        found.holders += u64::from(holder.units.0 > 0);
        let Held { units, orders, .. } = held.remove(member).unwrap_or_default();
        found.expect(&format!("units held by {member}"), &u64::from(holder.units.0), &units);
        found.expect(&format!("orders of {member}"), &holder.orders, &orders);
    }
    for (member, Held { units, .. }) in held {
        found.expect(&format!("units held by {member}"), &0, &units);
    }
}

fn audit_stock(rows: &SaleRows, tallies: &Tallies, found: &mut SaleAudit) {
    let added = rows.top_ups.values().map(|top_up| u64::from(top_up.add.0));
    let stock = u64::from(rows.terms.stock.0) + added.sum::<u64>();
    found.expect("units in all", &u64::from(rows.counters.stock.0), &stock);
    let sold = tallies.held_units();
    if sold > stock {
        found.complain(format!("{sold} units sold of {stock}"));
    }
    found.expect("units left", &u64::from(rows.counters.left.0), &stock.saturating_sub(sold));
}
