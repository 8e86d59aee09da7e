//! Plan: what is to be sent, and what is noted of the answers, however clicks are sent.

use crate::load::members::Clicker;
use crate::told::tally::{Receipt, Tally};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// What to send, how fast, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers' public addresses; connections are spread over them.
    pub targets: Arc<[SocketAddr]>,
    /// Which sale to click in.
    pub sale: String,
    /// The members who click, in turn.
    pub clickers: Arc<[Clicker]>,
    /// Clicks a second; `None`: each connection clicks again as soon as it is answered.
    pub rate: Option<u64>,
    /// How long clicks are sent.
    pub duration: Duration,
    /// Keep-alive connections.
    pub connections: usize,
    /// Units a click.
    pub units: u32,
    /// Of a hundred clicks, how many wait for their confirmation.
    pub wait_percent: u64,
    /// Whether each click carries an idempotency key of its own.
    pub keyed: bool,
    /// Of a hundred clicks, how many are sent twice; only with `keyed`.
    pub repeated_percent: u64,
    /// Clicks go in batches to the platform listener; `None`: each alone, as its member's.
    pub batches: Option<Batches>,
    /// Where to send the answers that members act on afterwards; `None` if they do not act.
    pub moments: Option<mpsc::UnboundedSender<Moment>>,
    /// Whether to keep a receipt for each accepted click, and count by tier and code.
    pub receipts: bool,
}

impl Plan {
    /// Clicks without a pause for a second, on 64 connections, for one unit each, of which nothing is kept but counts.
    #[must_use]
    pub fn new(target: SocketAddr, sale: &str, clickers: &Arc<[Clicker]>) -> Self {
        Self {
            targets: Arc::new([target]),
            sale: sale.to_owned(),
            clickers: Arc::clone(clickers),
            rate: None,
            duration: Duration::from_secs(1),
            connections: 64,
            units: 1,
            wait_percent: 0,
            keyed: false,
            repeated_percent: 0,
            batches: None,
            moments: None,
            receipts: false,
        }
    }
}

/// Where batches go, and how large they are.
#[derive(Debug, Clone)]
pub struct Batches {
    /// The platform listener.
    pub target: SocketAddr,
    /// `Bearer ...`
    pub authorization: HeaderValue,
    /// Clicks of a batch.
    pub size: u32,
}

/// A click's answer that a member acts on afterwards.
#[derive(Debug, Clone)]
pub enum Moment {
    /// The click became an order.
    Accepted {
        /// The order's id.
        order_id: String,
        /// What is to be paid for it in money.
        due_cents: u64,
        /// Whether it is paid already: nothing was due.
        is_paid: bool,
        /// The member who clicked, as an index into `clickers`.
        clicker: usize,
    },
    /// The sale was sold out.
    SoldOut {
        /// The member who clicked, as an index into `clickers`.
        clicker: usize,
    },
}

/// Counts that other tasks may read while a run goes on.
#[derive(Debug, Default)]
pub struct SoFar {
    /// Clicks answered with an order.
    pub accepted: AtomicU64,
    /// Clicks refused.
    pub refused: AtomicU64,
}

/// One run: its plan, and how far it has come.
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) start: Instant,
    pub(super) total: u64,
    pub(super) next: AtomicU64,
    pub(super) due: Semaphore,
    pub(super) so_far: Arc<SoFar>,
    pub(super) path: String,
    pub(super) body: Bytes,
    /// What members who have an account send in turn: with points, and with points and a coupon.
    pub(super) mixed: [Bytes; 2],
}

impl Run {
    /// When a click is due, if clicks are due at a rate.
    pub(super) fn due_at(&self, i: u64) -> Option<Instant> {
        self.plan.rate.map(|rate| self.start + Duration::from_micros(i * 1_000_000 / rate))
    }

    /// Whose turn it is.
    pub(super) fn turn(&self, i: u64) -> usize {
        usize::try_from(i % self.plan.clickers.len() as u64).expect("an index")
    }

    pub(super) fn clicker(&self, i: u64) -> &Clicker {
        &self.plan.clickers[self.turn(i)]
    }
}

/// Notes a click that became an order: its id, units and status.
pub(super) fn accepted(
    run: &Run,
    tally: &mut Tally,
    clicker: &Clicker,
    due: Instant,
    latency: Duration,
    (order_id, units, status): (&str, u32, &str),
) {
    // Ordering: Relaxed, for the progress bar.
    run.so_far.accepted.fetch_add(1, Ordering::Relaxed);
    let was_confirmed = ["confirmed", "paid"].contains(&status);
    tally.is_last_sold_out = false;
    tally.record(if was_confirmed { "confirmed" } else { "accepted" }, latency);
    count(run, tally, clicker);
    if run.plan.receipts {
        let due_ms = due.duration_since(run.start).as_millis();
        tally.receipts.push(Receipt {
            order_id: order_id.to_owned(),
            member: clicker.member.clone(),
            tier: clicker.tier,
            units,
            was_confirmed,
            due_ms: u64::try_from(due_ms).unwrap_or(u64::MAX),
        });
    }
}

/// Notes a click that was refused with this code.
pub(super) fn refused(
    run: &Run,
    tally: &mut Tally,
    clicker: &Clicker,
    latency: Duration,
    code: &str,
) {
    // Ordering: Relaxed, for the progress bar.
    run.so_far.refused.fetch_add(1, Ordering::Relaxed);
    tally.record(code, latency);
    tally.is_last_sold_out = code == "sold_out";
    count(run, tally, clicker);
    if run.plan.receipts {
        let codes = tally.refused.entry(clicker.tier).or_default();
        *codes.entry(code.to_owned()).or_default() += 1;
    }
}

/// Notes a click that got no answer.
pub(super) fn unanswered(
    run: &Run,
    tally: &mut Tally,
    clicker: &Clicker,
    why: impl FnOnce() -> String,
) {
    count(run, tally, clicker);
    tally.unanswered += 1;
    tally.first_error.get_or_insert_with(why);
}

pub(super) fn count(run: &Run, tally: &mut Tally, clicker: &Clicker) {
    if run.plan.receipts {
        *tally.clicks.entry(clicker.tier).or_default() += 1;
    }
}
