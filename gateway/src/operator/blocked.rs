//! Members who may not buy: the operator's list.

use super::to_the_end::to_the_end;
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, NotPermitted, Unauthenticated};
use crate::ask::request::Named;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use engine::Engine;
use membership::MemberId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The blocked members, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Blocked {
    #[schema(value_type = Vec<String>)]
    members: Vec<MemberId>,
}

/// Lists the members who may not buy.
#[utoipa::path(
    get, path = "/v1/blocked", operation_id = "listBlocked", tag = "operator",
    responses((status = 200, description = "all of them, by id", body = Blocked), Unauthenticated),
)]
pub(crate) async fn list(State(engine): State<Arc<Engine>>) -> Json<Blocked> {
    std::future::ready(Json(Blocked { members: engine.blocked() })).await
}

/// Keeps a member from buying and waiting, in every sale and over restarts. The member keeps the
/// orders that they have.
#[utoipa::path(
    put, path = "/v1/blocked/{member}", operation_id = "blockMember", tag = "operator", params(("member" = String, Path)),
    responses((status = 204, description = "blocked, now or before"), BadRequest, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn block(
    State(engine): State<Arc<Engine>>,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    let member = id(&member)?;
    tracing::info!(%member, "blocked");
    to_the_end(async move { engine.block(&member).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a member buy again.
#[utoipa::path(
    delete, path = "/v1/blocked/{member}", operation_id = "unblockMember", tag = "operator", params(("member" = String, Path)),
    responses((status = 204, description = "not blocked"), BadRequest, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn unblock(
    State(engine): State<Arc<Engine>>,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    let member = id(&member)?;
    tracing::info!(%member, "no longer blocked");
    to_the_end(async move { engine.unblock(&member).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn id(member: &str) -> Result<MemberId, ApiError> {
    member.parse().map_err(|bad| ApiError::BadRequest(format!("member: {bad}")))
}
