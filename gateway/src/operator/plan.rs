//! The membership plan for operators: what holds, another one, and what another one would have given.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, BadPlan, Busy, NotPermitted, Unauthenticated};
use crate::answer::view::Time;
use crate::answer::words;
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::request;
use axum::extract::{Request, State};
use axum::{Extension, Json};
use engine::Engine;
use engine::members::{CurrentPlan, DryRun, NotPlan};
use engine::rules::time::Millis;
use membership::Tier;
use membership::plan::Plan;
use membership::posting::Kind;
use membership::replay::Given;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Most bytes of a plan.
const PLAN_BYTES_MAX: usize = 256 << 10;
/// Lines are kept for 13 months.
const DAYS_MAX: u16 = 395;
const DAY_MS: u64 = 86_400_000;

/// The membership plan that holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// From 1; 0 for the one inside, which holds until there is another.
    version: u32,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// As it is sent.
    #[schema(value_type = Object)]
    plan: Plan,
}

impl PlanView {
    fn of(current: &CurrentPlan) -> Json<Self> {
        let CurrentPlan { version, at, plan } = current.clone();
        Json(Self { version, at: Time(at), plan })
    }
}

/// Returns the membership plan that holds.
#[utoipa::path(
    get, path = "/v1/plan", operation_id = "readPlan", tag = "membership",
    responses((status = 200, description = "the newest version", body = PlanView), Unauthenticated),
)]
pub(crate) async fn read(State(engine): State<Arc<Engine>>) -> Json<PlanView> {
    std::future::ready(PlanView::of(&engine.book().plans.current())).await
}

/// Lets another membership plan hold from now on; it needs an admin's key. One that is the same gets no
/// new version.
#[utoipa::path(
    put, path = "/v1/plan", operation_id = "changePlan", tag = "membership",
    request_body(content = Object, description = "a whole plan"),
    responses((status = 200, description = "the plan with its version", body = PlanView), BadBody, BadPlan, Unauthenticated, NotPermitted, Busy),
)]
pub(crate) async fn change(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    request: Request,
) -> Result<Json<PlanView>, ApiError> {
    must_be(&caller, Role::Admin)?;
    let bytes = request::bytes_up_to(request.into_body(), PLAN_BYTES_MAX).await?;
    let plan: Plan = request::parse(&bytes)?;
    let before = json!({"version": engine.book().plans.current().version});
    let action = Action { action: "change_plan", before, ..Action::default() };
    let changing = Arc::clone(&engine);
    let change = async move { changing.book().plans.change(plan).await };
    let told = |current: &Arc<CurrentPlan>| -> Value { json!({"version": current.version}) };
    let current = audited.carry_out(action, change, told).await?;
    Ok(PlanView::of(&current))
}

/// Another plan, and how far back to look.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DryRunBody {
    /// A whole plan.
    #[schema(value_type = Object)]
    plan: Plan,
    #[schema(minimum = 1, maximum = 395)]
    days: u16,
}

/// What the last days gave, and what they would have given under another plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "since": "2026-01-01T12:00:00.000Z", "members": 2,
    "rules": [{"rule": "order", "given": {"growth": 300, "points": 300}, "would": {"growth": 300, "points": 600}}],
    "tiers": [{"tier": "regular", "members": 2, "would": 2}],
})))]
pub(crate) struct DryRunView {
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    members: u64,
    rules: Vec<RuleView>,
    tiers: Vec<TierCountView>,
}

/// What a rule gave, less what it took back.
#[derive(Debug, Serialize, ToSchema)]
struct RuleView {
    #[schema(value_type = words::PostingKind)]
    rule: Kind,
    given: GivenView,
    would: GivenView,
}

/// Growth and points.
#[derive(Debug, Serialize, ToSchema)]
struct GivenView {
    growth: i64,
    points: i64,
}

/// Members by the tier that their growth reaches.
#[derive(Debug, Serialize, ToSchema)]
struct TierCountView {
    #[schema(value_type = words::Tier)]
    tier: Tier,
    members: u64,
    /// Under the other plan.
    would: u64,
}

impl From<Given> for GivenView {
    fn from(Given { growth, points }: Given) -> Self {
        Self { growth, points }
    }
}

impl DryRunView {
    fn of(run: DryRun) -> Self {
        let rule = |(rule, (given, would)): (Kind, (Given, Given))| RuleView {
            rule,
            given: given.into(),
            would: would.into(),
        };
        let tier = |(tier, (members, would)): (Tier, &(u64, u64))| TierCountView {
            tier,
            members: *members,
            would: *would,
        };
        Self {
            since: Time(run.since),
            members: run.members,
            rules: run.rules.into_iter().map(rule).collect(),
            tiers: run.tiers.iter().map(tier).collect(),
        }
    }
}

/// Tells what the last days would have given under another plan, 1 to 395 days. Nothing changes.
///
/// Budgets are left out. A member's tier is the one that their growth reaches. It reads every account.
#[utoipa::path(
    post, path = "/v1/plan/dry-run", operation_id = "tryPlan", tag = "membership",
    request_body = DryRunBody,
    responses((status = 200, description = "both beside each other", body = DryRunView), BadBody, BadPlan, Unauthenticated, NotPermitted, Busy),
)]
pub(crate) async fn dry_run(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<DryRunView>, ApiError> {
    must_be(&caller, Role::Operator)?;
    let bytes = request::bytes_up_to(request.into_body(), PLAN_BYTES_MAX).await?;
    let DryRunBody { plan, days } = request::parse(&bytes)?;
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(ApiError::BadRequest(format!("days: 1 to {DAYS_MAX}")));
    }
    let faults = plan.check();
    if !faults.is_empty() {
        return Err(NotPlan::Wrong(faults).into());
    }
    let since = Millis(engine.now().0.saturating_sub(u64::from(days) * DAY_MS));
    let run = engine.book().dry_run(&plan, since).await?;
    Ok(Json(DryRunView::of(run)))
}
