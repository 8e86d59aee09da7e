//! The audit: adds every order in a store up again and says what does not fit.

use super::StoreError;
use super::counters::Holder;
use super::rows::{Rows, SaleRow};
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

pub(super) fn audit(rows: &dyn Rows) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    for sale in rows.sales()? {
        let row = rows.sale(&sale)?.ok_or(StoreError::UnknownSale)?;
        audit.sales.push(audit_sale(rows, &sale, &row)?);
    }
    Ok(audit)
}

fn audit_sale(rows: &dyn Rows, sale: &SaleId, row: &SaleRow) -> Result<SaleAudit, StoreError> {
    let mut found = SaleAudit {
        sale: sale.clone(),
        stock: row.counters.stock,
        left: row.counters.left,
        tallies: Tallies::default(),
        waiting: 0,
        holders: 0,
        trimmed_to: row.trimmed_to,
        differences: Vec::new(),
    };
    let mut tallies = Tallies::default();
    // Each member's units and highest limit so far: a member's tier may have changed between
    // orders.
    let mut held: HashMap<MemberId, (u64, Units)> = HashMap::new();
    let mut states: HashMap<u64, (Status, u64)> = HashMap::new();
    rows.each_order(sale, 0, &mut |record| {
        let (number, status) = (record.number, record.status);
        states.insert(number, (status, 0));
        if status == Status::Reserved {
            found.complain(format!("order {number} is stored undecided"));
            return true;
        }
        tallies.count(record.tier, record.units, None, status);
        if status.holds_units() {
            let (units, limit) = held.entry(record.member.clone()).or_default();
            *units += u64::from(record.units.0);
            *limit = row.terms.limits[record.tier].max(*limit);
            if *units > u64::from(limit.0) {
                let (member, tier) = (&record.member, record.tier);
                found.complain(format!(
                    "order {number} brings {member} to {units} units; the limit of {tier} is {limit}"
                ));
            }
        }
        if status == Status::Expired && record.changed_at < row.terms.pay_by(record.settled_at) {
            found.complain(format!("order {number} expired before its payment was due"));
        }
        match row.terms.windows.enter(record.tier, record.reserved_at) {
            Ok(_) => {}
            Err(Refusal::Closed) => found.complain(format!("order {number} came after the close")),
            Err(_) => {
                found.complain(format!("order {number} came before the window of its tier"));
            }
        }
        if record.epoch > row.counters.epoch || number >= row.counters.next_number {
            found.complain(format!("order {number} is ahead of its sale"));
        }
        true
    })?;
    audit_outbox(rows, sale, row, &mut states, &mut found)?;
    audit_holders(rows, sale, held, &mut found)?;
    audit_stock(rows, sale, row, &tallies, &mut found)?;
    for (status, found_here) in tallies.iter() {
        let stored = row.counters.tallies.of(status);
        found.expect(&format!("{} by tier", status.as_str()), stored, found_here);
    }
    rows.each_waiting(sale, &mut |_| {
        found.waiting += 1;
        true
    })?;
    found.tallies = tallies;
    Ok(found)
}

/// Checks that the outbox has exactly one entry for each step of each order, in order, and no gaps
/// but those that were written down. `states` says where each order is, and how far the outbox has
/// told of it.
fn audit_outbox(
    rows: &dyn Rows,
    sale: &SaleId,
    row: &SaleRow,
    states: &mut HashMap<u64, (Status, u64)>,
    found: &mut SaleAudit,
) -> Result<(), StoreError> {
    let gap_after = |seq| row.gaps.iter().find(|gap| gap.after == seq);
    let mut last = row.trimmed_to;
    let mut untold: u64 = states.values().map(|(status, _)| status.steps()).sum();
    rows.each_entry(sale, 0, &mut |entry| {
        let next = gap_after(last).map_or(last, |gap| gap.to) + 1;
        if entry.seq != next {
            found.complain(format!("outbox entry {next} is missing"));
        }
        last = entry.seq;
        let (number, told) = (entry.number, entry.status);
        let Some((status, steps)) = states.get_mut(&number) else {
            found
                .complain(format!("outbox entry {last} tells of order {number}, which is unknown"));
            return true;
        };
        // The beginning of an order's life may have been trimmed; nothing may be left out later on.
        let follows = told.steps() == *steps + 1 || (*steps == 0 && row.trimmed_to > 0);
        if !follows {
            found.complain(format!(
                "outbox entry {last} tells of order {number}, which was told of before or not yet"
            ));
        } else if told.steps() > status.steps()
            || (told.steps() == status.steps() && told != *status)
        {
            found.complain(format!(
                "order {number} is {}, its outbox entry says {}",
                status.as_str(),
                told.as_str()
            ));
        }
        *steps = told.steps();
        untold = untold.saturating_sub(1);
        true
    })?;
    let gone = row.gaps.iter().filter(|gap| gap.to <= row.trimmed_to);
    let trimmed = row.trimmed_to - gone.map(|gap| gap.to - gap.after).sum::<u64>();
    if untold != trimmed {
        // It is not known which of these orders lost their entries by trimming.
        let behind = states.iter().filter(|(_, (status, told))| *told < status.steps());
        for number in behind.map(|(number, _)| number) {
            found.complain(format!("order {number} has no outbox entry for its last step"));
        }
        found.complain(format!("{untold} outbox entries are missing, and {trimmed} were trimmed"));
    }
    let last = gap_after(last).map_or(last, |gap| gap.to);
    found.expect("newest outbox entry", &row.counters.seq, &last);
    Ok(())
}

fn audit_holders(
    rows: &dyn Rows,
    sale: &SaleId,
    mut held: HashMap<MemberId, (u64, Units)>,
    found: &mut SaleAudit,
) -> Result<(), StoreError> {
    rows.each_holder(sale, &mut |(member, Holder { units, .. })| {
        found.holders += u64::from(units.0 > 0);
        let (counted, _) = held.remove(&member).unwrap_or_default();
        found.expect(&format!("units held by {member}"), &u64::from(units.0), &counted);
        true
    })?;
    for (member, (counted, _)) in held {
        found.expect(&format!("units held by {member}"), &0, &counted);
    }
    Ok(())
}

fn audit_stock(
    rows: &dyn Rows,
    sale: &SaleId,
    row: &SaleRow,
    tallies: &Tallies,
    found: &mut SaleAudit,
) -> Result<(), StoreError> {
    let mut stock = u64::from(row.terms.stock.0);
    rows.each_top_up(sale, &mut |top_up| {
        stock += u64::from(top_up.add.0);
        true
    })?;
    found.expect("units in all", &u64::from(row.counters.stock.0), &stock);
    let sold = tallies.held_units();
    if sold > stock {
        found.complain(format!("{sold} units sold of {stock}"));
    }
    found.expect("units left", &u64::from(row.counters.left.0), &stock.saturating_sub(sold));
    Ok(())
}
