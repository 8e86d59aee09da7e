//! A member's own orders.

use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadRequest, Busy, NotCancellable, PerhapsDone, TooMany, Unauthenticated, UnknownOrder,
    UnknownSale,
};
use crate::answer::view::{OrderView, OrdersView};
use crate::ask::audience::sees;
use crate::ask::rates::Rates;
use crate::ask::request::{InQuery, Named};
use crate::ask::session::Session;
use axum::Json;
use axum::extract::State;
use engine::rules::order::{OrderId, Status, Step};
use engine::rules::seat::Seat;
use engine::{Engine, Found, NoSale, OpenSale};
use serde::Deserialize;
use std::sync::Arc;

/// Most orders on a page, and in one piece of what a stream tells at its start.
pub(super) const ORDERS_MAX: usize = 100;

/// Returns one order, to its own member only.
#[utoipa::path(
    get, path = "/v1/orders/{order}", operation_id = "readOrder", tag = "members",
    security(("member" = [])),
    params(("order" = String, Path)),
    responses((status = 200, description = "the order as it is now", body = OrderView), Unauthenticated, UnknownOrder, TooMany, Busy),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    Named(id): Named,
) -> Result<Json<OrderView>, ApiError> {
    rates.read(session.seat)?;
    let (open, _, found) = own(&engine, &session, &id).await?;
    Ok(Json(OrderView::found(&engine, &open, &found)))
}

/// Returns the order with this id if it is the member's own.
async fn own(
    engine: &Engine,
    session: &Session,
    id: &str,
) -> Result<(Arc<OpenSale>, OrderId, Found), ApiError> {
    // A malformed id cannot belong to any order, so the answer is the same as for an unknown one.
    let id: OrderId = id.parse().map_err(|_| ApiError::UnknownOrder)?;
    let open = engine.any_sale(id.sale.as_str()).await.map_err(|none| match none {
        NoSale::Unknown => ApiError::UnknownOrder,
        none => none.into(),
    })?;
    let found = engine.order(&open, &id).await?.ok_or(ApiError::UnknownOrder)?;
    let is_own = match &found {
        Found::Here(order) => order.seat == session.seat,
        Found::Before(record) => record.member == session.member,
    };
    if is_own { Ok((open, id, found)) } else { Err(ApiError::UnknownOrder) }
}

/// Cancels an unpaid order.
///
/// Its units go to members on the waitlist, or on sale again. A repetition changes nothing.
#[utoipa::path(
    post, path = "/v1/orders/{order}/cancel", operation_id = "cancelOrder", tag = "members",
    security(("member" = [])),
    params(("order" = String, Path)),
    responses(
        (status = 200, description = "cancelled, now or before", body = OrderView),
        Unauthenticated, UnknownOrder, NotCancellable, TooMany, PerhapsDone,
    ),
)]
pub(crate) async fn cancel(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    Named(id): Named,
) -> Result<Json<OrderView>, ApiError> {
    rates.call(session.seat)?;
    let (open, id, _) = own(&engine, &session, &id).await?;
    let found = engine.step(&open, &id, Step::Cancel).await?.ok_or(ApiError::UnknownOrder)?;
    match found.status() {
        Status::Cancelled => Ok(Json(OrderView::found(&engine, &open, &found))),
        other => Err(ApiError::NotCancellable(other)),
    }
}

/// Which orders to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    sale: String,
    /// Only orders before this one: the `next` of the page before.
    #[serde(default = "Of::newest")]
    after: u64,
}

impl Of {
    const fn newest() -> u64 {
        u64::MAX
    }
}

/// Returns the member's orders in one sale, newest first, 100 on a page.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "listOrders", tag = "members",
    security(("member" = [])),
    params(
        ("sale" = String, Query),
        ("after" = Option<u64>, Query, description = "orders before this number; `next` of the page before"),
    ),
    responses(
        (status = 200, description = "a page of them, newest first", body = OrdersView),
        BadRequest, Unauthenticated, UnknownSale, TooMany, Busy,
    ),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    InQuery(of): InQuery<Of>,
) -> Result<Json<OrdersView>, ApiError> {
    rates.read(session.seat)?;
    let open = engine.any_sale(&of.sale).await?;
    let view = page(&engine, &open, Some(session.seat), of.after).await?;
    // Who has orders there knows of it, whatever their tier is by now.
    match view.orders.is_empty() && !sees(&engine, &open, Some(&session)) {
        true => Err(NoSale::Unknown.into()),
        false => Ok(view),
    }
}

/// Orders of a member by name, as they see them; none of somebody who never came here.
pub(crate) async fn orders_of(
    engine: &Engine,
    member: &str,
    of: Of,
) -> Result<Json<OrdersView>, ApiError> {
    // Whoever has orders in it is known once the sale is found.
    let open = engine.any_sale(&of.sale).await?;
    page(engine, &open, engine.roster().find(member), of.after).await
}

async fn page(
    engine: &Engine,
    open: &OpenSale,
    seat: Option<Seat>,
    after: u64,
) -> Result<Json<OrdersView>, ApiError> {
    let Some(seat) = seat else { return Ok(Json(OrdersView { orders: Vec::new(), next: None })) };
    let mut found = engine.orders_of(open, seat, after, ORDERS_MAX + 1).await?;
    let is_last = found.len() <= ORDERS_MAX;
    found.truncate(ORDERS_MAX);
    let next = found.last().map(Found::number).filter(|_| !is_last);
    let view = |found: &Found| OrderView::found(engine, open, found);
    Ok(Json(OrdersView { orders: found.iter().map(view).collect(), next }))
}
