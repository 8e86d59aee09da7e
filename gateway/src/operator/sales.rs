//! What operators do with sales: make, switch, top up, look at them.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problem::FieldError;
use crate::answer::problems::{
    BadBody, BadRequest, Busy, HistoryLost, NotAdded, NotArchived, NotChanged, NotMade,
    NotPermitted, Over, PerhapsDone, Unauthenticated, UnknownSale,
};
use crate::answer::report::SaleReport;
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::media::MediaOrigins;
use crate::ask::new_sale::NewSale;
use crate::ask::page::{Page, WithArchived};
use crate::ask::request::{self, AnyUnits, Named};
use crate::ask::sale_change::SaleChange;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::rules::terms::{SaleId, Terms};
use engine::rules::units::Units;
use engine::store::Switch;
use engine::{Engine, NoSale, NotDeleted, OpenSale};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Makes a sale.
#[utoipa::path(
    post, path = "/v1/sales", operation_id = "createSale", tag = "operator", request_body = NewSale,
    responses((status = 201, description = "made", body = SaleReport), BadRequest, NotMade, Unauthenticated, NotPermitted),
)]
pub(crate) async fn create(
    State(engine): State<Arc<Engine>>,
    State(media): State<Arc<MediaOrigins>>,
    audited: Audited,
    request: Request,
) -> Result<Response, ApiError> {
    let new: NewSale = request::json(request.into_body()).await?;
    let terms = new.terms(Some(&engine.book().plans.current())).map_err(ApiError::BadTerms)?;
    if terms.windows.is_over(engine.now()) {
        let (field, reason) = ("closes_at".into(), "this instant is over already".into());
        return Err(ApiError::BadTerms(vec![FieldError { field, reason }]));
    }
    media.check(terms.image_url.as_deref()).map_err(ApiError::BadTerms)?;
    let (id, stock) = (terms.id.clone(), terms.stock.0);
    let action = Action { action: "create_sale", sale: Some(id.as_str()), ..Action::default() };
    let making = Arc::clone(&engine);
    let create = async move { making.create(&terms).await };
    let open = audited.carry_out(action, create, |open| told(open.sale.terms())).await?;
    tracing::info!(sale = %id, stock, "sale made");
    let report = Json(SaleReport::of(&open, &engine));
    Ok((StatusCode::CREATED, report).into_response())
}

/// The sales, each with all its counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reports {
    sales: Vec<SaleReport>,
    /// The `after` of the next page; null on the last one.
    next: Option<String>,
}

/// Lists the sales, each with all its counts, at most 100 on a page. Archived ones are among them; a page may
/// have fewer sales and still not be the last.
#[utoipa::path(
    get, path = "/v1/sales", operation_id = "listSales", tag = "operator", params(Page),
    responses((status = 200, description = "a page of them, by id", body = Reports), BadRequest, Busy, Unauthenticated),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    page: Page,
) -> Result<Json<Reports>, ApiError> {
    let (sales, next) = page.of(&engine, WithArchived::Always, |_| true).await?;
    let sales = sales.iter().map(|open| SaleReport::of(open, &engine)).collect();
    Ok(Json(Reports { sales, next }))
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
    let open = engine.any_sale(&id).await?;
    Ok(Json(SaleReport::of(&open, &engine)))
}

/// Changes a sale. Until its first window opens, everything may change but the id; after that the title, the
/// picture, a later `closes_at`, and `pay_within_s` for orders to come: an order keeps its own `pay_by`.
#[utoipa::path(
    patch, path = "/v1/sales/{sale}", operation_id = "changeSale", tag = "operator", request_body = SaleChange,
    params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), BadBody, UnknownSale, NotChanged, Unauthenticated, NotPermitted),
)]
pub(crate) async fn change(
    State(engine): State<Arc<Engine>>,
    State(media): State<Arc<MediaOrigins>>,
    audited: Audited,
    Named(id): Named,
    request: Request,
) -> Result<Json<SaleReport>, ApiError> {
    let change: SaleChange = request::json(request.into_body()).await?;
    let open = engine.sale_to_change(&id).await?;
    let before = told(&open.terms_now());
    let action = Action { action: "change_sale", sale: Some(&id), before, ..Action::default() };
    let changing = Arc::clone(&engine);
    let work = async move {
        let (now, plan) = (changing.now(), changing.book().plans.current());
        let change = |before: &Terms, added| {
            let terms = change.terms(before, added, &plan).map_err(ApiError::BadTerms)?;
            // A picture that stays as it was keeps nothing else from being changed.
            if terms.image_url != before.image_url {
                media.check(terms.image_url.as_deref()).map_err(ApiError::BadTerms)?;
            }
            if terms.windows.is_over(now) {
                let (field, reason) = ("closes_at".into(), "this instant is over already".into());
                return Err(ApiError::BadTerms(vec![FieldError { field, reason }]));
            }
            Ok(terms)
        };
        changing.change_terms(&open, change).await
    };
    let open = audited.carry_out(action, work, |open| told(&open.terms_now())).await?;
    tracing::info!(sale = id, "sale changed");
    Ok(Json(SaleReport::of(&open, &engine)))
}

