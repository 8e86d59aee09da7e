//! The three views after a scenario: what clients were told, what the store holds, what the outbox
//! holds. They are compared here and nowhere else.

use super::shop::{LARGE, Receipt, Receipts, SMALL};
use anyhow::Context;
use engine::rules::order::Status;
use engine::rules::terms::SaleId;
use engine::rules::why::Why;
use engine::store::{OutboxEntry, Reading, Record, SaleAudit};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What may rightly have happened to orders in a scenario.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// A process ended without notice: orders that were only reserved may be gone.
    pub reserved_gone: bool,
    /// Another process took over: orders of the first one may have been released.
    pub released: bool,
    /// The store's history was lost: the outbox may have gaps that are written down.
    pub gaps: bool,
}

/// What the comparison found.
#[derive(Debug, Clone, Default)]
pub struct Views {
    /// Orders that clients were told of.
    pub accepted: u64,
    /// Orders that the store has as confirmed.
    pub confirmed: u64,
    /// Orders that are gone although a client was told that they were confirmed, or although no
    /// crash excuses it.
    pub lost: u64,
    /// Keys with two confirmed orders, orders with two records or entries.
    pub duplicated: u64,
    /// Units sold beyond the stock, and units over a member's limit.
    pub oversold: u64,
    /// One sentence for each of the first ten things that do not fit.
    pub problems: Vec<String>,
}

impl Views {
    fn problem(&mut self, sentence: String) {
        if self.problems.len() < 10 {
            self.problems.push(sentence);
        }
    }

    /// Adds what another comparison found.
    pub fn merge(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.confirmed += other.confirmed;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.oversold += other.oversold;
        self.problems.extend(other.problems);
        self.problems.truncate(10);
    }
}

/// Compares what clients were told with this store, which must be at rest.
///
/// # Errors
/// When the store cannot be read.
pub async fn compare(
    store: &dyn Reading,
    receipts: &Receipts,
    allowed: Allowed,
) -> anyhow::Result<Views> {
    let mut comparison = Comparison::new(receipts, allowed);
    let audit = store.audit().await.context("the audit")?;
    for sale in &audit.sales {
        for difference in &sale.differences {
            comparison.views.problem(format!("{}: {difference}", sale.sale));
        }
    }
    for name in [LARGE, SMALL] {
        let sale: SaleId = name.parse()?;
        // A scenario in a cluster has one sale only.
        if let Some(audited) = audit.sales.iter().find(|audited| audited.sale == sale) {
            let records = store.orders_after(&sale, 0, usize::MAX).await?;
            let outbox = store.outbox_after(&sale, 0, usize::MAX).await?;
            outbox_view(&mut comparison.views, name, &records, &outbox, allowed);
            comparison.records(name, audited, &records);
        }
    }
    Ok(comparison.end())
}

/// The comparison of the receipts with the store, sale by sale.
struct Comparison<'a> {
    views: Views,
    receipts: &'a Receipts,
    allowed: Allowed,
    /// Receipts by order id.
    told: HashMap<&'a str, &'a Receipt>,
    /// Ids of the orders that clients were told of and that the store has.
    found: HashSet<&'a str>,
    /// Confirmed orders that no client was told of.
    strangers: u64,
}

impl<'a> Comparison<'a> {
    fn new(receipts: &'a Receipts, allowed: Allowed) -> Self {
        let mut views = Views { accepted: receipts.orders.len() as u64, ..Views::default() };
        let told: HashMap<_, _> =
            receipts.orders.iter().map(|receipt| (receipt.order_id.as_str(), receipt)).collect();
        if told.len() != receipts.orders.len() {
            views.duplicated += (receipts.orders.len() - told.len()) as u64;
            views.problem("two keys were answered with the same order".into());
        }
        Self { views, receipts, allowed, told, found: HashSet::new(), strangers: 0 }
    }

