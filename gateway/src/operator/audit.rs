//! `GET /v1/audit`: who did what.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Unauthenticated};
use crate::answer::view::Time;
use crate::answer::words;
use crate::ask::request::InQuery;
use crate::audit::{AuditLog, Entry};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most entries on a page.
const ENTRIES_MAX: usize = 1_000;

/// Which entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    after: u64,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// The oldest first.
    entries: Vec<EntryView>,
    /// The `after` of the next page, which may have no entries yet.
    next: u64,
}

/// What somebody asked for, or what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "id": 2, "at": "2026-01-01T12:00:00.000Z", "by": "ann", "role": "operator", "from": "10.0.0.7",
    "request_id": "5f1c", "action": "pause_sale", "sale": "lamp", "state": "done", "of": 1,
    "after": {"state": "paused"},
})))]
pub(crate) struct EntryView {
    /// From 1, without gaps.
    id: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The name of the key.
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Role>)]
    role: Option<String>,
    /// The address that the call came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The call's `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[schema(value_type = words::AuditAction)]
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sale: Option<String>,
    /// The member, unless they were erased since.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    /// By which the log names the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_number: Option<u64>,
    /// `asked` before it is done; then `done` or `failed`. If neither follows, the process ended in
    /// between.
    #[schema(value_type = words::AuditState)]
    state: String,
    /// The id of the entry that says what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// How things were.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// How things are then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl EntryView {
    pub(super) fn of(entry: Entry, names: &BTreeMap<u64, String>) -> Self {
        let at = Time(entry.at());
        let member = entry.member_number.and_then(|number| names.get(&number).cloned());
        let Entry { id, by, role, from, request_id, action, sale, member_number, .. } = entry;
        let Entry { state, of, why, before, after, .. } = entry;
        Self {
            id,
            at,
            by,
            role,
            from,
            request_id,
            action,
            sale,
            member,
            member_number,
            state,
            of,
            why,
            before,
            after,
        }
    }
}

/// Returns who of the operators did what, oldest first, 1,000 entries on a page.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "readAudit", tag = "operator",
    params(("after" = Option<u64>, Query, description = "the `next` of the page before")),
    responses((status = 200, description = "a page of entries", body = AuditView), BadRequest, Unauthenticated),
)]
pub(crate) async fn list(
    State(log): State<Arc<AuditLog>>,
    InQuery(Wanted { after }): InQuery<Wanted>,
) -> Result<Json<AuditView>, ApiError> {
    let read = move || {
        let Some((entries, next)) = log.read(after, ENTRIES_MAX)? else { return Ok(None) };
        let numbers: Vec<u64> = entries.iter().filter_map(|entry| entry.member_number).collect();
        let names = if numbers.is_empty() { BTreeMap::new() } else { log.names_of(&numbers)? };
        let entries = entries.into_iter().map(|entry| EntryView::of(entry, &names)).collect();
        Ok(Some(AuditView { entries, next }))
    };
    let page = tokio::task::spawn_blocking(read).await.map_err(|_| ApiError::Internal)?;
    let page = page.map_err(|error: std::io::Error| {
        tracing::error!(%error, "the audit log cannot be read");
        ApiError::Internal
    })?;
    page.map(Json).ok_or_else(|| ApiError::BadRequest("after: no entry begins there".into()))
}
