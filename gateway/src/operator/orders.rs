//! A sale's orders, as its operator reads them.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Unauthenticated, UnknownSale};
use crate::answer::view::{OrderView, OrdersView};
use crate::ask::request::Named;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use engine::{Engine, Found};
use serde::Deserialize;
use std::sync::Arc;

/// Which page of the orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "Page::usual", rename = "limit")]
    most: usize,
}

impl Page {
    const fn usual() -> usize {
        1_000
    }
}

/// Returns the orders by number, in pages.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/orders", operation_id = "listOrders", tag = "operator",
    params(
        ("sale" = String, Path),
        ("after" = Option<u64>, Query, description = "orders with numbers over this; `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "orders a page, 1 to 10,000; usually 1,000"),
    ),
    responses((status = 200, description = "a page of them, by number", body = OrdersView), BadRequest, UnknownSale, Unauthenticated),
)]
pub(crate) async fn orders(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<OrdersView>, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    if !(1..=10_000).contains(&page.most) {
        return Err(ApiError::BadRequest("limit: 1 to 10,000 orders a page".into()));
    }
    let open = engine.sale(&id)?;
    let found = engine.orders_after(&open, page.after, page.most).await?;
    let last = found.last().map_or(page.after, |last| match last {
        Found::Here(order) => order.number,
        Found::Before(record) => record.number,
    });
    let next = (last.saturating_add(1) < open.sale.next_number()).then_some(last);
    let view = |found: &Found| OrderView::found(&engine, &open, found);
    Ok(Json(OrdersView { orders: found.iter().map(view).collect(), next }))
}
