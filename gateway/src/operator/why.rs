//! `GET /v1/sales/{sale}/why/{member}`: why a member did not get it, for support.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, NotPermitted, Unauthenticated, UnknownSale};
use crate::answer::refusals::code;
use crate::answer::view::{OrderView, Time};
use crate::answer::words;
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::request::member_id;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use engine::rules::seat::Seat;
use engine::rules::units::Units;
use engine::store::Who;
use engine::{Engine, OpenSale};
use membership::{MemberId, Tier};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most orders and most refusals that are shown, the newest ones.
const SHOWN_MAX: usize = 100;

/// What became of a member's clicks in a sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "member": "ann", "tier": "gold", "opens_at": "2026-01-01T12:00:00.000Z", "limit": 1, "held": 0,
    "blocked": false, "in_audience": true, "orders": [],
    "refusals": [{"at": "2026-01-01T12:00:00.312Z", "code": "sold_out", "left": 0}],
    "kept_since": "2026-01-01T11:59:58.001Z", "server_time": "2026-01-01T13:00:00.000Z",
})))]
pub(crate) struct WhyView {
    member: String,
    /// The book's word; absent for a member who is not enrolled, whose tier the platform says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Tier>)]
    tier: Option<Tier>,
    /// When the window of that tier opens; absent if the tier may not buy, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    opens_at: Option<Time>,
    /// Most units of that tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    held: u32,
    blocked: bool,
    /// Whether the sale is there for the member; absent if the tier is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_audience: Option<bool>,
    /// The member's orders, newest first, at most 100.
    orders: Vec<OrderView>,
    /// Their refusals that are still kept, newest first, at most 100. Of a kind that comes too fast, only some
    /// are kept.
    refusals: Vec<RefusalView>,
    /// The oldest refusal, of whomever, that is kept since this process opened the sale; absent if there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    kept_since: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    server_time: Time,
}

/// One click that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalView {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(value_type = words::Code)]
    code: &'static str,
    /// Units that nobody held then.
    left: u32,
}

/// Says what became of a member's clicks in a sale: their window and limit, their orders, and those of their
/// refusals that are still kept. It needs an agent's key.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/why/{member}", operation_id = "whyNot", tag = "operator",
    params(("sale" = String, Path), ("member" = String, Path)),
    responses(
        (status = 200, description = "as it is now", body = WhyView),
        BadRequest, UnknownSale, Busy, Unauthenticated, NotPermitted,
    ),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path((id, member)): Path<(String, String)>,
) -> Result<Json<WhyView>, ApiError> {
    must_be(&caller, Role::Agent)?;
    let (member, open) = (member_id(&member)?, engine.any_sale(&id).await?);
    let (terms, now) = (open.sale.terms(), engine.now());
    let tier = tier(&engine, &member).await?;
    let opens_at = tier.and_then(|tier| terms.windows.opens_at(tier));
    let seat = engine.roster().find(member.as_str());
    let (mut orders, mut refusals) = (Vec::new(), Vec::new());
    if let Some(seat) = seat {
        let found = engine.orders_of(&open, seat, u64::MAX, SHOWN_MAX).await?;
        orders = found.iter().map(|found| OrderView::found(&engine, &open, found)).collect();
        refusals = refusals_of(&open, seat);
    }
    Ok(Json(WhyView {
        tier,
        opens_at: opens_at.map(Time),
        limit: opens_at.and(tier).map(|tier| terms.limits[tier].0),
        held: seat.map_or(Units(0), |seat| open.sale.held(seat)).0,
        blocked: engine.is_blocked(&member),
        in_audience: tier.map(|tier| terms.members.audience.has(tier, true)),
        orders,
        refusals,
        kept_since: open.refused.iter().map(|refused| refused.at).min().map(Time),
        server_time: Time(now),
        member: member.to_string(),
    }))
}

/// The book's word on a member's tier.
async fn tier(engine: &Engine, member: &MemberId) -> Result<Option<Tier>, ApiError> {
    let account = engine.book().account(Who::Named(member.clone())).await?;
    let plan = &engine.book().plans.current().plan;
    Ok(account.map(|(_, account)| account.standing_at(plan, engine.now()).tier))
}

fn refusals_of(open: &OpenSale, seat: Seat) -> Vec<RefusalView> {
    let mut kept: Vec<_> = open.refused.iter().filter(|refused| refused.seat == seat).collect();
    kept.sort_by_key(|refused| std::cmp::Reverse(refused.at));
    kept.truncate(SHOWN_MAX);
    let view = |refused: engine::sale::refused::Refused| RefusalView {
        at: Time(refused.at),
        code: code(refused.kind),
        left: refused.left.0,
    };
    kept.into_iter().map(view).collect()
}
