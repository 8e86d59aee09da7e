//! The open loop: clicks are due at a fixed rate whatever the server does, and a late answer counts
//! from when its click was due. So a server that stalls cannot hide behind clicks not sent.

use super::batches;
use super::plan::{Moment, Plan, Run, SoFar, accepted, count, refused, unanswered};
use crate::load::book::{COUPON, SPENT};
use crate::load::members::Clicker;
use crate::run::client::Client;
use crate::told::tally::Tally;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Clicks until the plan is over. Returns when every click has its answer or its error.
pub async fn drive(plan: Plan, so_far: Arc<SoFar>) -> Tally {
    let total = match plan.rate {
        Some(rate) => due_within(rate, plan.duration),
        None => u64::MAX,
    };
    let run = Arc::new(Run {
        path: format!("/v1/sales/{}/orders", plan.sale),
        body: Bytes::from(format!("{{\"units\":{}}}", plan.units)),
        mixed: [
            json!({"units": plan.units, "points": SPENT}),
            json!({
                "units": plan.units, "points": SPENT, "coupon": COUPON,
            }),
        ]
        .map(|body| Bytes::from(body.to_string())),
        start: Instant::now(),
        total,
        next: AtomicU64::new(0),
        due: Semaphore::new(0),
        so_far,
        plan,
    });
    let pacer = run.plan.rate.map(|rate| {
        let run = Arc::clone(&run);
        std::thread::spawn(move || pace(&run, rate))
    });
    let click = |run: Arc<Run>, nth: usize| match run.plan.batches.clone() {
        None => tokio::spawn(click_on(run, nth)),
        Some(batches) => tokio::spawn(batches::click_on(run, batches)),
    };
    let clicking: Vec<_> =
        (0..run.plan.connections).map(|nth| click(Arc::clone(&run), nth)).collect();
    let mut tally = Tally::default();
    for connection in clicking {
        tally.merge(connection.await.expect("a connection's task does not panic"));
    }
    if let Some(pacer) = pacer {
        pacer.join().expect("the pacer does not panic");
    }
    tally
}

/// Returns how many clicks are due once this much time has elapsed.
fn due_within(rate: u64, elapsed: Duration) -> u64 {
    let clicks = elapsed.as_micros() * u128::from(rate) / 1_000_000;
    u64::try_from(clicks).expect("a run of minutes")
}

/// Releases clicks when they are due. It runs on a thread of its own, because tokio's timer knows
/// milliseconds only.
fn pace(run: &Run, rate: u64) {
    let mut released = 0;
    while released < run.total {
        let due = due_within(rate, run.start.elapsed()).min(run.total);
        if due > released {
            run.due.add_permits(usize::try_from(due - released).expect("a tick's clicks"));
            released = due;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // Every connection that waits for another click wakes up and finds that there is none.
    let each = run.plan.batches.as_ref().map_or(1, |batches| batches.size as usize);
    run.due.add_permits(run.plan.connections * each);
}

async fn click_on(run: Arc<Run>, nth: usize) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(run.plan.targets[nth % run.plan.targets.len()]);
    loop {
        if run.plan.rate.is_some() {
            run.due.acquire().await.expect("the pace is never closed").forget();
        } else if run.start.elapsed() >= run.plan.duration {
            return tally;
        }
        // Ordering: Relaxed, each click only has to be taken once.
        let i = run.next.fetch_add(1, Ordering::Relaxed);
        if i >= run.total {
            return tally;
        }
        let due = run.due_at(i).unwrap_or_else(Instant::now);
        let turn = run.turn(i);
        let clicker = &run.plan.clickers[turn];
        let answer = client.send(run.request(i, clicker)).await;
        let order = run.note(&mut tally, clicker, due, answer);
        let is_repeated = run.plan.keyed && i % 100 < run.plan.repeated_percent;
        // Only an order is repeated: a refused click that is sent again is a new click.
        if is_repeated && let Some(order) = &order {
            let again = client.send(run.request(i, clicker)).await;
            tally.note_repeated(&order.id, again);
        }
        run.tell(turn, &tally, order);
    }
}

/// What a member acts on of an order.
struct Accepted {
    id: String,
    due_cents: u64,
    is_paid: bool,
}

#[derive(Deserialize)]
struct OrderAnswer<'a> {
    order_id: &'a str,
    units: u32,
    status: &'a str,
    due_cents: u64,
}

#[derive(Deserialize)]
struct Refused<'a> {
    code: &'a str,
}

impl Run {
    fn request(&self, i: u64, clicker: &Clicker) -> Request<Full<Bytes>> {
        let mut request = Request::post(&self.path)
            .header(header::HOST, "flashlane")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &clicker.authorization);
        if i % 100 < self.plan.wait_percent {
            request = request.header("prefer", "wait=10");
        }
        if self.plan.keyed {
            request = request.header("idempotency-key", format!("load-{i}"));
        }
        let body = match (clicker.is_enrolled, i % 3) {
            (true, 0) => &self.mixed[1],
            (true, 1) => &self.mixed[0],
            _ => &self.body,
        };
        request.body(Full::new(body.clone())).expect("a plain request")
    }

    fn note(
        &self,
        tally: &mut Tally,
        clicker: &Clicker,
        due: Instant,
        answer: anyhow::Result<(StatusCode, Bytes)>,
    ) -> Option<Accepted> {
        let latency = due.elapsed();
        tally.is_last_sold_out = false;
        match answer {
            Ok((StatusCode::ACCEPTED | StatusCode::CREATED, body)) => {
                let order: Result<OrderAnswer<'_>, _> = serde_json::from_slice(&body);
                let Ok(order) = order else {
                    count(self, tally, clicker);
                    tally.record("unreadable", latency);
                    return None;
                };
                let told = (order.order_id, order.units, order.status);
                accepted(self, tally, clicker, due, latency, told);
                let goes_on = self.plan.moments.is_some() || self.plan.repeated_percent > 0;
                let (id, due_cents) = (order.order_id.to_owned(), order.due_cents);
                let is_paid = order.status == "paid";
                return goes_on.then_some(Accepted { id, due_cents, is_paid });
            }
            Ok((status, body)) => {
                let told: Result<Refused<'_>, _> = serde_json::from_slice(&body);
                let code = told.map_or_else(|_| format!("http {status}"), |r| r.code.to_owned());
                refused(self, tally, clicker, latency, &code);
            }
            Err(error) => unanswered(self, tally, clicker, || format!("{error:#}")),
        }
        None
    }

    /// Sends the answer to the task that acts on it afterwards.
    fn tell(&self, clicker: usize, tally: &Tally, order: Option<Accepted>) {
        let Some(moments) = &self.plan.moments else { return };
        let moment = match order {
            Some(Accepted { id, due_cents, is_paid }) => {
                Moment::Accepted { order_id: id, due_cents, is_paid, clicker }
            }
            None if tally.is_last_sold_out => Moment::SoldOut { clicker },
            None => return,
        };
        // An error means that no task acts on answers any more.
        moments.send(moment).ok();
    }
}
