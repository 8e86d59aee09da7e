//! The sales, as any client may see them.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, TooMany, Unauthenticated, UnknownSale};
use crate::answer::view::{SaleView, Time, WaitView, You};
use crate::ask::audience::{any_sale_for, sees};
use crate::ask::page::{Page, WithArchived};
use crate::ask::rates::Rates;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::Json;
use axum::extract::State;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::{Engine, OpenSale};
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

/// Lists the sales that are there for the member, at most 100 on a page. An unlisted one is on no page, and an
/// archived one only with `state=closed`. A page may have fewer sales and still not be the last.
#[utoipa::path(
    get, path = "/v1/sales", operation_id = "listSales", tag = "members", params(Page),
    security((), ("member" = [])),
    responses((status = 200, description = "a page of them, by id", body = SalesView), BadRequest, Busy, Unauthenticated, TooMany),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Option<Session>,
    page: Page,
) -> Result<Json<SalesView>, ApiError> {
    let session = session.as_ref();
    session.map_or(Ok(()), |session| rates.read(session.seat))?;
    let is_shown =
        |open: &OpenSale| !open.sale.terms().members.is_unlisted && sees(&engine, open, session);
    let (now, (sales, next)) =
        (engine.now(), page.of(&engine, WithArchived::IfAskedFor, is_shown).await?);
    let sales = sales.iter().map(|open| SaleView::of(open, now)).collect();
    Ok(Json(SalesView { sales, next }))
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
    let open = any_sale_for(&engine, &id, session.as_ref()).await?;
    let now = engine.now();
    let mut view = SaleView::of(&open, now);
    view.you = session.map(|session| you(&engine, &open, &session, now));
    Ok(Json(view))
}

/// The sale as this member may use it.
fn you(engine: &Engine, open: &OpenSale, session: &Session, now: Millis) -> You {
    let (terms, seat) = (open.sale.terms(), session.seat);
    let tier = session.said.tier(engine, seat);
    let opens_at = terms.windows.opens_at(tier);
    let money = terms.money(tier, Units(1), now);
    let points = engine.book().purses().free(seat).unwrap_or(u64::MAX);
    let worth = terms.members.worth;
    You {
        tier,
        opens_at: opens_at.map(Time),
        limit: opens_at.map_or(Units(0), |_| terms.limits[tier]).0,
        held: open.sale.held(seat).0,
        price_cents: money.price.0,
        price_kind: money.kind,
        // No more than the member has, in steps that are worth a whole number.
        points_most: terms.points_most(money.due).min(worth.most(worth.of(points))),
        waiting: open.position(seat).map(WaitView::of),
    }
}
