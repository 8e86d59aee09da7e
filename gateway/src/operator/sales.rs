//! What the platform's operators do: make sales, switch them, top them up, read everything.

use crate::answer::error::{ApiError, FieldError, Problem};
use crate::answer::report::SaleReport;
use crate::answer::view::{OrderView, OrdersView};
use crate::app::App;
use crate::ask::request::{self, AnyUnits, Instant, Named};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::rules::terms::{BadTerms, Cents, Terms};
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::store::{StoreError, Switch};
use engine::{Found, OpenSale};
use membership::PerTier;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// Lets pass who knows the operator key. Digests are compared, so the time taken tells nothing.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    key_digest: [u8; 32],
}

impl Guard {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { key_digest: Sha256::digest(key.trim_ascii()).into() }
    }

    fn knows(&self, header: &HeaderValue) -> bool {
        let key = header.as_bytes().split_at_checked(7);
        let key = key.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        key.is_some_and(|(_, key)| self.key_digest == *Sha256::digest(key.trim_ascii()))
    }
}

pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match request.headers().get(AUTHORIZATION) {
        Some(header) if guard.knows(header) => next.run(request).await,
        _ => ApiError::Unauthenticated("the operator key is needed as a bearer token")
            .into_response(),
    }
}

/// A value for each tier that is admitted.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ByTier<T> {
    regular: Option<T>,
    silver: Option<T>,
    gold: Option<T>,
    platinum: Option<T>,
    diamond: Option<T>,
}

impl<T> ByTier<T> {
    fn per_tier(self) -> PerTier<Option<T>> {
        PerTier([self.regular, self.silver, self.gold, self.platinum, self.diamond])
    }
}

/// A sale to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSale {
    /// 1 to 40 of `a-z 0-9 -`.
    id: String,
    title: String,
    price_cents: u64,
    /// ISO 4217.
    currency: String,
    /// 1 to 10,000,000.
    #[schema(value_type = u32)]
    stock: AnyUnits,
    /// When each tier may enter; one without a window may not buy.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    windows: ByTier<Instant>,
    /// Most units that a member of each admitted tier may hold, 1 to 65,535.
    #[schema(value_type = std::collections::BTreeMap<String, u32>)]
    limits: ByTier<AnyUnits>,
    #[schema(value_type = String, format = DateTime)]
    closes_at: Instant,
    pay_within_s: u32,
}

impl NewSale {
    /// The terms, or everything that is wrong with them.
    pub(crate) fn terms(self) -> Result<Terms, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut note = |field: &str, reason: String| {
            errors.push(FieldError { field: field.into(), reason });
        };
        let id = self.id.parse().map_err(|bad| note("id", format!("{bad}"))).ok();
        let opens_at = PerTier(self.windows.per_tier().0.map(|at| at.map(|at| at.0)));
        let windows = Windows::new(opens_at, self.closes_at.0).map_err(BadTerms::from);
        let windows = windows.map_err(|bad| note(bad.field(), bad.to_string())).ok();
        let limits = self.limits.per_tier().0.map(|units| Units(units.map_or(0, |u| u.0)));
        // A stand-in for what is missing, so that the other fields are checked all the same.
        let any_windows = || {
            let always = PerTier([Some(engine::rules::time::Millis(0)); 5]);
            Windows::new(always, engine::rules::time::Millis::MAX).expect("open to all, for ever")
        };
        let terms = Terms {
            id: id.unwrap_or_else(|| "x".parse().expect("a sale id")),
            title: self.title,
            price: Cents(self.price_cents),
            currency: self.currency,
            stock: Units(self.stock.0),
            windows: windows.clone().unwrap_or_else(any_windows),
            limits: PerTier(limits),
            pay_within_s: self.pay_within_s,
        };
        for fault in terms.faults() {
            let follows = windows.is_none() && matches!(fault, BadTerms::Limit(_));
            if !follows {
                note(fault.field(), fault.to_string());
            }
        }
        if errors.is_empty() { Ok(terms) } else { Err(errors) }
    }
}

/// Makes a sale.
#[utoipa::path(
    post, path = "/v1/sales", tag = "operator", request_body = NewSale,
    responses(
        (status = 201, body = SaleReport),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "sale_exists", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_sale, with errors", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let new: NewSale = request::json(request.into_body()).await?;
    let terms = new.terms().map_err(ApiError::BadTerms)?;
    let (id, stock) = (terms.id.clone(), terms.stock.0);
    let making = Arc::clone(&app);
    let open = to_the_end(async move { making.engine.create(&terms).await }).await?;
    tracing::info!(sale = %id, stock, "sale made");
    let report = Json(SaleReport::of(&open, app.engine.now()));
    Ok((StatusCode::CREATED, report).into_response())
}

