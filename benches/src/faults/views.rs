//! The three views after a scenario: what clients were told, what the store holds, what the outbox
//! holds. They are compared here and nowhere else.

use super::shop::{LARGE, Receipts, SMALL};
use crate::run::redis::RedisServer;
use anyhow::Context;
use engine::rules::order::{OrderId, Status};
use engine::rules::terms::SaleId;
use engine::store::{OutboxEntry, Record, RedisOptions, RedisStore, Store};
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

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Views {
    /// Orders that clients were told of.
    pub accepted: u64,
    /// Orders that the store has as confirmed.
    pub confirmed: u64,
    /// Orders that a client was told of as confirmed, or that no crash excuses, and that are gone.
    pub lost: u64,
    /// Keys with two confirmed orders, orders with two records or entries.
    pub duplicated: u64,
    /// Units sold that there are not, and units over a member's limit.
    pub oversold: u64,
    /// One sentence for each thing that does not fit, the first ten.
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

/// Compares what clients were told with this Redis, which must be at rest.
///
/// # Errors
/// When it cannot be read.
pub async fn compare(
    redis: &RedisServer,
    receipts: &Receipts,
    allowed: Allowed,
) -> anyhow::Result<Views> {
    let (store, _) = RedisStore::connect(&RedisOptions::new(redis.url())).await?;
    let store = Store::from(store);
    let mut views = Views { accepted: receipts.orders.len() as u64, ..Views::default() };
    let audit = store.reading.audit().await.context("the audit")?;
    for sale in &audit.sales {
        for difference in &sale.differences {
            views.problem(format!("{}: {difference}", sale.sale));
        }
    }
    let told: HashMap<&str, usize> =
        receipts.orders.iter().enumerate().map(|(i, r)| (r.order_id.as_str(), i)).collect();
    if told.len() != receipts.orders.len() {
        views.duplicated += (receipts.orders.len() - told.len()) as u64;
        views.problem("two keys were answered with the same order".into());
    }
    let mut found = HashSet::new();
    let mut strangers = 0;
    for name in [LARGE, SMALL] {
        let sale: SaleId = name.parse()?;
        let audited = audit.sales.iter().find(|audited| audited.sale == sale);
        let Some(audited) = audited else {
            // A scenario in a cluster has one sale only.
            continue;
        };
        let records = store.reading.orders_after(&sale, 0, usize::MAX).await?;
        let outbox = store.reading.outbox_after(&sale, 0, usize::MAX).await?;
        outbox_view(&mut views, name, &records, &outbox, allowed);
        let mut by_key: HashMap<_, u64> = HashMap::new();
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        let mut sold = 0;
        for record in &records {
            let id = OrderId { sale: sale.clone(), epoch: record.epoch, number: record.number };
            let id = id.to_string();
            if record.status == Status::Released && !allowed.released {
                views.problem(format!("{id} was released, and nobody had taken the sale over"));
            }
            if record.status == Status::Released {
                continue;
            }
            views.confirmed += 1;
            if record.status.holds_units() {
                sold += u64::from(record.units.0);
                *held.entry(record.member.as_str()).or_default() += u64::from(record.units.0);
            }
            *by_key.entry((record.member.as_str(), record.key)).or_default() += 1;
            let Some(receipt) = told.get(id.as_str()).map(|i| &receipts.orders[*i]) else {
                strangers += 1;
                continue;
            };
            found.insert(receipt.order_id.as_str());
            // A payment after a cancellation moves it on once more.
            if let Some(told) = &receipt.told
                && told != record.status.as_str()
            {
                views.lost += 1;
                let is = record.status.as_str();
                views.problem(format!("{id} was told to be {told} and is {is}"));
            }
            let digest = Sha256::digest(&receipt.key);
            let key = digest.first_chunk().map(|first| u64::from_be_bytes(*first));
            let same = receipt.member == record.member.as_str()
                && receipt.units == record.units.0
                && record.key.map(|key| key.0.get()) == key;
            if !same {
                views.problem(format!("{id} is another order than the client was told of"));
            }
        }
        let twice = by_key.values().filter(|orders| **orders > 1).count();
        if twice > 0 {
            views.duplicated += twice as u64;
            views.problem(format!("{name}: {twice} keys have two confirmed orders"));
        }
        views.oversold += sold.saturating_sub(u64::from(audited.stock.0));
        let limit = limit(name);
        views.oversold += held.values().map(|units| units.saturating_sub(limit)).sum::<u64>();
    }
    if strangers > receipts.open_ended {
        views.duplicated += strangers - receipts.open_ended;
        views.problem(format!("{strangers} confirmed orders that no client was told of"));
    }
    let is_lost = |receipt: &&super::shop::Receipt| {
        let excused = !receipt.was_confirmed && (allowed.reserved_gone || allowed.released);
        !found.contains(receipt.order_id.as_str()) && !excused
    };
    let lost: Vec<_> = receipts.orders.iter().filter(is_lost).collect();
    views.lost += lost.len() as u64;
    for receipt in lost.iter().take(3) {
        let was = if receipt.was_confirmed { "confirmed" } else { "accepted" };
        views.problem(format!("{} was {was} and is gone", receipt.order_id));
    }
    Ok(views)
}

/// Most units of a member, as the sales of a site are made.
#[must_use]
pub fn limit(sale: &str) -> u64 {
    if sale == SMALL { 3 } else { 60_000 }
}

/// Exactly one entry for each step of each order, and the same word at the end of both.
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
