//! The sales, as any client may see them.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, TooMany, Unauthenticated, UnknownSale};
use crate::answer::view::{SaleView, Time, WaitView, You};
use crate::ask::page::Page;
use crate::ask::rates::Rates;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::Json;
use axum::extract::State;
use engine::Engine;
use engine::rules::units::Units;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The sales, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SalesView {
    sales: Vec<SaleView>,
    /// The `after` of the next page; null on the last one.
    next: Option<String>,
}

/// Lists the sales, 100 on a page.
#[utoipa::path(
    get, path = "/v1/sales", operation_id = "listSales", tag = "members", params(Page),
    security((), ("member" = [])),
    responses((status = 200, description = "a page of them, by id", body = SalesView), BadRequest, Unauthenticated, TooMany),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Option<Session>,
    page: Page,
) -> Result<Json<SalesView>, ApiError> {
    session.map_or(Ok(()), |session| rates.read(session.seat))?;
    let (now, (sales, next)) = (engine.now(), page.of(&engine));
    let sales = sales.iter().map(|open| SaleView::of(open, now)).collect();
    std::future::ready(Ok(Json(SalesView { sales, next }))).await
}

/// Returns a sale. With a token it also returns what the sale is for that member.
#[utoipa::path(
    get, path = "/v1/sales/{sale}", operation_id = "readSale", tag = "members",
    security((), ("member" = [])),
    params(("sale" = String, Path)),
    responses((status = 200, description = "the sale as it is now", body = SaleView), Unauthenticated, UnknownSale, TooMany),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Option<Session>,
    Named(id): Named,
) -> Result<Json<SaleView>, ApiError> {
    session.as_ref().map_or(Ok(()), |session| rates.read(session.seat))?;
    let open = engine.sale(&id)?;
    let mut view = SaleView::of(&open, engine.now());
    view.you = session.map(|session| {
        let (terms, tier) = (open.sale.terms(), session.tier);
        let opens_at = terms.windows.opens_at(tier);
        You {
            tier,
            opens_at: opens_at.map(Time),
            limit: opens_at.map_or(Units(0), |_| terms.limits[tier]).0,
            held: open.sale.held(session.seat).0,
            waiting: open.position(session.seat).map(WaitView::of),
        }
    });
    std::future::ready(Ok(Json(view))).await
}
