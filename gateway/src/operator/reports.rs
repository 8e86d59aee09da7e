//! Reports on the members' book: what is owed, what became of benefits, and whether it adds up.

use crate::answer::error::ApiError;
use crate::answer::problems::{Busy, Unauthenticated};
use crate::answer::view::Time;
use crate::answer::words;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use engine::rules::time::Millis;
use engine::store::BenefitCount;
use membership::Tier;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Points that members could still spend.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "members": 2, "points": 1500, "cents": 1500, "pending": 20, "deficit": 0,
    "expiring": [{"at": "2027-01-31T16:00:00.000Z", "points": 1500, "cents": 1500}],
})))]
pub(crate) struct LiabilityView {
    members: u64,
    points: u64,
    /// What they are worth, in the currency's minor unit.
    cents: u64,
    /// Of orders that are not paid yet.
    pending: u64,
    /// What was taken back and was not there any more.
    deficit: u64,
    /// By the end of the month in which they expire.
    expiring: Vec<OwedView>,
}

/// Points that expire at once.
#[derive(Debug, Serialize, ToSchema)]
struct OwedView {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    points: u64,
    cents: u64,
}

/// Returns the points that members could still spend, by their expiry; with `Accept: text/csv` as a table.
/// It reads every account.
#[utoipa::path(
    get, path = "/v1/reports/liability", operation_id = "reportLiability", tag = "membership",
    responses((status = 200, description = "as of now", content((LiabilityView = "application/json"), (String = "text/csv"))), Unauthenticated, Busy),
)]
pub(crate) async fn liability(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let liability = engine.book().liability().await?;
    let current = engine.book().plans.current();
    let (minor, per_unit) = (current.plan.money.minor, current.plan.points.per_unit);
    let cents = |points: u64| {
        let cents = u128::from(points) * u128::from(minor) / u128::from(per_unit);
        u64::try_from(cents).unwrap_or(u64::MAX)
    };
    let expiring = |(at, points): (&Millis, &u64)| OwedView {
        at: Time(*at),
        points: *points,
        cents: cents(*points),
    };
    let points = liability.points.values().sum();
    let view = LiabilityView {
        members: liability.members,
        points,
        cents: cents(points),
        pending: liability.pending,
        deficit: liability.deficit,
        expiring: liability.points.iter().map(expiring).collect(),
    };
    if !wants_csv(&headers) {
        return Ok(Json(view).into_response());
    }
    let mut table = String::from("expires_at,points,cents\r\n");
    for OwedView { at, points, cents } in &view.expiring {
        table.push_str(&format!("{},{points},{cents}\r\n", at));
    }
    Ok(csv(table))
}

/// What became of the benefits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"benefits": [
    {"benefit": "birthday_gift", "from": "gold", "granted": 40, "seen": 30, "used": 10, "uses": 12, "usage": 0.25},
]})))]
pub(crate) struct BenefitsView {
    benefits: Vec<BenefitView>,
}

/// What became of a benefit. It is granted anew when a member comes to its tier again.
#[derive(Debug, Serialize, ToSchema)]
struct BenefitView {
    /// By its id in the plan.
    benefit: String,
    /// The lowest tier that has it; absent for one that is not in the plan any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Tier>, required = false)]
    from: Option<Tier>,
    /// How often it was granted.
    granted: u64,
    /// How many of those were shown to the member.
    seen: u64,
    /// How many of those the member used.
    used: u64,
    /// How often members used it in all.
    uses: u64,
    /// `used` of `granted`, 0 to 1.
    usage: f64,
}

/// Returns how often each benefit was granted, seen and used; with `Accept: text/csv` as a table.
#[utoipa::path(
    get, path = "/v1/reports/benefits", operation_id = "reportBenefits", tag = "membership",
    responses((status = 200, description = "as of now", content((BenefitsView = "application/json"), (String = "text/csv"))), Unauthenticated, Busy),
)]
pub(crate) async fn benefits(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut counts = engine.book().benefits().await?;
    let current = engine.book().plans.current();
    // A benefit that nobody has yet is in the report, too.
    for id in current.plan.benefits.keys() {
        counts.entry(id.clone()).or_default();
    }
    let view = |(benefit, count): (String, BenefitCount)| BenefitView {
        from: current.plan.benefits.get(&benefit).copied(),
        granted: count.granted,
        seen: count.seen,
        used: count.used,
        uses: count.uses,
        usage: count.used as f64 / count.granted.max(1) as f64,
        benefit,
    };
    let benefits: Vec<_> = counts.into_iter().map(view).collect();
    if !wants_csv(&headers) {
        return Ok(Json(BenefitsView { benefits }).into_response());
    }
    let mut table = String::from("benefit,from,granted,seen,used,uses,usage\r\n");
    for BenefitView { benefit, from, granted, seen, used, uses, usage } in &benefits {
        let from = from.map(|tier| tier.to_string()).unwrap_or_default();
        table.push_str(&format!("{benefit},{from},{granted},{seen},{used},{uses},{usage:.4}\r\n"));
    }
    Ok(csv(table))
}

fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/csv"))
}

fn csv(table: String) -> Response {
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], table).into_response()
}

/// Whether the book adds up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"members": 2, "postings": 17, "behind": 0, "differences": []})))]
pub(crate) struct ConsistencyView {
    members: u64,
    postings: u64,
    /// Changes of orders in open sales that the book has not taken in yet.
    behind: u64,
    /// What does not fit, a sentence each; the first hundred.
    differences: Vec<String>,
}

/// Adds the whole book up again: every balance is the sum of its postings, each source counts once, and
/// all accounts come to 0. It reads every posting.
#[utoipa::path(
    get, path = "/v1/reports/consistency", operation_id = "reportConsistency", tag = "membership",
    responses((status = 200, description = "as of now", body = ConsistencyView), Unauthenticated, Busy),
)]
pub(crate) async fn consistency(
    State(engine): State<Arc<Engine>>,
) -> Result<Json<ConsistencyView>, ApiError> {
    let (audit, behind) = (engine.book().audit().await?, engine.book_behind().await?);
    let (members, postings, differences) = (audit.members, audit.postings, audit.differences);
    Ok(Json(ConsistencyView { members, postings, behind, differences }))
}
