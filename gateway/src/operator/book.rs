//! The members' book for operators: a member's account for support, corrections, coupons by hand.

use super::audited::{Action, Audited};
use crate::answer::account::{AccountView, PostingsView};
use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadBody, BadRequest, Busy, NotAdjusted, NotIssued, NotPermitted, Unauthenticated,
    UnknownMember, UnknownSale,
};
use crate::answer::view::OrdersView;
use crate::answer::words;
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::request::{self, InQuery, Named, member_id};
use crate::member::me::{After, account, postings_of, take, view};
use crate::member::orders::{Of as OrdersOf, orders_of};
use axum::extract::{Request, State};
use axum::{Extension, Json};
use engine::Engine;
use engine::rules::money::{BadForeignId, ForeignId};
use membership::event::Event;
use membership::posting::{Account, Source};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Corrections of more than this in all need an admin's key.
const BY_OPERATORS_MAX: u64 = 10_000;

/// Returns a member's account; it needs an agent's key.
#[utoipa::path(
    get, path = "/v1/members/{member}", operation_id = "readMember", tag = "membership", params(("member" = String, Path)),
    responses((status = 200, description = "the account as it is now", body = AccountView), Unauthenticated, NotPermitted, UnknownMember, Busy),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Named(member): Named,
) -> Result<Json<AccountView>, ApiError> {
    must_be(&caller, Role::Agent)?;
    view(&engine, &member).await
}

/// Returns a member's postings, newest first, about 100 on a page; it needs an agent's key.
#[utoipa::path(
    get, path = "/v1/members/{member}/postings", operation_id = "listPostings", tag = "membership",
    params(("member" = String, Path), ("after" = Option<u64>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "a page of them", body = PostingsView), BadRequest, Unauthenticated, NotPermitted, UnknownMember, Busy),
)]
pub(crate) async fn postings(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Named(member): Named,
    InQuery(After { after }): InQuery<After>,
) -> Result<Json<PostingsView>, ApiError> {
    must_be(&caller, Role::Agent)?;
    postings_of(&engine, &member, after).await
}

/// Returns a member's orders in one sale, newest first, 100 on a page; it needs an agent's key.
#[utoipa::path(
    get, path = "/v1/members/{member}/orders", operation_id = "listOrdersOfMember", tag = "membership",
    params(
        ("member" = String, Path), ("sale" = String, Query),
        ("after" = Option<u64>, Query, description = "orders before this number; `next` of the page before"),
    ),
    responses((status = 200, description = "a page of them", body = OrdersView), BadRequest, Unauthenticated, NotPermitted, UnknownSale, Busy),
)]
pub(crate) async fn orders(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Named(member): Named,
    InQuery(of): InQuery<OrdersOf>,
) -> Result<Json<OrdersView>, ApiError> {
    must_be(&caller, Role::Agent)?;
    orders_of(&engine, &member, of).await
}

/// A correction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"id": "case-17", "account": "points", "amount": 50, "reason": "a broken lamp"})))]
pub(crate) struct Adjustment {
    /// Its own id, 1 to 64 visible characters: it counts once.
    id: String,
    #[schema(value_type = words::Account)]
    account: AdjustedAccount,
    /// What is added; less than 0 for what is taken. At most 1,000,000,000,000.
    amount: i64,
    /// 1 to 200 characters.
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AdjustedAccount {
    Growth,
    Points,
}

/// Corrects a member's growth or points, once under its id. More than 10,000 needs an admin's key.
#[utoipa::path(
    post, path = "/v1/members/{member}/adjustments", operation_id = "adjustMember", tag = "membership",
    params(("member" = String, Path)), request_body = Adjustment,
    responses((status = 200, description = "the account as it is now", body = AccountView), BadBody, Unauthenticated, NotPermitted, NotAdjusted, Busy),
)]
pub(crate) async fn adjust(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    Named(member): Named,
    request: Request,
) -> Result<Json<AccountView>, ApiError> {
    let member = member_id(&member)?;
    let Adjustment { id, account: of, amount, reason } = request::json(request.into_body()).await?;
    let id = request::plain_key(&id).filter(|id| id.len() <= 64);
    let id = id.ok_or_else(|| ApiError::BadRequest("id: 1 to 64 visible characters".into()))?;
    if !(1..=200).contains(&reason.chars().count()) {
        return Err(ApiError::BadRequest("reason: 1 to 200 characters".into()));
    }
    if amount.unsigned_abs() > BY_OPERATORS_MAX {
        must_be(&caller, Role::Admin)?;
    }
    account(&engine, member.as_str()).await?;
    let adjusted = match of {
        AdjustedAccount::Growth => Account::Growth,
        AdjustedAccount::Points => Account::Points,
    };
    let event = Event::Adjust { id: Source(id.to_owned()), account: adjusted, amount };
    let before =
        json!({"account": adjusted.as_str(), "amount": amount, "reason": reason, "id": id});
    let action =
        Action { action: "adjust_member", member: Some(&member), before, ..Action::default() };
    let (adjusting, whom) = (Arc::clone(&engine), member.clone());
    let adjust = async move { take(&adjusting, whom.as_str(), event).await };
    audited.carry_out(action, adjust, |outcome| json!({"was_new": !outcome.is_known})).await?;
    view(&engine, member.as_str()).await
}

/// A coupon to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"id": "case-17", "kind": "welcome"})))]
pub(crate) struct CouponBody {
    /// By its id in the plan.
    kind: String,
    /// Its own id, 1 to 64 of `A-Z a-z 0-9 . _ : - @ | + = ~ *`: it is issued once, and orders name it.
    id: String,
}

/// Issues a coupon by hand, once under its id.
#[utoipa::path(
    post, path = "/v1/members/{member}/coupons", operation_id = "issueCoupon", tag = "membership",
    params(("member" = String, Path)), request_body = CouponBody,
    responses((status = 200, description = "the account as it is now", body = AccountView), BadBody, Unauthenticated, NotPermitted, NotIssued, Busy),
)]
pub(crate) async fn issue(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(member): Named,
    request: Request,
) -> Result<Json<AccountView>, ApiError> {
    let member = member_id(&member)?;
    let CouponBody { kind, id } = request::json(request.into_body()).await?;
    let id: ForeignId =
        id.parse().map_err(|bad: BadForeignId| ApiError::BadRequest(format!("id: {bad}")))?;
    account(&engine, member.as_str()).await?;
    let before = json!({"kind": kind, "id": id});
    let event = Event::Issue { id: Source(id.to_string()), kind };
    let action =
        Action { action: "issue_coupon", member: Some(&member), before, ..Action::default() };
    let (issuing, whom) = (Arc::clone(&engine), member.clone());
    let issue = async move { take(&issuing, whom.as_str(), event).await };
    audited.carry_out(action, issue, |outcome| json!({"was_new": !outcome.is_known})).await?;
    view(&engine, member.as_str()).await
}
