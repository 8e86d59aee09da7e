//! Members who may not buy: the operator's list.

use crate::answer::error::{ApiError, Problem};
use crate::app::App;
use crate::ask::request::Named;
use crate::operator::sales::to_the_end;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
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

/// Lists who may not buy.
#[utoipa::path(get, path = "/v1/blocked", tag = "operator", responses((status = 200, body = Blocked)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Blocked> {
    std::future::ready(Json(Blocked { members: app.engine.blocked() })).await
}

/// Keeps a member from buying and waiting, in every sale and over restarts. Orders that they have stay
/// theirs.
#[utoipa::path(
    put, path = "/v1/blocked/{member}", tag = "operator", params(("member" = String, Path)),
    responses(
        (status = 204, description = "blocked, now or before"),
        (status = 400, description = "bad_request: no member id", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn block(
    State(app): State<Arc<App>>,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    set(app, &member, true).await
}

/// Lets a member buy again.
#[utoipa::path(
    delete, path = "/v1/blocked/{member}", tag = "operator", params(("member" = String, Path)),
    responses(
        (status = 204, description = "not blocked"),
        (status = 400, description = "bad_request: no member id", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn unblock(
    State(app): State<Arc<App>>,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    set(app, &member, false).await
}

async fn set(app: Arc<App>, member: &str, is_blocked: bool) -> Result<StatusCode, ApiError> {
    let member: MemberId =
        member.parse().map_err(|bad| ApiError::BadRequest(format!("member: {bad}")))?;
    tracing::info!(%member, is_blocked, "the list of blocked members changes");
    to_the_end(async move { app.engine.block(&member, is_blocked).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
