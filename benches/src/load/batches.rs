//! Batches: clicks that a server of the platform gathers and sends together. Each is answered as if it had come
//! alone.

use super::plan::{Batches, Run, accepted, refused, unanswered};
use crate::run::client::Client;
use crate::told::tally::Tally;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use serde::Deserialize;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    answers: Vec<Answer<'a>>,
}

/// An order, or a refusal by its code.
#[derive(Deserialize)]
struct Answer<'a> {
    order_id: Option<&'a str>,
    status: Option<&'a str>,
    code: Option<&'a str>,
}

/// Sends batches on one connection, each when all of its clicks are due, until the plan is over.
pub(super) async fn click_on(run: Arc<Run>, batches: Batches) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(batches.target);
    let path = format!("/v1/sales/{}/clicks", run.plan.sale);
    let size = u64::from(batches.size);
    let mut body = String::new();
    loop {
        if run.plan.rate.is_some() {
            run.due.acquire_many(batches.size).await.expect("the pace is never closed").forget();
        } else if run.start.elapsed() >= run.plan.duration {
            return tally;
        }
        // Ordering: Relaxed, each click only has to be taken once.
        let first = run.next.fetch_add(size, Ordering::Relaxed);
        let clicks = first..run.total.min(first.saturating_add(size));
        if clicks.is_empty() {
            return tally;
        }
        write(&run, clicks.clone(), &mut body);
        let request = Request::post(&path)
            .header(header::HOST, "flashlane")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &batches.authorization)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        let sent = Instant::now();
        let answer = client.send(request.expect("a plain request")).await;
        let answered = Instant::now();
        let told = match &answer {
            Ok((StatusCode::OK, body)) => serde_json::from_slice(body).ok(),
            _ => None,
        };
        let Some(Answers { answers }) = told else {
            let said = answer.map(|(status, body)| format!("{status} {}", body.escape_ascii()));
            for i in clicks {
                unanswered(&run, &mut tally, run.clicker(i), || format!("{said:?}"));
            }
            continue;
        };
        for (i, answer) in clicks.zip(answers) {
            let clicker = run.clicker(i);
            let due = run.due_at(i).unwrap_or(sent);
            let latency = answered.duration_since(due);
            match answer {
                Answer { order_id: Some(id), status: Some(status), .. } => {
                    let units = run.plan.units;
                    accepted(&run, &mut tally, clicker, due, latency, (id, units, status));
                }
                Answer { code, .. } => {
                    refused(&run, &mut tally, clicker, latency, code.unwrap_or("unreadable"));
                }
            }
        }
    }
}

/// Writes the body of a batch.
fn write(run: &Run, clicks: std::ops::Range<u64>, body: &mut String) {
    body.clear();
    body.push_str("{\"clicks\":[");
    for i in clicks {
        let (clicker, units) = (run.clicker(i), run.plan.units);
        let (member, tier) = (&clicker.member, clicker.tier.as_str());
        let comma = if body.ends_with('[') { "" } else { "," };
        write!(body, "{comma}{{\"member\":\"{member}\",\"tier\":\"{tier}\",\"units\":{units}")
            .expect("a text grows");
        if run.plan.keyed {
            write!(body, ",\"key\":\"load-{i}\"").expect("a text grows");
        }
        body.push('}');
    }
    body.push_str("]}");
}
