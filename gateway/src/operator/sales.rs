//! What operators do with sales: make, switch, top up, look at them.

use super::to_the_end::to_the_end;
use crate::answer::error::ApiError;
use crate::answer::problem::FieldError;
use crate::answer::problems::{
    BadRequest, HistoryLost, NotAdded, NotMade, NotPermitted, PerhapsDone, Unauthenticated,
    UnknownSale,
};
use crate::answer::report::SaleReport;
use crate::ask::new_sale::NewSale;
use crate::ask::page::Page;
use crate::ask::request::{self, AnyUnits, Named};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::Engine;
use engine::rules::units::Units;
use engine::store::Switch;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Makes a sale.
#[utoipa::path(
    post, path = "/v1/sales", operation_id = "createSale", tag = "operator", request_body = NewSale,
    responses((status = 201, description = "made", body = SaleReport), BadRequest, NotMade, Unauthenticated, NotPermitted),
)]
pub(crate) async fn create(
    State(engine): State<Arc<Engine>>,
    request: Request,
) -> Result<Response, ApiError> {
    let new: NewSale = request::json(request.into_body()).await?;
    let terms = new.terms().map_err(ApiError::BadTerms)?;
    if terms.windows.is_over(engine.now()) {
        let (field, reason) = ("closes_at".into(), "this instant is over already".into());
        return Err(ApiError::BadTerms(vec![FieldError { field, reason }]));
    }
    let (id, stock) = (terms.id.clone(), terms.stock.0);
    let making = Arc::clone(&engine);
    let open = to_the_end(async move { making.create(&terms).await }).await?;
    tracing::info!(sale = %id, stock, "sale made");
    let report = Json(SaleReport::of(&open, engine.now()));
    Ok((StatusCode::CREATED, report).into_response())
}

/// The sales, each with all its counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reports {
    sales: Vec<SaleReport>,
    /// The `after` of the next page; null on the last one.
    next: Option<String>,
}

/// Lists the sales, each with all its counts, 100 on a page.
#[utoipa::path(
    get, path = "/v1/sales", operation_id = "listSales", tag = "operator", params(Page),
    responses((status = 200, description = "a page of them, by id", body = Reports), BadRequest, Unauthenticated),
)]
pub(crate) async fn list(State(engine): State<Arc<Engine>>, page: Page) -> Json<Reports> {
    let (now, (sales, next)) = (engine.now(), page.of(&engine));
    let sales = sales.iter().map(|open| SaleReport::of(open, now)).collect();
    std::future::ready(Json(Reports { sales, next })).await
}

/// Returns a sale with all its counts.
#[utoipa::path(
    get, path = "/v1/sales/{sale}", operation_id = "readSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Unauthenticated),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    let open = engine.sale(&id)?;
    std::future::ready(Ok(Json(SaleReport::of(&open, engine.now())))).await
}

/// Stops a sale for now.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/pause", operation_id = "pauseSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Unauthenticated, NotPermitted),
)]
pub(crate) async fn pause(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, &id, Switch::Pause).await
}

/// Lets a paused sale go on. A sale whose store had lost part of its history goes on too, if all of
/// that history is back.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/resume", operation_id = "resumeSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, HistoryLost, PerhapsDone, Unauthenticated, NotPermitted),
)]
pub(crate) async fn resume(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, &id, Switch::Resume).await
}

/// Ends a sale for good.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/close", operation_id = "closeSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Unauthenticated, NotPermitted),
)]
pub(crate) async fn close(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, &id, Switch::Close).await
}

async fn switch(
    engine: Arc<Engine>,
    id: &str,
    switch: Switch,
) -> Result<Json<SaleReport>, ApiError> {
    let open = engine.sale(id)?;
    let (turning, turned) = (Arc::clone(&engine), Arc::clone(&open));
    to_the_end(async move { turning.switch(&turned, switch).await }).await?;
    tracing::info!(sale = id, ?switch, "sale switched");
    Ok(Json(SaleReport::of(&open, engine.now())))
}

/// Stock to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"add": 100})))]
pub(crate) struct TopUp {
    /// 1 or more; a sale has at most 10,000,000 units in all.
    #[schema(value_type = u32, minimum = 1)]
    add: AnyUnits,
}

/// Adds stock while the sale runs. A repetition with the same `Idempotency-Key` adds nothing.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/stock", operation_id = "addStock", tag = "operator", request_body = TopUp,
    params(("sale" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), BadRequest, UnknownSale, NotAdded, Unauthenticated, NotPermitted),
)]
pub(crate) async fn top_up(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
    request: Request,
) -> Result<Json<SaleReport>, ApiError> {
    let (parts, body) = request.into_parts();
    let TopUp { add } = request::json(body).await?;
    let missing = || ApiError::BadRequest("Idempotency-Key: needed for a top-up".into());
    let key = request::idempotency_key(&parts.headers)?.ok_or_else(missing)?;
    let open = engine.sale(&id)?;
    if add.0 == 0 {
        return Err(ApiError::BadRequest("add: 1 or more".into()));
    }
    let (adding, added, key) = (Arc::clone(&engine), Arc::clone(&open), key.to_owned());
    let topped_up = async move { adding.top_up(&added, &key, Units(add.0)).await };
    let total = to_the_end(topped_up).await?;
    tracing::info!(sale = id, add = add.0, total = total.0, "stock added");
    Ok(Json(SaleReport::of(&open, engine.now())))
}
