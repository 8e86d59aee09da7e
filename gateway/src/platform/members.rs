//! `/v1/members`: the platform enrols members, and reads what the book has of them.

use crate::answer::account::{AccountView, PostingsView};
use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadBody, BadRequest, Busy, NotEnrolled, Unauthenticated, UnknownMember, UnknownSale,
};
use crate::answer::view::OrdersView;
use crate::ask::request::{self, InQuery, Named, nobodys_pseudonym};
use crate::member::me::{After, postings_of, to_the_end, view};
use crate::member::orders::{Of as OrdersOf, orders_of};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use engine::Engine;
use membership::MemberId;
use membership::referral_code::ReferralCode;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Who is to be enrolled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"member": "ann", "referral_code": "00000000A5"})))]
pub(crate) struct Enrolment {
    member: String,
    /// The code that another member gave them.
    #[serde(default)]
    #[schema(required = false)]
    referral_code: Option<String>,
}

/// Enrols a member, perhaps by another one's referral code.
///
/// A repetition with the same code finds them enrolled.
#[utoipa::path(
    post, path = "/v1/members", operation_id = "enrolMember", tag = "membership",
    request_body = Enrolment,
    responses(
        (status = 201, description = "enrolled just now", body = AccountView),
        (status = 200, description = "enrolled before, with the same code", body = AccountView),
        BadBody, NotEnrolled, Unauthenticated, Busy,
    ),
)]
pub(crate) async fn enrol(
    State(engine): State<Arc<Engine>>,
    request: Request,
) -> Result<(StatusCode, Json<AccountView>), ApiError> {
    let Enrolment { member, referral_code } = request::json(request.into_body()).await?;
    let member: MemberId = nobodys_pseudonym(&member)?;
    let code = referral_code.map(|code| code.parse::<ReferralCode>()).transpose();
    let code = code.map_err(|_| ApiError::UnknownReferralCode)?;
    let (enrolling, whom) = (Arc::clone(&engine), member.clone());
    let enrol = async move { enrolling.book().enrol(&whom, code).await };
    let enrolled = to_the_end(enrol).await??;
    let status = if enrolled.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, view(&engine, member.as_str()).await?))
}

/// Returns a member's account, as the member sees it.
#[utoipa::path(
    get, path = "/v1/members/{member}", operation_id = "readMember", tag = "membership", params(("member" = String, Path)),
    responses((status = 200, description = "the account as it is now", body = AccountView), Unauthenticated, UnknownMember, Busy),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    Named(member): Named,
) -> Result<Json<AccountView>, ApiError> {
    view(&engine, &member).await
}

/// Returns a member's postings, newest first, about 100 on a page.
#[utoipa::path(
    get, path = "/v1/members/{member}/postings", operation_id = "listPostings", tag = "membership",
    params(("member" = String, Path), ("after" = Option<u64>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "a page of them", body = PostingsView), BadRequest, Unauthenticated, UnknownMember, Busy),
)]
pub(crate) async fn postings(
    State(engine): State<Arc<Engine>>,
    Named(member): Named,
    InQuery(After { after }): InQuery<After>,
) -> Result<Json<PostingsView>, ApiError> {
    postings_of(&engine, &member, after).await
}

/// Returns a member's orders in one sale, as the member sees them, newest first, 100 on a page.
#[utoipa::path(
    get, path = "/v1/members/{member}/orders", operation_id = "listOrders", tag = "membership",
    params(
        ("member" = String, Path), ("sale" = String, Query),
        ("after" = Option<u64>, Query, description = "orders before this number; `next` of the page before"),
    ),
    responses((status = 200, description = "a page of them", body = OrdersView), BadRequest, Unauthenticated, UnknownSale, Busy),
)]
pub(crate) async fn orders(
    State(engine): State<Arc<Engine>>,
    Named(member): Named,
    InQuery(of): InQuery<OrdersOf>,
) -> Result<Json<OrdersView>, ApiError> {
    orders_of(&engine, &member, of).await
}
