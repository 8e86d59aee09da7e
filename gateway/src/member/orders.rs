//! A member's own orders.

use crate::answer::error::{ApiError, Problem};
use crate::answer::view::{OrderView, OrdersView};
use crate::app::App;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use engine::rules::order::{OrderId, Status, Step};
use engine::{Found, OpenSale};
use serde::Deserialize;
use std::sync::Arc;

/// One order, to its owner only.
#[utoipa::path(
    get, path = "/v1/orders/{order}", tag = "members",
    security(("member" = [])),
    params(("order" = String, Path)),
    responses(
        (status = 200, body = OrderView),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_order", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    session: Session,
    Named(id): Named,
) -> Result<Json<OrderView>, ApiError> {
    let (open, _, found) = owned(&app, &session, &id).await?;
    Ok(Json(OrderView::found(&app.engine, &open, &found)))
}

/// The order with this id, if it is the member's.
async fn owned(
    app: &App,
    session: &Session,
    id: &str,
) -> Result<(Arc<OpenSale>, OrderId, Found), ApiError> {
    // An id that is none is no order of anybody's.
    let id: OrderId = id.parse().map_err(|_| ApiError::UnknownOrder)?;
    let open = app.engine.sale(id.sale.as_str()).ok_or(ApiError::UnknownOrder)?;
    let found = app.engine.order(&open, &id).await?.ok_or(ApiError::UnknownOrder)?;
    let is_owner = match &found {
        Found::Here(order) => order.seat == session.seat,
        Found::Before(record) => record.member.as_str() == &*session.member,
    };
    if is_owner { Ok((open, id, found)) } else { Err(ApiError::UnknownOrder) }
}

/// Takes an unpaid order back: its units go to those who wait, or on sale again. Harmless when
/// repeated.
#[utoipa::path(
    post, path = "/v1/orders/{order}/cancel", tag = "members",
    security(("member" = [])),
    params(("order" = String, Path)),
    responses(
        (status = 200, description = "cancelled, now or before", body = OrderView),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_order", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_cancellable: it is paid, has expired or was released; history_lost", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy: it may have been done; ask again", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    session: Session,
    Named(id): Named,
) -> Result<Json<OrderView>, ApiError> {
    app.limits.call(session.seat)?;
    let (open, id, _) = owned(&app, &session, &id).await?;
    let found = app.engine.step(&open, &id, Step::Cancel).await?.ok_or(ApiError::UnknownOrder)?;
    match found.status() {
        Status::Cancelled => Ok(Json(OrderView::found(&app.engine, &open, &found))),
        other => Err(ApiError::NotCancellable(other)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    sale: String,
}

/// All of the member's orders in one sale, oldest first.
#[utoipa::path(
    get, path = "/v1/orders", tag = "members",
    security(("member" = [])),
    params(("sale" = String, Query)),
    responses(
        (status = 200, body = OrdersView),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    of: Result<Query<Of>, QueryRejection>,
    session: Session,
) -> Result<Json<OrdersView>, ApiError> {
    let Query(of) = of.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    app.limits.call(session.seat)?;
    let open = app.engine.sale(&of.sale).ok_or(ApiError::UnknownSale)?;
    let found = app.engine.orders_of(&open, session.seat).await?;
    let view = |found: &Found| OrderView::found(&app.engine, &open, found);
    Ok(Json(OrdersView { orders: found.iter().map(view).collect(), next: None }))
}
