//! A sale's waitlist, as its operator reads it.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Unauthenticated, UnknownSale};
use crate::answer::words;
use crate::ask::request::{InQuery, Named};
use axum::Json;
use axum::extract::State;
use engine::Engine;
use engine::store::Waiting;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Members on a page.
const PAGE: usize = 100;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    #[serde(default)]
    after: usize,
}

/// The entries, in the order of service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitersView {
    waiting: Vec<WaiterView>,
    /// All who wait.
    all: usize,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<usize>,
}

/// One member who waits.
#[derive(Debug, Serialize, ToSchema)]
struct WaiterView {
    /// The place in the order of service, from 1. Members who are blocked meanwhile are passed over.
    position: usize,
    member: String,
    #[schema(value_type = words::Tier)]
    tier: membership::Tier,
    units: u32,
}

/// Lists who waits, in the order of service, 100 on a page.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/waitlist", operation_id = "listWaitlist", tag = "operator",
    params(
        ("sale" = String, Path),
        ("after" = Option<u32>, Query, description = "members behind this position; `next` of the page before"),
    ),
    responses(
        (status = 200, description = "a page of them", body = WaitersView),
        BadRequest, UnknownSale, Unauthenticated,
    ),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
    InQuery(Of { after }): InQuery<Of>,
) -> Result<Json<WaitersView>, ApiError> {
    let open = engine.any_sale(&id).await?;
    let (page, all) = engine.waiting(&open, after, PAGE);
    let next = (after.saturating_add(page.len()) < all).then_some(after + page.len());
    let view = |(nth, Waiting { member, tier, units, .. }): (usize, Waiting)| WaiterView {
        position: after + nth + 1,
        member: member.to_string(),
        tier,
        units: units.0,
    };
    let waiting = page.into_iter().enumerate().map(view).collect();
    std::future::ready(Ok(Json(WaitersView { waiting, all, next }))).await
}