    /// Compares what the store has of one sale with the receipts, the stock and the limit.
    fn records(&mut self, name: &str, audited: &SaleAudit, records: &[Record]) {
        let mut by_key: HashMap<_, u64> = HashMap::new();
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        let mut sold = 0;
        for record in records {
            let id = record.id(&audited.sale).to_string();
            if record.status == Status::Released {
                // Whether the book has what an order is paid with is known when it is committed.
                let is_books =
                    matches!(record.why, Some(Why::NotEnoughPoints | Why::CouponNotValid));
                if !self.allowed.released && !is_books {
                    let sentence = "was released, and nobody had taken the sale over";
                    self.views.problem(format!("{id} {sentence}"));
                }
                if is_books && let Some((told, receipt)) = self.told.get_key_value(id.as_str()) {
                    self.found.insert(told);
                    if receipt.was_confirmed {
                        self.views.problem(format!("{id} was confirmed and is released"));
                    }
                }
                continue;
            }
            self.views.confirmed += 1;
            if record.status.holds_units() {
                sold += u64::from(record.units.0);
                *held.entry(record.member.as_str()).or_default() += u64::from(record.units.0);
            }
            *by_key.entry((record.member.as_str(), record.key)).or_default() += 1;
            self.receipt(&id, record);
        }
        let twice = by_key.values().filter(|orders| **orders > 1).count();
        if twice > 0 {
            self.views.duplicated += twice as u64;
            self.views.problem(format!("{name}: {twice} keys have two confirmed orders"));
        }
        self.views.oversold += sold.saturating_sub(u64::from(audited.stock.0));
        let limit = limit(name);
        self.views.oversold += held.values().map(|units| units.saturating_sub(limit)).sum::<u64>();
    }

    /// Compares one stored order with what its client was told.
    fn receipt(&mut self, id: &str, record: &Record) {
        let Some(receipt) = self.told.get(id).copied() else {
            self.strangers += 1;
            return;
        };
        self.found.insert(&receipt.order_id);
        // `told` is the last answer: a payment after a cancellation moves the order on once more.
        if let Some(told) = &receipt.told
            && told != record.status.as_str()
        {
            self.views.lost += 1;
            let is = record.status.as_str();
            self.views.problem(format!("{id} was told to be {told} and is {is}"));
        }
        let digest = Sha256::digest(&receipt.key);
        let key = digest.first_chunk().map(|first| u64::from_be_bytes(*first));
        let is_same = receipt.member == record.member.as_str()
            && receipt.units == record.units.0
            && record.key.map(|key| key.0.get()) == key;
        if !is_same {
            self.views.problem(format!("{id} is another order than the client was told of"));
        }
    }

    /// Adds the orders that only a client was told of, and those that only the store has.
    fn end(mut self) -> Views {
        let (strangers, open_ended) = (self.strangers, self.receipts.open_ended);
        if strangers > open_ended {
            self.views.duplicated += strangers - open_ended;
            self.views.problem(format!("{strangers} confirmed orders that no client was told of"));
        }
        let may_be_gone = self.allowed.reserved_gone || self.allowed.released;
        let is_lost = |receipt: &&Receipt| {
            let is_excused = !receipt.was_confirmed && may_be_gone;
            !self.found.contains(receipt.order_id.as_str()) && !is_excused
        };
        let lost: Vec<_> = self.receipts.orders.iter().filter(is_lost).collect();
        self.views.lost += lost.len() as u64;
        for receipt in lost.iter().take(3) {
            let was = if receipt.was_confirmed { "confirmed" } else { "accepted" };
            self.views.problem(format!("{} was {was} and is gone", receipt.order_id));
        }
        self.views
    }
}

/// Returns the most units that a member may hold in this sale of a site.
#[must_use]
pub fn limit(sale: &str) -> u64 {
    if sale == SMALL { 3 } else { 60_000 }
}

/// Checks that the outbox has exactly one entry for each step of each order, and that the last
/// entry has the order's status.
fn outbox_view(
    views: &mut Views,
    sale: &str,
    records: &[Record],
    outbox: &[OutboxEntry],
    allowed: Allowed,
) {
    let mut said: HashMap<u64, Vec<Status>> = HashMap::new();
    for entry in outbox {
        said.entry(entry.number).or_default().push(entry.status);
    }
    for record in records {
        let told = said.remove(&record.number).unwrap_or_default();
        let steps = record.status.steps();
        match told.last() {
            None => {
                views.lost += 1;
                views.problem(format!("{sale}: order {} has no entry", record.number));
            }
            Some(last) if told.len() as u64 == steps && *last == record.status => {}
            Some(_) if told.len() as u64 > steps => {
                views.duplicated += told.len() as u64 - steps;
                let times = told.len();
                views.problem(format!("{sale}: order {} has {times} entries", record.number));
            }
            Some(_) => {
                views.problem(format!("{sale}: entries and order {} differ", record.number));
            }
        }
    }
    if !said.is_empty() {
        views.problem(format!("{sale}: {} entries of orders that are not there", said.len()));
    }
    let is_whole = outbox.iter().zip(1..).all(|(entry, seq)| entry.seq == seq);
    if !is_whole && !allowed.gaps {
        views.problem(format!("{sale}: the outbox has gaps"));
    }
}
