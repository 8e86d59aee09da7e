//! The audit: adds every order in a store up again and says what does not fit.

use super::StoreError;
use super::ledger::{Holder, Rows, SaleRow};
use crate::meter::Tally;
use crate::order::Status;
use crate::stock::Units;
use crate::terms::SaleId;
use membership::{MemberId, PerTier};
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
    /// Confirmed orders, from their records.
    pub confirmed: Tally,
    /// Released orders, from their records.
    pub released: Tally,
    /// Members who hold something.
    pub holders: u64,
    /// The outbox begins after this entry; those up to it were trimmed.
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

    /// A sale of which nothing can be said but this.
    pub(super) fn unreadable(sale: &SaleId, why: String) -> Self {
        Self {
            sale: sale.clone(),
            stock: Units(0),
            left: Units(0),
            confirmed: Tally::default(),
            released: Tally::default(),
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

pub(super) fn audit(rows: &impl Rows) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    for sale in rows.sales()? {
        let row = rows.sale(&sale)?.ok_or(StoreError::UnknownSale)?;
        audit.sales.push(audit_sale(rows, &sale, &row)?);
    }
    Ok(audit)
}

fn audit_sale(rows: &impl Rows, sale: &SaleId, row: &SaleRow) -> Result<SaleAudit, StoreError> {
    let mut found = SaleAudit {
        sale: sale.clone(),
        stock: row.stock,
        left: row.left,
        confirmed: Tally::default(),
        released: Tally::default(),
        holders: 0,
        trimmed_to: row.trimmed_to,
        differences: Vec::new(),
    };
    let mut confirmed = PerTier::<Tally>::default();
    let mut released = PerTier::<Tally>::default();
    // Units and the highest limit so far: a member's tier may have changed between orders.
    let mut held: HashMap<MemberId, (u64, Units)> = HashMap::new();
    let mut states: HashMap<u64, Status> = HashMap::new();
    rows.each_order(sale, 0, &mut |record| {
        let number = record.number;
        states.insert(number, record.status);
        match record.status {
            Status::Confirmed => {
                confirmed[record.tier].add(record.units);
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
            Status::Released => released[record.tier].add(record.units),
            Status::Reserved => found.complain(format!("order {number} is stored undecided")),
        }
        if row.terms.windows.enter(record.tier, record.reserved_at).is_err() {
            found.complain(format!("order {number} came before the window of its tier"));
        }
        if row.terms.windows.is_over(record.reserved_at) {
            found.complain(format!("order {number} came after the close"));
        }
        if record.epoch > row.epoch || number >= row.next_number {
            found.complain(format!("order {number} is ahead of its sale"));
        }
        true
    })?;
    audit_outbox(rows, sale, row, &mut states, &mut found)?;
    audit_holders(rows, sale, held, &mut found)?;
    audit_stock(rows, sale, row, &confirmed, &mut found)?;
    found.expect("confirmed by tier", &row.confirmed, &confirmed);
    found.expect("released by tier", &row.released, &released);
    confirmed.0.into_iter().for_each(|tally| found.confirmed += tally);
    released.0.into_iter().for_each(|tally| found.released += tally);
    Ok(found)
}

/// Exactly one entry for each order, without gaps but those that were written down.
fn audit_outbox(
    rows: &impl Rows,
    sale: &SaleId,
    row: &SaleRow,
    states: &mut HashMap<u64, Status>,
    found: &mut SaleAudit,
) -> Result<(), StoreError> {
    let gap_after = |seq| row.gaps.iter().find(|gap| gap.after == seq);
    let mut last = row.trimmed_to;
    rows.each_entry(sale, 0, &mut |entry| {
        let next = gap_after(last).map_or(last, |gap| gap.to) + 1;
        if entry.seq != next {
            found.complain(format!("outbox entry {next} is missing"));
        }
        last = entry.seq;
        let number = entry.number;
        match states.remove(&number) {
            Some(status) if status == entry.status => {}
            Some(status) => found.complain(format!(
                "order {number} is {}, its outbox entry says {}",
                status.as_str(),
                entry.status.as_str()
            )),
            None => found.complain(format!(
                "outbox entry {last} tells of order {number}, which is unknown or was told of before"
            )),
        }
        true
    })?;
    let gone = row.gaps.iter().filter(|gap| gap.to <= row.trimmed_to);
    let trimmed = row.trimmed_to - gone.map(|gap| gap.to - gap.after).sum::<u64>();
    if states.len() as u64 != trimmed {
        // Which of them lost theirs by trimming is not known.
        for number in states.keys() {
            found.complain(format!("order {number} has no outbox entry"));
        }
    }
    found.expect("newest outbox entry", &row.seq, &last);
    Ok(())
}

fn audit_holders(
    rows: &impl Rows,
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
    rows: &impl Rows,
    sale: &SaleId,
    row: &SaleRow,
    confirmed: &PerTier<Tally>,
    found: &mut SaleAudit,
) -> Result<(), StoreError> {
    let mut stock = u64::from(row.terms.stock.0);
    rows.each_top_up(sale, &mut |top_up| {
        stock += u64::from(top_up.add.0);
        true
    })?;
    found.expect("units in all", &u64::from(row.stock.0), &stock);
    let sold: u64 = confirmed.iter().map(|(_, tally)| tally.units).sum();
    if sold > stock {
        found.complain(format!("{sold} units sold of {stock}"));
    }
    found.expect("units left", &u64::from(row.left.0), &stock.saturating_sub(sold));
    Ok(())
}
