//! Backup: a copy of the store on the server's disk, while it goes on selling.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, Busy, NotEmbedded, NotPermitted, Unauthenticated};
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::request;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use engine::Engine;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use utoipa::ToSchema;

/// Where a backup goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"to": "/var/backups/flashlane-2026-11-28"})))]
pub(crate) struct BackupBody {
    /// An absolute path on the server, of a folder that is not there yet.
    #[schema(value_type = String)]
    to: PathBuf,
}

/// Makes a consistent copy of the embedded store on the server's disk; it needs an admin's key.
///
/// Selling goes on meanwhile. The answer comes when the copy is on disk; `flashlane restore` takes it.
#[utoipa::path(
    post, path = "/v1/backup", operation_id = "backUp", tag = "operator", request_body = BackupBody,
    responses((status = 204, description = "the copy is there"), BadBody, NotEmbedded, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn back_up(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    request: Request,
) -> Result<StatusCode, ApiError> {
    must_be(&caller, Role::Admin)?;
    let BackupBody { to } = request::json(request.into_body()).await?;
    if !to.is_absolute() || to.exists() {
        let why = "to: an absolute path of a folder that is not there yet";
        return Err(ApiError::BadRequest(why.into()));
    }
    let before = json!({"to": to.display().to_string()});
    let action = Action { action: "back_up", before, ..Action::default() };
    let copy = async move { engine.back_up(&to).await };
    audited.carry_out(action, copy, |()| Value::Null).await?;
    tracing::info!("the store was backed up");
    Ok(StatusCode::NO_CONTENT)
}
