//! `GET /v1/key`: whose key asks.

use crate::answer::problems::Unauthenticated;
use crate::answer::view::Time;
use crate::answer::words;
use crate::ask::callers::Caller;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

/// Whose key asks, and until when it is good.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"name": "ann", "role": "viewer"})))]
pub(crate) struct KeyView {
    name: String,
    #[schema(value_type = words::Role)]
    role: &'static str,
    /// Absent if the key does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Returns whose key asks, and until when it is good.
#[utoipa::path(
    get, path = "/v1/key", operation_id = "readKey", tag = "operator",
    responses((status = 200, description = "the key that asks", body = KeyView), Unauthenticated),
)]
pub(crate) async fn read(Extension(caller): Extension<Caller>) -> Json<KeyView> {
    let Caller { name, role, expires_at } = caller;
    let (name, role) = (name.to_string(), role.as_str());
    std::future::ready(Json(KeyView { name, role, expires_at: expires_at.map(Time) })).await
}
