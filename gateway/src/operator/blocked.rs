//! Members who may not buy: the operator's list.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, NotPermitted, Unauthenticated};
use crate::ask::request::{Named, nobodys_pseudonym};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use engine::Engine;
use membership::MemberId;
use serde::Serialize;
use serde_json::json;
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
    audited: Audited,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    let member = nobodys_pseudonym(&member)?;
    tracing::info!(%member, "blocked");
    let action = action("block_member", &engine, &member);
    let block = {
        let member = member.clone();
        async move { engine.block(&member).await }
    };
    audited.carry_out(action, block, |()| json!({"blocked": true})).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a member buy again.
#[utoipa::path(
    delete, path = "/v1/blocked/{member}", operation_id = "unblockMember", tag = "operator", params(("member" = String, Path)),
    responses((status = 204, description = "not blocked"), BadRequest, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn unblock(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    let member = nobodys_pseudonym(&member)?;
    tracing::info!(%member, "no longer blocked");
    let action = action("unblock_member", &engine, &member);
    let unblock = {
        let member = member.clone();
        async move { engine.unblock(&member).await }
    };
    audited.carry_out(action, unblock, |()| json!({"blocked": false})).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn action<'a>(action: &'static str, engine: &Engine, member: &'a MemberId) -> Action<'a> {
    let before = json!({"blocked": engine.is_blocked(member)});
    Action { action, member: Some(member), before, ..Action::default() }
}
