//! `GET /v1/outbox`: every change of every order, and what members should hear of, for systems that pull.

use crate::answer::account::NoticeView;
use crate::answer::cursor;
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, Unauthenticated};
use crate::answer::view::{OrderView, Time};
use crate::answer::words;
use crate::ask::request::InQuery;
use crate::member::health::Leaving;
use axum::Json;
use axum::extract::State;
use engine::clock::Stopwatch;
use engine::rules::money::Refund;
use engine::rules::order::Status;
use engine::store::{NoticeEntry, OutboxEntry};
use engine::{ChangeSource, Cursor, Engine, Told};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// About so many changes are on a page.
const PAGE: usize = 1_000;
/// The longest that a call may wait for a change, in seconds.
const WAIT_MAX_S: u64 = 30;
/// While it waits, it looks this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From where on, and how patiently.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    after: Option<String>,
    #[serde(default)]
    wait: u64,
}

/// Changes, and where to read on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesView {
    /// Those of one source in their order.
    changes: Vec<ChangeView>,
    /// The `after` of the next call.
    cursor: String,
}

/// One change, or a gap.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ChangeView {
    Change(Box<Changed>),
    Notice(NoticeOf),
    Gap(GapOf),
}

/// What a member should hear of, by the platform's own channels.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "source": "members/0417", "seq": 3, "at": "2026-01-01T12:00:03.120Z", "member": "ann",
    "notice": {"kind": "tier_reached", "tier": "silver"},
})))]
struct NoticeOf {
    /// `members/` and the bucket that the member is in.
    source: String,
    /// From 1, without gaps in its source but for those that are told.
    seq: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    member: String,
    notice: NoticeView,
}

/// What became of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "source": "sale/lamp", "seq": 17, "status": "paid", "at": "2026-01-01T12:00:03.120Z",
})))]
struct Changed {
    /// `sale/` and the sale's id.
    source: String,
    /// From 1, without gaps in its source but for those that are told.
    seq: u64,
    /// What it became with this change.
    #[schema(value_type = words::OrderStatus)]
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Money that went back with this change; with a part of the money the status stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<RefundView>,
    /// The order as it is now; later changes are in it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderView>,
}

/// Money that went back.
#[derive(Debug, Serialize, ToSchema)]
struct RefundView {
    refund_id: String,
    amount_cents: u64,
}

/// Changes that there are no more, because they are older than `--outbox-keep`, or because the store has
/// lost them. The sale's orders tell what is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"source": "sale/lamp", "gap": {"from": 3, "to": 9}})))]
struct GapOf {
    source: String,
    gap: Gap,
}

/// From the first change that is missing to the last.
#[derive(Debug, Serialize, ToSchema)]
struct Gap {
    from: u64,
    to: u64,
}

/// Returns every change of every order and what members should hear of, about 1,000 on a page, each at
/// least once.
///
/// A change may come again: `source` and `seq` name it. Keep `cursor` once the page is taken in, and call
/// with it as `after`. With `wait=S`, 1 to 30 s, an answer without changes comes only after S seconds.
#[utoipa::path(
    get, path = "/v1/outbox", operation_id = "readOutbox", tag = "platform",
    params(
        ("after" = Option<String>, Query, description = "the `cursor` of the page before; from the beginning without it"),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 30, description = "seconds to wait for a change"),
    ),
    responses(
        (status = 200, description = "a page of changes, perhaps none", body = ChangesView),
        BadRequest, Unauthenticated, Busy,
    ),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    State(leaving): State<Arc<Leaving>>,
    InQuery(Wanted { after, wait }): InQuery<Wanted>,
) -> Result<Json<ChangesView>, ApiError> {
    let bad = || ApiError::BadRequest("after: this is no cursor of the outbox".into());
    let after =
        after.map_or(Some(Cursor::default()), |word| cursor::read(&word)).ok_or_else(bad)?;
    if wait > WAIT_MAX_S {
        return Err(ApiError::BadRequest(format!("wait: 0 to {WAIT_MAX_S} seconds")));
    }
    let (watch, patience) = (Stopwatch::start(), Duration::from_secs(wait));
    let (mut told, mut cursor) = (Vec::new(), after);
    while told.is_empty() {
        let steps = engine.steps_told();
        (told, cursor) = engine.outbox(&cursor, PAGE).await?;
        if told.is_empty() && !news(&engine, &leaving, steps, &watch, patience).await {
            break;
        }
    }
    let mut changes = Vec::with_capacity(told.len());
    for told in told {
        changes.push(match told {
            Told::Gap { source, from, to } => {
                let (source, gap) = (source.to_string(), Gap { from, to });
                ChangeView::Gap(GapOf { source, gap })
            }
            Told::Notice(member, bucket, NoticeEntry { seq, at, notice, .. }) => {
                let source = ChangeSource::Members(bucket).to_string();
                let (member, notice) = (member.to_string(), NoticeView::of(notice));
                ChangeView::Notice(NoticeOf { source, seq, at: Time(at), member, notice })
            }
            Told::Change(open, OutboxEntry { seq, number, status, at, refund }) => {
                let found = engine.order_numbered(&open, number).await?;
                let refund = refund.map(|Refund { id, amount }| RefundView {
                    refund_id: id.to_string(),
                    amount_cents: amount.0,
                });
                ChangeView::Change(Box::new(Changed {
                    source: ChangeSource::Sale(open.sale.terms().id.clone()).to_string(),
                    seq,
                    status,
                    at: Time(at),
                    refund,
                    order: found.map(|found| OrderView::found(&engine, &open, &found)),
                }))
            }
        });
    }
    Ok(Json(ChangesView { changes, cursor: cursor::write(&cursor) }))
}

/// Waits until there is something new; false if `patience` is over, or this process stops.
async fn news(
    engine: &Engine,
    leaving: &Leaving,
    steps: u64,
    watch: &Stopwatch,
    patience: Duration,
) -> bool {
    while watch.elapsed() < patience && !leaving.is_noted() {
        if engine.steps_told() != steps {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}