/// Stops a sale for now.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/pause", operation_id = "pauseSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Over, Unauthenticated, NotPermitted),
)]
pub(crate) async fn pause(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, audited, &id, Switch::Pause).await
}

/// Lets a paused sale go on. A sale whose store had lost part of its history goes on too, if all of
/// that history is back.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/resume", operation_id = "resumeSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Over, HistoryLost, PerhapsDone, Unauthenticated, NotPermitted),
)]
pub(crate) async fn resume(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, audited, &id, Switch::Resume).await
}

/// Ends a sale for good.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/close", operation_id = "closeSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleReport), UnknownSale, Over, Unauthenticated, NotPermitted),
)]
pub(crate) async fn close(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(engine, audited, &id, Switch::Close).await
}

/// Deletes a sale for good; it needs an admin's key.
///
/// Only one that is archived is deleted, or one that never opened. Its id stays taken.
#[utoipa::path(
    delete, path = "/v1/sales/{sale}", operation_id = "deleteSale", tag = "operator", params(("sale" = String, Path)),
    responses((status = 204, description = "deleted"), BadRequest, UnknownSale, NotArchived, Unauthenticated, NotPermitted),
)]
pub(crate) async fn delete(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    Named(id): Named,
) -> Result<StatusCode, ApiError> {
    must_be(&caller, Role::Admin)?;
    let sale: SaleId = id.parse().map_err(|_| NoSale::Unknown)?;
    let action = Action { action: "delete_sale", sale: Some(&id), ..Action::default() };
    let delete = async move { engine.delete(&sale).await };
    audited.carry_out(action, delete, |()| Value::Null).await?;
    tracing::info!(sale = id, "sale deleted");
    Ok(StatusCode::NO_CONTENT)
}

impl From<NotDeleted> for ApiError {
    fn from(why: NotDeleted) -> Self {
        match why {
            NotDeleted::NoSale(none) => none.into(),
            NotDeleted::NotArchived => Self::NotArchived,
            NotDeleted::Store(error) => Self::Store(error),
        }
    }
}

/// What the audit log says of terms.
fn told(terms: &Terms) -> Value {
    serde_json::to_value(terms).expect("terms are plain data")
}

async fn switch(
    engine: Arc<Engine>,
    audited: Audited,
    id: &str,
    switch: Switch,
) -> Result<Json<SaleReport>, ApiError> {
    let open = engine.sale_to_change(id).await?;
    let action = match switch {
        Switch::Pause => "pause_sale",
        Switch::Resume => "resume_sale",
        Switch::Close => "close_sale",
    };
    let state =
        |engine: &Engine, open: &OpenSale| json!({"state": open.sale.phase(engine.now()).as_str()});
    let before = state(&engine, &open);
    let action = Action { action, sale: Some(id), before, ..Action::default() };
    let (turning, turned) = (Arc::clone(&engine), Arc::clone(&open));
    let turn = async move { turning.switch(&turned, switch).await };
    let (looking, looked_at) = (Arc::clone(&engine), Arc::clone(&open));
    audited.carry_out(action, turn, move |()| state(&looking, &looked_at)).await?;
    tracing::info!(sale = id, ?switch, "sale switched");
    Ok(Json(SaleReport::of(&open, &engine)))
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
    audited: Audited,
    Named(id): Named,
    request: Request,
) -> Result<Json<SaleReport>, ApiError> {
    let (parts, body) = request.into_parts();
    let TopUp { add } = request::json(body).await?;
    let missing = || ApiError::BadRequest("Idempotency-Key: needed for a top-up".into());
    let key = request::idempotency_key(&parts.headers)?.ok_or_else(missing)?;
    let open = engine.sale_to_change(&id).await?;
    if add.0 == 0 {
        return Err(ApiError::BadRequest("add: 1 or more".into()));
    }
    let (adding, added, key) = (Arc::clone(&engine), Arc::clone(&open), key.to_owned());
    let topped_up = async move { adding.top_up(&added, &key, Units(add.0)).await };
    let before = json!({"stock": open.sale.stock().level().total().0});
    let action = Action { action: "add_stock", sale: Some(&id), before, ..Action::default() };
    let total = audited.carry_out(action, topped_up, |total| json!({"stock": total.0})).await?;
    tracing::info!(sale = id, add = add.0, total = total.0, "stock added");
    Ok(Json(SaleReport::of(&open, &engine)))
}
