//! Rehearsals of sales: begin one, look at it, end it.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, NotPermitted, Unauthenticated, UnknownSale};
use crate::answer::report::SaleReport;
use crate::ask::request::{self, Named};
use crate::rehearsal::{Crowd, MEMBERS_MAX, Rehearsals};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{Engine, NoSale};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Who comes to a rehearsal.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"members": 5000})))]
pub(crate) struct RehearsalBody {
    /// How many invented members click, 1 to 100,000.
    #[serde(default = "usual")]
    #[schema(minimum = 1, maximum = 100_000, default = 5_000)]
    members: u32,
}

const fn usual() -> u32 {
    5_000
}

/// Rehearses a sale: a copy of it, at which invented members click. Its windows open within half a minute. Nothing of it counts
/// or is kept; it is gone two minutes after its last window has opened. There is one rehearsal at a time: a new one ends the one
/// before.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/rehearse", operation_id = "rehearseSale", tag = "operator", request_body(content = Option<RehearsalBody>),
    params(("sale" = String, Path)),
    responses((status = 201, description = "the copy as it begins", body = SaleReport), BadRequest, UnknownSale, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn begin(
    State(engine): State<Arc<Engine>>,
    State(rehearsals): State<Arc<Rehearsals>>,
    audited: Audited,
    Named(id): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let body = request::bytes(request.into_body()).await?;
    let RehearsalBody { members } = match body.is_empty() {
        true => RehearsalBody { members: usual() },
        false => request::json(body.into()).await?,
    };
    if !(1..=MEMBERS_MAX).contains(&members) {
        return Err(ApiError::BadRequest(format!("members: 1 to {MEMBERS_MAX}, not {members}")));
    }
    let open = engine.any_sale(&id).await?;
    let action = Action { action: "rehearse_sale", sale: Some(&id), ..Action::default() };
    let terms = open.terms_now();
    let begin = async move { rehearsals.begin(&terms, Crowd { members }).await };
    let begun = audited.carry_out(action, begin, move |_| json!({"members": members})).await?;
    let (engine, copy) = begun;
    let report = SaleReport::of(&copy, &engine).rehearsed();
    Ok((StatusCode::CREATED, Json(report)).into_response())
}

/// Returns the rehearsal of a sale with all its counts.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/rehearsal", operation_id = "readRehearsal", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the copy as it is now", body = SaleReport), UnknownSale, Unauthenticated),
)]
pub(crate) async fn read(
    State(rehearsals): State<Arc<Rehearsals>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    let (engine, copy) = rehearsals.of(&id).ok_or(NoSale::Unknown)?;
    std::future::ready(Ok(Json(SaleReport::of(&copy, &engine).rehearsed()))).await
}

/// Ends the rehearsal of a sale.
#[utoipa::path(
    delete, path = "/v1/sales/{sale}/rehearsal", operation_id = "endRehearsal", tag = "operator", params(("sale" = String, Path)),
    responses((status = 204, description = "gone"), UnknownSale, Unauthenticated, NotPermitted),
)]
pub(crate) async fn end(
    State(rehearsals): State<Arc<Rehearsals>>,
    audited: Audited,
    Named(id): Named,
) -> Result<StatusCode, ApiError> {
    rehearsals.of(&id).ok_or(NoSale::Unknown)?;
    let action = Action { action: "end_rehearsal", sale: Some(&id), ..Action::default() };
    let sale = id.clone();
    let end = async move { Ok::<_, ApiError>(rehearsals.end(&sale).await) };
    match audited.carry_out(action, end, |_| Value::Null).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(NoSale::Unknown.into()),
    }
}