/// The sales, with everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reports {
    sales: Vec<SaleReport>,
}

/// Lists the sales with everything.
#[utoipa::path(get, path = "/v1/sales", tag = "operator", responses((status = 200, body = Reports)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Reports> {
    let now = app.engine.now();
    let sales = app.engine.sales().iter().map(|open| SaleReport::of(open, now)).collect();
    std::future::ready(Json(Reports { sales })).await
}

/// Shows a sale with everything.
#[utoipa::path(
    get, path = "/v1/sales/{sale}", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, body = SaleReport), (status = 404, body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    let report = Ok(Json(SaleReport::of(&*open(&app, &id)?, app.engine.now())));
    std::future::ready(report).await
}

/// Stops a sale for now.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/pause", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, body = SaleReport), (status = 404, body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(&app, &id, Switch::Pause).await
}

/// Lets a paused sale go on; also one whose store had lost its history, if all of it is back.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/resume", tag = "operator", params(("sale" = String, Path)),
    responses(
        (status = 200, body = SaleReport),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "history_lost", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(&app, &id, Switch::Resume).await
}

/// Ends a sale for good.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/close", tag = "operator", params(("sale" = String, Path)),
    responses((status = 200, body = SaleReport), (status = 404, body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    Named(id): Named,
) -> Result<Json<SaleReport>, ApiError> {
    switch(&app, &id, Switch::Close).await
}

/// What a call has begun is done also if its client is gone by then: else the store would know of
/// it and this process would not.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::spawn(work).await.map_err(|_| ApiError::Internal)?;
    Ok(done?)
}

async fn switch(app: &Arc<App>, id: &str, switch: Switch) -> Result<Json<SaleReport>, ApiError> {
    let open = open(app, id)?;
    let (turning, turned) = (Arc::clone(app), Arc::clone(&open));
    to_the_end(async move { turning.engine.switch(&turned, switch).await }).await?;
    tracing::info!(sale = id, ?switch, "sale switched");
    Ok(Json(SaleReport::of(&open, app.engine.now())))
}

/// Stock to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    /// 1 or more; a sale has at most 10,000,000 units in all.
    #[schema(value_type = u32, minimum = 1)]
    add: AnyUnits,
}

/// Adds stock while the sale runs, once per key.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/stock", tag = "operator", request_body = TopUp,
    params(("sale" = String, Path), ("Idempotency-Key" = String, Header)),
    responses(
        (status = 200, body = SaleReport),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "too_much_stock, idempotency_conflict", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn top_up(
    State(app): State<Arc<App>>,
    Named(id): Named,
    request: Request,
) -> Result<Json<SaleReport>, ApiError> {
    let (parts, body) = request.into_parts();
    let TopUp { add } = request::json(body).await?;
    let missing = || ApiError::BadRequest("Idempotency-Key: needed for a top-up".into());
    let key = request::idempotency_key(&parts.headers)?.ok_or_else(missing)?;
    let open = open(&app, &id)?;
    if add.0 == 0 {
        return Err(ApiError::BadRequest("add: 1 or more".into()));
    }
    let (adding, added, key) = (Arc::clone(&app), Arc::clone(&open), key.to_owned());
    let topped_up = async move { adding.engine.top_up(&added, &key, Units(add.0)).await };
    let total = to_the_end(topped_up).await?;
    tracing::info!(sale = id, add = add.0, total = total.0, "stock added");
    Ok(Json(SaleReport::of(&open, app.engine.now())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "Page::usual")]
    limit: usize,
}

impl Page {
    const fn usual() -> usize {
        1_000
    }
}

/// The orders by number, in pages.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/orders", tag = "operator",
    params(
        ("sale" = String, Path),
        ("after" = Option<u64>, Query, description = "orders with numbers over this; `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "orders a page, 1 to 10,000; usually 1,000"),
    ),
    responses((status = 200, body = OrdersView), (status = 404, body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn orders(
    State(app): State<Arc<App>>,
    Named(id): Named,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<OrdersView>, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    if !(1..=10_000).contains(&page.limit) {
        return Err(ApiError::BadRequest("limit: 1 to 10,000 orders a page".into()));
    }
    let open = open(&app, &id)?;
    let found = app.engine.orders_after(&open, page.after, page.limit).await?;
    let last = found.last().map_or(page.after, |last| match last {
        Found::Here(order) => order.number,
        Found::Before(record) => record.number,
    });
    let next = (last.saturating_add(1) < open.sale.next_number()).then_some(last);
    let view = |found: &Found| OrderView::found(&app.engine, &open, found);
    Ok(Json(OrdersView { orders: found.iter().map(view).collect(), next }))
}

fn open(app: &App, id: &str) -> Result<Arc<OpenSale>, ApiError> {
    app.engine.sale(id).ok_or(ApiError::UnknownSale)
}
