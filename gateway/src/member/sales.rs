//! What everyone may see: the sales, and whether this process is well.

use crate::answer::error::{ApiError, Problem};
use crate::answer::view::{SaleView, Time, WaitView, You};
use crate::app::App;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use engine::rules::units::Units;
use engine::store::StoreError;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The sales, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SalesView {
    sales: Vec<SaleView>,
}

/// Lists the sales.
#[utoipa::path(get, path = "/v1/sales", tag = "members", responses((status = 200, body = SalesView)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<SalesView> {
    let now = app.engine.now();
    let sales = app.engine.sales().iter().map(|open| SaleView::of(open, now)).collect();
    std::future::ready(Json(SalesView { sales })).await
}

/// Shows a sale; with a token, also what it is for that member.
#[utoipa::path(
    get, path = "/v1/sales/{sale}", tag = "members",
    security((), ("member" = [])),
    params(("sale" = String, Path)),
    responses(
        (status = 200, body = SaleView),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    session: Option<Session>,
    Named(id): Named,
) -> Result<Json<SaleView>, ApiError> {
    let open = app.engine.sale(&id).ok_or(ApiError::UnknownSale)?;
    let mut view = SaleView::of(&open, app.engine.now());
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

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200)))]
pub(crate) async fn healthz() -> &'static str {
    std::future::ready("alive\n").await
}

/// The process takes orders; if not, why.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200), (status = 503, description = "the reason, a line for each sale", body = String, content_type = "text/plain")),
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let mut reasons = String::new();
    for open in app.engine.sales() {
        if let Some(trouble) = open.trouble() {
            reasons.push_str(&format!("{}: {}\n", open.sale.terms().id, for_everyone(&trouble)));
        }
    }
    for (sale, error) in app.engine.damaged() {
        reasons.push_str(&format!("{sale}: {}\n", for_everyone(&error)));
    }
    let answer = match reasons.as_str() {
        "" => (StatusCode::OK, "ready\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, reasons),
    };
    std::future::ready(answer).await
}

/// The operator's report has the rest: it may name members and machines.
fn for_everyone(trouble: &StoreError) -> &'static str {
    match trouble {
        StoreError::Fenced => "another process sells this sale",
        StoreError::HistoryLost(_) => "the store has lost part of its history; see the report",
        StoreError::Damaged(_) => "the store is damaged; see the report",
        StoreError::Unusable(_) => "the sale's confirmer failed; restart this process",
        StoreError::Refused(_)
        | StoreError::Unknown(_)
        | StoreError::SaleExists
        | StoreError::UnknownSale
        | StoreError::TooMuchStock(_)
        | StoreError::TooLittleStock(_)
        | StoreError::TopUpConflict(_) => "orders wait for the store; see the report",
    }
}
