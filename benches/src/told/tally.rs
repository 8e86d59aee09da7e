//! What came back: latencies by outcome, and a receipt for every accepted click.

use hdrhistogram::Histogram;
use hyper::StatusCode;
use hyper::body::Bytes;
use membership::Tier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A click that was answered with an order.
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// The order's id.
    pub order_id: String,
    /// The member whose order it is.
    pub member: String,
    /// The member's tier.
    pub tier: Tier,
    /// The order's units.
    pub units: u32,
    /// Whether the answer said `confirmed`.
    pub was_confirmed: bool,
    /// When the click was due, in milliseconds from the start.
    pub due_ms: u64,
}

/// The answers of one run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Latency in microseconds by outcome: `accepted`, `confirmed`, or a refusal's code.
    pub latencies: BTreeMap<String, Latency>,
    /// One receipt for each accepted click.
    pub receipts: Vec<Receipt>,
    /// Clicks that got no answer: they may have been accepted.
    pub unanswered: u64,
    /// The error that the first of these unanswered clicks met.
    pub first_error: Option<String>,
    /// Accepted clicks that were sent twice.
    pub repeated: u64,
    /// What was wrong with the answers to the repeated clicks.
    pub repeated_wrong: Vec<String>,
    /// Whether the last click of this connection was told `sold_out`.
    pub is_last_sold_out: bool,
    /// Clicks by tier.
    pub clicks: BTreeMap<Tier, u64>,
    /// Refused clicks by tier and code.
    pub refused: BTreeMap<Tier, BTreeMap<String, u64>>,
}

/// Latencies of one outcome, in microseconds, from when the click was due.
#[derive(Debug, Clone)]
pub struct Latency(pub Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).expect("the bounds are in range"))
    }
}

/// The percentiles that are reported, with their names.
pub const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

impl Latency {
    /// Returns the number of clicks, and the reported percentiles in microseconds.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let value = |p| self.0.value_at_percentile(p);
        Summary {
            count: self.0.len(),
            us: PERCENTILES.map(|(name, p)| (name.to_owned(), value(p))).into(),
        }
    }
}

/// Percentiles of one outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// How many clicks had this outcome.
    pub count: u64,
    /// Latency from when the click was due, in microseconds, by percentile.
    pub us: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one outcome.
    pub fn record(&mut self, outcome: &str, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        match self.latencies.get_mut(outcome) {
            Some(latency) => latency.0.saturating_record(us),
            None => {
                let mut latency = Latency::default();
                latency.0.saturating_record(us);
                self.latencies.insert(outcome.to_owned(), latency);
            }
        }
    }

    /// Notes the answer to an accepted click that was sent again: it must be the same order.
    pub fn note_repeated(&mut self, order: &str, again: anyhow::Result<(StatusCode, Bytes)>) {
        #[derive(Deserialize)]
        struct Order {
            order_id: String,
        }
        self.repeated += 1;
        let again = again.ok().and_then(|(_, body)| serde_json::from_slice::<Order>(&body).ok());
        let again = again.map(|order| order.order_id);
        if again.as_deref() != Some(order) {
            self.repeated_wrong.push(format!("{order}, repeated {again:?}"));
        }
    }

    /// Adds the answers of another connection.
    pub fn merge(&mut self, other: Self) {
        for (outcome, latency) in other.latencies {
            let sum = self.latencies.entry(outcome).or_default();
            sum.0.add(latency.0).expect("the same bounds everywhere");
        }
        self.receipts.extend(other.receipts);
        self.unanswered += other.unanswered;
        self.repeated += other.repeated;
        self.repeated_wrong.extend(other.repeated_wrong);
        self.first_error = self.first_error.take().or(other.first_error);
        for (tier, clicks) in other.clicks {
            *self.clicks.entry(tier).or_default() += clicks;
        }
        for (tier, codes) in other.refused {
            for (code, clicks) in codes {
                *self.refused.entry(tier).or_default().entry(code).or_default() += clicks;
            }
        }
    }

    /// Returns the refused clicks of all tiers, by code.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        let mut codes = BTreeMap::new();
        for (code, clicks) in self.refused.values().flatten() {
            *codes.entry(code.clone()).or_default() += clicks;
        }
        codes
    }
}
